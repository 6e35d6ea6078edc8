/** Flags of an entry: no two alike but for case (RFC 9051 §2.3.2). */

import type { FlagChange } from "#contracts/store";
import type { Flag } from "#model/mailbox";

/** Our limit: an entry bears no more. */
const maxFlags = 100;
/** A flag is an atom, perhaps behind a backslash (RFC 9051 §9 flag, flag-keyword). */
const atom = /^\\?[\x21\x23\x24\x26\x27\x2b-\x5b\x5e-\x7a\x7c\x7e]{1,100}$/;
const systemFlags = new Map(
  ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"].map((flag) => [
    flag.toLowerCase(),
    flag,
  ]),
);

/** System flags as the standard writes them; what is no flag, or \Recent, is left out. */
export function cleanFlags(flags: readonly Flag[]): Flag[] {
  const seen = new Set<string>();
  const clean: Flag[] = [];
  for (const flag of flags) {
    const key = flag.toLowerCase();
    if (seen.has(key) || !atom.test(flag)) continue;
    if (key.startsWith("\\") && !systemFlags.has(key)) continue;
    seen.add(key);
    clean.push(systemFlags.get(key) ?? flag);
    if (clean.length === maxFlags) break;
  }
  return systemFirst(clean);
}

/** The flags afterwards; the same array when nothing changes. */
export function changedFlags(before: readonly Flag[], change: FlagChange): readonly Flag[] {
  const given = cleanFlags(change.flags);
  const keys = new Set(given.map((flag) => flag.toLowerCase()));
  if (change.mode === "remove") {
    const left = before.filter((flag) => !keys.has(flag.toLowerCase()));
    return left.length === before.length ? before : left;
  }
  const kept =
    change.mode === "add" ? before : before.filter((flag) => keys.has(flag.toLowerCase()));
  const had = new Set(kept.map((flag) => flag.toLowerCase()));
  const fresh = given.filter((flag) => !had.has(flag.toLowerCase()));
  if (fresh.length === 0 && kept.length === before.length) return before;
  return systemFirst([...kept, ...fresh].slice(0, maxFlags));
}

/** As the views give them back. */
function systemFirst(flags: readonly Flag[]): Flag[] {
  return [...flags.filter(isSystemFlag), ...flags.filter((flag) => !isSystemFlag(flag))];
}

export function joinFlags(flags: readonly Flag[]): string {
  return flags.join(" ");
}

export function splitFlags(joined: string): readonly Flag[] {
  return joined === "" ? [] : joined.split(" ");
}

export function isSystemFlag(flag: Flag): boolean {
  return flag.startsWith("\\");
}

/** How the flags count in the mailbox's sums. */
export function isSeen(flags: readonly Flag[]): boolean {
  return flags.includes("\\Seen");
}
export function isDeleted(flags: readonly Flag[]): boolean {
  return flags.includes("\\Deleted");
}
