/** What clients send to log in: SASL PLAIN (RFC 4616) and the older LOGIN, in base64 (RFC 4954). */

import { Buffer, isUtf8 } from "node:buffer";

export interface Credentials {
  readonly name: string;
  readonly password: string;
}

export const mechanisms: readonly string[] = ["PLAIN", "LOGIN"];

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** @returns null when the text is not base64 of UTF-8 */
export function decodeResponse(text: string): string | null {
  if (!base64.test(text)) return null;
  const octets = Buffer.from(text, "base64");
  return isUtf8(octets) ? octets.toString("utf8") : null;
}

/** `authzid NUL authcid NUL password`; acting for somebody else is not offered. */
export function readPlain(message: string): Credentials | null {
  const parts = message.split("\0");
  const [actFor, name, password] = parts;
  if (parts.length !== 3 || !name || !password) return null;
  return actFor === "" || actFor === name ? { name, password } : null;
}
