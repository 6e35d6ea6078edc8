/** Mailbox names: their spelling on the wire, and the patterns of LIST (RFC 9051 §5.1, §6.3.9). */

import { decodeUtf7, encodeUtf7, formatString } from "#formats/imap";
import type { Mailbox } from "#model/mailbox";

export const separator = "/";

/** Our limit, on patterns too. In UTF-16 units. */
const maxNameLength = 1000;

const controls: RegExp = new RegExp("[\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]");

/**
 * @param wire untrusted; its spelling depends on what the session enabled
 * @returns undefined for what is no name
 */
export function nameFromWire(wire: string, utf8: boolean): string | undefined {
  if (wire.length > maxNameLength) return undefined;
  let name = wire;
  if (!utf8) {
    const decoded = decodeUtf7(wire);
    if (!decoded.ok) return undefined;
    name = decoded.value;
  }
  name = name.normalize("NFC");
  if (controls.test(name) || !name.isWellFormed()) return undefined;
  return canonical(name);
}

/** INBOX has one spelling (RFC 9051 §5.1), as a parent too. */
function canonical(name: string): string {
  if (!/^inbox(?:\/|$)/i.test(name)) return name;
  return `INBOX${name.slice(5)}`;
}

export function nameToWire(name: string, utf8: boolean): string {
  return utf8 ? formatUtf8Name(name) : formatString(encodeUtf7(name));
}

/** Quoted strings carry UTF-8 once the client enabled it (RFC 9051 §5.1, RFC 6855 §3). */
function formatUtf8Name(name: string): string {
  return `"${name.replace(/["\\]/g, "\\$&")}"`;
}

/** A name that LIST shows: a mailbox, or a parent that exists only in the names of its children. */
export interface Listed {
  readonly name: string;
  readonly mailbox?: Mailbox;
  readonly hasChildren: boolean;
}

/** All names of an account, INBOX first, with the parents that have no mailbox of their own. */
export function listedNames(mailboxes: readonly Mailbox[]): readonly Listed[] {
  const byName = new Map<string, Mailbox | undefined>();
  const parents = new Set<string>();
  for (const mailbox of mailboxes) {
    byName.set(mailbox.name, mailbox);
    for (let at = mailbox.name.lastIndexOf(separator); at > 0; ) {
      const parent = mailbox.name.slice(0, at);
      if (parents.has(parent)) break;
      parents.add(parent);
      at = parent.lastIndexOf(separator);
    }
  }
  for (const parent of parents) if (!byName.has(parent)) byName.set(parent, undefined);
  const names = [...byName.keys()].sort(byInboxFirst);
  return names.map((name) => {
    const mailbox = byName.get(name);
    return { name, hasChildren: parents.has(name), ...(mailbox && { mailbox }) };
  });
}

function byInboxFirst(one: string, other: string): number {
  if (one === "INBOX" || other === "INBOX") return one === other ? 0 : one === "INBOX" ? -1 : 1;
  return one < other ? -1 : 1;
}

/** "*" stands for anything, "%" for anything but the separator. Costs pattern times name. */
export function matchesPattern(name: string, pattern: string): boolean {
  let reached = new Uint8Array(name.length + 1);
  reached[0] = 1;
  for (const token of pattern) {
    const next = new Uint8Array(name.length + 1);
    const wild = token === "*" || token === "%";
    for (let at = 0; at <= name.length; at += 1) {
      if (wild) {
        const goesOn = at > 0 && (token === "*" || name[at - 1] !== separator);
        if (reached[at] === 1 || (goesOn && next[at - 1] === 1)) next[at] = 1;
      } else if (reached[at] === 1 && name.startsWith(token, at)) next[at + token.length] = 1;
    }
    reached = next;
  }
  return reached[name.length] === 1;
}

/** The pattern with its reference put before it (RFC 9051 §6.3.9). */
export function fullPattern(reference: string, pattern: string): string {
  const joined = pattern.startsWith(separator) ? pattern.slice(1) : `${reference}${pattern}`;
  // "**" is "*": runs of wildcards cost time and say nothing
  return canonical(joined.replace(/\*[*%]*/g, "*").replace(/%+/g, "%"));
}
