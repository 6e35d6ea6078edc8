/** Content transfer encodings back to octets (RFC 2045 §6), tolerant of what is met. */

import { Buffer } from "node:buffer";
import { buffer } from "#base/bytes";

/**
 * Never throws, linear. An encoding that is not known leaves the octets as they are.
 *
 * @param encoding the token of Content-Transfer-Encoding, in any case
 */
export function decodeBody(octets: Uint8Array, encoding: string): Buffer {
  switch (encoding.toLowerCase()) {
    case "base64":
      return fromBase64(buffer(octets));
    case "quoted-printable":
      return fromQuotedPrintable(buffer(octets));
    default:
      return buffer(octets);
  }
}

/** §6.8: other characters are skipped, as are those behind the padding of one run. */
function fromBase64(octets: Buffer): Buffer {
  const text = octets.toString("latin1");
  const padded = text.indexOf("=");
  if (padded < 0 || padded >= text.length - 4) return Buffer.from(text, "base64");
  // Encoded pieces written one behind the other, each with its own padding.
  const pieces = text.split(/=+/, 100_000);
  if (pieces.length === 1) return Buffer.from(text, "base64");
  return Buffer.concat(pieces.map((piece) => Buffer.from(piece, "base64")));
}

const lf = 0x0a;
const cr = 0x0d;

/** §6.7: soft line breaks go, white space at line ends goes, a wrong escape stays as written. */
function fromQuotedPrintable(octets: Buffer): Buffer {
  if (octets.indexOf(0x3d) < 0 && !/[ \t]\r?\n/.test(octets.toString("latin1"))) return octets;
  const out = Buffer.allocUnsafe(octets.length);
  let length = 0;
  let at = 0;
  while (at < octets.length) {
    const lineFeed = octets.indexOf(lf, at);
    const lineEnd = lineFeed < 0 ? octets.length : lineFeed + 1;
    let end = lineFeed < 0 ? octets.length : lineFeed;
    if (lineFeed >= 0 && end > at && octets[end - 1] === cr) end -= 1;
    const breakStart = end;
    while (end > at && (octets[end - 1] === 0x20 || octets[end - 1] === 0x09)) end -= 1;
    const soft = end > at && octets[end - 1] === 0x3d;
    if (soft) end -= 1;
    length += decodeLine(octets.subarray(at, end), out, length);
    if (!soft) for (let one = breakStart; one < lineEnd; one += 1) out[length++] = octets[one] ?? 0;
    at = lineEnd;
  }
  return out.subarray(0, length);
}

/** @returns how many octets it put at the offset */
function decodeLine(line: Buffer, into: Buffer, offset: number): number {
  let length = offset;
  for (let at = 0; at < line.length; at += 1) {
    const octet = line[at] ?? 0;
    const high = octet === 0x3d ? hexDigit(line[at + 1]) : -1;
    const low = high < 0 ? -1 : hexDigit(line[at + 2]);
    if (low < 0) into[length++] = octet;
    else {
      into[length++] = high * 16 + low;
      at += 2;
    }
  }
  return length - offset;
}

function hexDigit(code: number | undefined): number {
  if (code === undefined) return -1;
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 65 && code <= 70) return code - 55;
  return code >= 97 && code <= 102 ? code - 87 : -1;
}
