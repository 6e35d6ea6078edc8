/** Modified UTF-7, how IMAP4rev1 writes mailbox names (RFC 3501 §5.1.3). */

import { Buffer } from "node:buffer";
import { accept, type Result, refuse } from "#base/result";

/** One name has one spelling: what the encoder would not write is refused. */
export function decodeUtf7(text: string): Result<string, "bad-utf7"> {
  if (!text.includes("&")) return accept(text);
  let out = "";
  let at = 0;
  while (at < text.length) {
    const start = text.indexOf("&", at);
    if (start < 0) break;
    const end = text.indexOf("-", start);
    if (end < 0) return refuse("bad-utf7", start);
    out += text.slice(at, start);
    out += end === start + 1 ? "&" : decodeBlock(text.slice(start + 1, end));
    at = end + 1;
  }
  out += text.slice(at);
  return encodeUtf7(out) === text ? accept(out) : refuse("bad-utf7");
}

export function encodeUtf7(text: string): string {
  if (/^[\x20-\x25\x27-\x7e]*$/.test(text)) return text;
  return text.replace(/&|[^\x20-\x7e]+/g, (run) => (run === "&" ? "&-" : `&${encodeBlock(run)}-`));
}

function encodeBlock(run: string): string {
  const octets = Buffer.from(run, "utf16le").swap16();
  return octets.toString("base64").replace(/=+$/, "").replaceAll("/", ",");
}

function decodeBlock(block: string): string {
  const octets = Buffer.from(block.replaceAll(",", "/"), "base64");
  const even = octets.subarray(0, octets.length & ~1);
  return Buffer.from(even).swap16().toString("utf16le");
}
