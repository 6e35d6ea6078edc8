/** SUBMITTER of MAIL FROM: the sender says beforehand who is responsible (RFC 4405 §4). */

import { type Result, refuse } from "#base/result";
import { type AddressFault, parseMailbox } from "#formats/address";
import { decodeXtext } from "#formats/smtp";

/** @param text untrusted: the value of the parameter, a mailbox as xtext */
export function parseSubmitter(text: string): Result<string, AddressFault | "bad-xtext"> {
  const address = decodeXtext(text);
  return address === null ? refuse("bad-xtext") : parseMailbox(address);
}

/** Local parts may depend on their case, domains never do. */
export function isSameMailbox(one: string, other: string): boolean {
  return normal(one) === normal(other);
}

function normal(address: string): string {
  const at = address.lastIndexOf("@") + 1;
  return address.slice(0, at) + address.slice(at).toLowerCase();
}
