/** IMAP flags as JMAP keywords (RFC 8621 §4.1.1). */

import type { Entry, Flag } from "#model/mailbox";

const system: Readonly<Record<string, string>> = {
  "\\seen": "$seen",
  "\\flagged": "$flagged",
  "\\answered": "$answered",
  "\\draft": "$draft",
};
const flags: Readonly<Record<string, Flag>> = {
  $seen: "\\Seen",
  $flagged: "\\Flagged",
  $answered: "\\Answered",
  $draft: "\\Draft",
};

/** The keywords on any of the message's entries; \Deleted and \Recent have none. */
export function keywordsOf(entries: readonly Entry[]): ReadonlySet<string> {
  const found = new Set<string>();
  for (const entry of entries) {
    for (const flag of entry.flags) {
      const key = flag.toLowerCase();
      const keyword = key.startsWith("\\") ? system[key] : key;
      if (keyword !== undefined) found.add(keyword);
    }
  }
  return found;
}

/** @param keyword in any case */
export function flagOf(keyword: string): Flag {
  const key = keyword.toLowerCase();
  return Object.hasOwn(flags, key) ? (flags[key] as Flag) : key;
}

/** 1 to 255 characters that can be an IMAP keyword too. */
export function isKeyword(text: string): boolean {
  return /^[\x21-\x7e]{1,255}$/.test(text) && !/[()\]{%*"\\]/.test(text);
}
