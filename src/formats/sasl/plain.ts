/** SASL PLAIN (RFC 4616). The secret itself crosses: for proven TLS only. */

import { accept, type Result, refuse } from "#base/result";

export interface PlainCredentials {
  readonly user: string;
  readonly secret: string;
}

/** @returns undefined when one of the two cannot be sent */
export function formatPlain({ user, secret }: PlainCredentials): string | undefined {
  if (user === "" || secret === "" || user.includes("\0") || secret.includes("\0"))
    return undefined;
  return `\0${user}\0${secret}`;
}

/**
 * `authzid NUL authcid NUL password`; acting for somebody else is not offered.
 *
 * @param message untrusted, decoded from base64
 */
export function readPlain(
  message: string,
): Result<PlainCredentials, "syntax" | "acts-for-another"> {
  const parts = message.split("\0", 4);
  const [actFor, user, secret] = parts;
  if (parts.length !== 3 || !user || !secret) return refuse("syntax");
  return actFor === "" || actFor === user ? accept({ user, secret }) : refuse("acts-for-another");
}
