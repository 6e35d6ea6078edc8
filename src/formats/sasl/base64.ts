/** Base64 of SASL exchanges (RFC 4648 §4): padded, no line breaks, nothing else between. */

import { Buffer, isUtf8 } from "node:buffer";

/** @returns undefined when the text is not what encoding the octets gives */
export function decodeOctets(text: string): Buffer | undefined {
  const octets = Buffer.from(text, "base64");
  return octets.toString("base64") === text ? octets : undefined;
}

/** @returns undefined when the text is not base64 of UTF-8 */
export function decodeBase64(text: string): string | undefined {
  const octets = decodeOctets(text);
  return octets !== undefined && isUtf8(octets) ? octets.toString("utf8") : undefined;
}

export function encodeBase64(message: string): string {
  return Buffer.from(message, "utf8").toString("base64");
}
