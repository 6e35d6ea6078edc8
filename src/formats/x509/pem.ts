/** PEM, the text form of certificates and keys (RFC 7468). */

import { Buffer } from "node:buffer";

/** Our limit: a chain of many certificates stays far below. In UTF-16 units. */
const maxLength = 1024 * 1024;

/** @param label "CERTIFICATE", "PRIVATE KEY" */
export function formatPem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.length).toString("base64");
  const lines = base64.match(/.{1,64}/g) ?? []; // RFC 7468 §2: 64 characters a line
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/** The octets of every block with that label, in order; text between blocks is skipped. */
export function parsePem(label: string, text: string): Buffer[] {
  const begin = `-----BEGIN ${label}-----`;
  const end = `-----END ${label}-----`;
  const blocks: Buffer[] = [];
  if (text.length > maxLength) return blocks;
  for (let at = text.indexOf(begin); at >= 0; at = text.indexOf(begin, at)) {
    const from = at + begin.length;
    const to = text.indexOf(end, from);
    if (to < 0) break;
    blocks.push(Buffer.from(text.slice(from, to), "base64"));
    at = to + end.length;
  }
  return blocks;
}
