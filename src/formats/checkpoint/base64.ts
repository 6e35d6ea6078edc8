/** Base64 in its one canonical form (RFC 4648 §4, §3.5): padded, no strangers, spare bits zero. */

import { Buffer } from "node:buffer";

export function parseBase64(text: string): Buffer | undefined {
  const octets = Buffer.from(text, "base64");
  return octets.toString("base64") === text ? octets : undefined;
}
