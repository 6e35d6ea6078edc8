/** UTF-7 (RFC 2152), which old mailers still send; read only. */

import { Buffer } from "node:buffer";

/** Malformed runs are kept as they stand. Linear. */
export function decodeUtf7(text: string): string {
  let out = "";
  let at = 0;
  while (at < text.length) {
    const plus = text.indexOf("+", at);
    if (plus < 0) return out + text.slice(at);
    out += text.slice(at, plus);
    let end = plus + 1;
    while (end < text.length && isBase64(text.charCodeAt(end))) end += 1;
    if (end === plus + 1) {
      out += "+"; // "+-" is a plus sign
      at = text[end] === "-" ? end + 1 : end;
      continue;
    }
    out += fromUtf16(text.slice(plus + 1, end));
    at = text[end] === "-" ? end + 1 : end; // the minus that ends a run is swallowed
  }
  return out;
}

function fromUtf16(base64: string): string {
  const octets = Buffer.from(base64, "base64");
  const whole = octets.subarray(0, octets.length & ~1);
  return whole.swap16().toString("utf16le");
}

function isBase64(code: number): boolean {
  return (
    (code >= 65 && code <= 90) ||
    (code >= 97 && code <= 122) ||
    (code >= 48 && code <= 57) ||
    code === 43 ||
    code === 47
  );
}
