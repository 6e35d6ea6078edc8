/** Octets of a named charset to text (WHATWG labels, the names mail uses besides, UTF-7). */

import { Buffer, isAscii } from "node:buffer";
import { decodeUtf7 } from "./utf7.ts";

/** Names met in mail that the WHATWG table lacks. */
const aliases: Readonly<Record<string, string>> = {
  cp932: "shift_jis",
  ms932: "shift_jis",
  cp936: "gbk",
  cp949: "euc-kr",
  ms949: "euc-kr",
  uhc: "euc-kr",
  cp950: "big5",
  "iso-2022-jp-ms": "iso-2022-jp",
  cp50220: "iso-2022-jp",
  cp50221: "iso-2022-jp",
  "latin-1": "windows-1252",
  iso8859_1: "windows-1252",
  "8859_1": "windows-1252",
  ansi: "windows-1252",
  "iso-latin-1": "windows-1252",
  "x-windows-1252": "windows-1252",
  utf8mb4: "utf-8",
  utf_8: "utf-8",
};

const decoders = new Map<string, TextDecoder | undefined>();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** As many labels as honest mail uses; hostile ones cannot grow the table. */
const maxDecoders = 200;

/**
 * Never throws. An unknown or absent charset, and ASCII that is none, is read as UTF-8 when the
 * octets are valid UTF-8, else as windows-1252.
 */
export function decodeCharset(octets: Uint8Array, label?: string | null): string {
  if (isAscii(octets) && !isStateful(label)) return latin1(octets);
  const name = cleanLabel(label);
  if (name === "utf-7" || name === "unicode-1-1-utf-7") return decodeUtf7(latin1(octets));
  if (name === "" || name === "us-ascii" || name === "ascii" || name === "unknown-8bit") {
    return decodeGuess(octets);
  }
  const decoder = decoderOf(name);
  return decoder === undefined ? decodeGuess(octets) : decoder.decode(octets);
}

/** In these charsets octets below 128 may mean something else. */
function isStateful(label: string | null | undefined): boolean {
  return label !== undefined && label !== null && /utf-?(7|16)|2022|hz|ucs|unicode/i.test(label);
}

function decodeGuess(octets: Uint8Array): string {
  try {
    return strictUtf8.decode(octets);
  } catch {
    return decoderOf("windows-1252")?.decode(octets) ?? latin1(octets);
  }
}

function cleanLabel(label: string | null | undefined): string {
  const name = (label ?? "").slice(0, 64).trim().toLowerCase();
  return aliases[name] ?? name;
}

function decoderOf(name: string): TextDecoder | undefined {
  if (decoders.has(name)) return decoders.get(name);
  let decoder: TextDecoder | undefined;
  try {
    decoder = new TextDecoder(name, { ignoreBOM: false });
  } catch {
    decoder = undefined; // not in the table: guessed by the caller
  }
  if (decoders.size < maxDecoders) decoders.set(name, decoder);
  return decoder;
}

function latin1(octets: Uint8Array): string {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString("latin1");
}
