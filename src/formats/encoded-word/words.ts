/** Encoded words: text of any charset in header fields (RFC 2047). */

import { Buffer } from "node:buffer";
import { decodeCharset } from "./charset.ts";

interface Word {
  readonly charset: string;
  readonly octets: Buffer;
  /** Behind the closing "?=". */
  readonly end: number;
}

/**
 * Decodes every encoded word; what only looks like one stays. Never throws, linear.
 *
 * @param text untrusted, unfolded
 */
export function decodeWords(text: string): string {
  let start = text.indexOf("=?");
  if (start < 0) return text;
  let out = "";
  let at = 0; // everything before is written
  let charset = "";
  let run: Buffer[] = [];
  const flush = (): void => {
    if (run.length > 0)
      out += decodeCharset(run.length === 1 ? (run[0] as Buffer) : Buffer.concat(run), charset);
    run = [];
  };
  while (start >= 0) {
    const word = readWord(text, start);
    if (word === undefined) {
      start = text.indexOf("=?", start + 2);
      continue;
    }
    const between = text.slice(at, start);
    const joined = run.length > 0 && isBlank(between); // §6.2: white space between words goes
    // Neighbours of one charset are joined before decoding: many split a character between them.
    if (!joined || word.charset !== charset) flush();
    if (!joined) out += between;
    charset = word.charset;
    run.push(word.octets);
    at = word.end;
    start = text.indexOf("=?", at);
  }
  flush();
  return out + text.slice(at);
}

function readWord(text: string, start: number): Word | undefined {
  const afterCharset = text.indexOf("?", start + 2);
  if (afterCharset < 0 || afterCharset === start + 2 || afterCharset - start > 66) return undefined;
  const kind = text[afterCharset + 1]?.toUpperCase();
  if ((kind !== "Q" && kind !== "B") || text[afterCharset + 2] !== "?") return undefined;
  const from = afterCharset + 3;
  const close = text.indexOf("?", from); // never inside the text, so all searches together are linear
  if (close < 0 || text[close + 1] !== "=") return undefined;
  const name = text.slice(start + 2, afterCharset);
  if (/[\s()<>@,;:"[\]]/.test(name)) return undefined;
  const star = name.indexOf("*"); // RFC 2231 §5: a language may follow
  const body = text.slice(from, close);
  return {
    charset: (star < 0 ? name : name.slice(0, star)).toLowerCase(),
    octets: kind === "B" ? Buffer.from(body, "base64") : fromQ(body),
    end: close + 2,
  };
}

function fromQ(text: string): Buffer {
  const octets = Buffer.allocUnsafe(text.length * 3);
  let length = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x5f)
      octets[length++] = 0x20; // "_" is a space (§4.2)
    else if (code === 0x3d && isHex(text.charCodeAt(at + 1)) && isHex(text.charCodeAt(at + 2))) {
      octets[length++] = Number.parseInt(text.slice(at + 1, at + 3), 16);
      at += 2;
    } else if (code < 0x80) octets[length++] = code;
    else length += octets.write(text[at] ?? "", length, "utf8");
  }
  return octets.subarray(0, length);
}

function isHex(code: number): boolean {
  return (code >= 48 && code <= 57) || (code >= 65 && code <= 70) || (code >= 97 && code <= 102);
}

function isBlank(text: string): boolean {
  return /^[ \t\r\n]*$/.test(text);
}

/** Octets in one word: 4 × 13 + 12 = 64 characters, so that "Subject: " fits on its line (§2: 76). */
const octetsPerWord = 39;

/**
 * Text as it may stand in an unstructured field or a phrase: itself when it is short printable
 * ASCII, else encoded words of at most 75 characters with a space between them.
 */
export function encodeWords(text: string): string {
  const clean = text.replace(/[\r\n\0]+/g, " "); // a line break here would make a new field
  if (/^[\x20-\x7e\t]*$/.test(clean) && !clean.includes("=?") && !/[^ \t]{900}/.test(clean)) {
    return clean;
  }
  const words: string[] = [];
  let word = "";
  let size = 0;
  for (const character of clean) {
    const octets = Buffer.byteLength(character);
    if (size + octets > octetsPerWord) {
      words.push(word);
      [word, size] = ["", 0];
    }
    word += character; // §5: a character is never split between words
    size += octets;
  }
  words.push(word);
  return words.map(encodeWord).join(" ");
}

function encodeWord(text: string): string {
  const octets = Buffer.from(text.toWellFormed());
  let q = "";
  for (const octet of octets) {
    // §5 (3): only these may stand for themselves inside a phrase
    if (octet === 0x20) q += "_";
    else if (/[A-Za-z0-9!*+/-]/.test(String.fromCharCode(octet)) && octet < 0x80) {
      q += String.fromCharCode(octet);
    } else q += `=${octet.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  const base64 = octets.toString("base64");
  return q.length <= 63 && q.length <= base64.length ? `=?UTF-8?Q?${q}?=` : `=?UTF-8?B?${base64}?=`;
}
