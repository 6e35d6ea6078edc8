/** Names of mailboxes, flags and replies, as the reference writes them. */

import type { FlagChange } from "#contracts/store";
import type { Flag } from "#model/mailbox";
import type { Reply } from "#model/reply";

/** The name as it is kept, or undefined when it is none (RFC 9051 §5.1). */
export function parseName(text: string): string | undefined {
  const name = text.normalize("NFC").replace(/^inbox(?=\/|$)/i, "INBOX");
  const levels = name.split("/");
  const isName =
    name.isWellFormed() &&
    Buffer.byteLength(name) <= 1000 &&
    levels.length <= 20 &&
    levels.every((level) => level !== "" && level === level.trim()) &&
    !/[\p{Cc}\u2028\u2029\ufffd%*]/u.test(name);
  return isName ? name : undefined;
}

const systemFlags = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"];
const keyword = /^[!-~]{1,100}$/;
const notInKeyword = /[(){%*"\\\]}]/;
const mostFlags = 100;

/** Flags alike but for case are one, as first given; what is no flag is left out. */
export function cleanFlags(flags: readonly Flag[]): Flag[] {
  const clean = new Map<string, Flag>();
  for (const flag of flags) {
    const system = systemFlags.find((one) => one.toLowerCase() === flag.toLowerCase());
    const isFlag = system !== undefined || (keyword.test(flag) && !notInKeyword.test(flag));
    if (isFlag && !clean.has(flag.toLowerCase())) clean.set(flag.toLowerCase(), system ?? flag);
  }
  return [...clean.values()].slice(0, mostFlags);
}

/** The flags after the change. */
export function changedFlags(
  before: readonly Flag[],
  { mode, flags }: FlagChange,
): readonly Flag[] {
  const given = cleanFlags(flags);
  const isIn = (list: readonly Flag[], flag: Flag): boolean =>
    list.some((one) => one.toLowerCase() === flag.toLowerCase());
  if (mode === "remove") return before.filter((flag) => !isIn(given, flag));
  const kept = mode === "add" ? before : before.filter((flag) => isIn(given, flag));
  return [...kept, ...given.filter((flag) => !isIn(kept, flag))].slice(0, mostFlags);
}

export function wordsOf({ code, status, text }: Reply): string {
  return [code, status, ...[text].flat()].filter((word) => word !== undefined).join(" ");
}
