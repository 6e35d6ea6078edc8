/** What SEARCH looks for (RFC 9051 §6.4.4, RFC 3501 §6.4.4, RFC 5032, RFC 7162 §3.1.5, RFC 8474). */

import type { Scanner } from "./scanner.ts";
import { readSequenceSet, type SequenceSet } from "./sequence.ts";
import { parseDay } from "./strings.ts";

export type SearchKey =
  | { readonly key: "all" | "recent" | "old" | "new" }
  | { readonly key: "flag"; readonly flag: string; readonly present: boolean }
  | { readonly key: "set"; readonly set: SequenceSet; readonly uid: boolean }
  | { readonly key: "larger" | "smaller"; readonly sizeBytes: number }
  | {
      readonly key: "received" | "sent";
      readonly when: "before" | "on" | "since";
      /** First millisecond of the day, UTC. */
      readonly dayMs: number;
    }
  | { readonly key: "older" | "younger"; readonly seconds: number }
  | { readonly key: "from" | "to" | "cc" | "bcc" | "subject"; readonly text: string }
  | { readonly key: "body" | "text"; readonly text: string }
  | { readonly key: "header"; readonly name: string; readonly text: string }
  | { readonly key: "modseq"; readonly modSeq: number }
  | { readonly key: "emailid" | "threadid"; readonly id: string }
  | { readonly key: "not"; readonly of: SearchKey }
  | { readonly key: "or" | "and"; readonly of: readonly SearchKey[] };

/** Deeper nesting serves no reader. */
const maxDepth = 32;

/** One or more keys, all of which must hold, up to the end or ")". */
export function readSearchKeys(scanner: Scanner, depth = 0): SearchKey {
  const keys: SearchKey[] = [];
  do keys.push(readKey(scanner, depth));
  while (scanner.fault === undefined && scanner.skip(" "));
  return keys.length === 1 && keys[0] !== undefined ? keys[0] : { key: "and", of: keys };
}

const flagKeys: Readonly<Record<string, readonly [flag: string, present: boolean]>> = {
  ANSWERED: ["\\Answered", true],
  DELETED: ["\\Deleted", true],
  DRAFT: ["\\Draft", true],
  FLAGGED: ["\\Flagged", true],
  SEEN: ["\\Seen", true],
  UNANSWERED: ["\\Answered", false],
  UNDELETED: ["\\Deleted", false],
  UNDRAFT: ["\\Draft", false],
  UNFLAGGED: ["\\Flagged", false],
  UNSEEN: ["\\Seen", false],
};

const dateKeys: Readonly<
  Record<string, readonly ["received" | "sent", "before" | "on" | "since"]>
> = {
  BEFORE: ["received", "before"],
  ON: ["received", "on"],
  SINCE: ["received", "since"],
  SENTBEFORE: ["sent", "before"],
  SENTON: ["sent", "on"],
  SENTSINCE: ["sent", "since"],
};

const textKeys = ["FROM", "TO", "CC", "BCC", "SUBJECT", "BODY", "TEXT"];

function readKey(scanner: Scanner, depth: number): SearchKey {
  if (depth > maxDepth) scanner.fail("Search nested too deep");
  if (scanner.fault !== undefined) return { key: "all" };
  if (scanner.skip("(")) {
    const inner = readSearchKeys(scanner, depth + 1);
    scanner.expect(")");
    return inner;
  }
  if (/[0-9*$]/.test(scanner.peek())) {
    return { key: "set", set: readSequenceSet(scanner), uid: false };
  }
  const word = scanner.word();
  const flag = flagKeys[word];
  if (flag !== undefined) return { key: "flag", flag: flag[0], present: flag[1] };
  switch (word) {
    case "ALL":
    case "RECENT":
    case "OLD":
    case "NEW":
      return { key: word.toLowerCase() as "all" };
    default:
      scanner.space();
      return readKeyWithArgument(scanner, word, depth);
  }
}

function readKeyWithArgument(scanner: Scanner, word: string, depth: number): SearchKey {
  const date = dateKeys[word];
  if (date !== undefined) return { key: date[0], when: date[1], dayMs: readDay(scanner) };
  if (textKeys.includes(word)) {
    return { key: word.toLowerCase() as "from", text: scanner.astring() };
  }
  switch (word) {
    case "KEYWORD":
    case "UNKEYWORD":
      return { key: "flag", flag: scanner.atom(), present: word === "KEYWORD" };
    case "LARGER":
    case "SMALLER": {
      const sizeBytes = scanner.number64();
      return { key: word === "LARGER" ? "larger" : "smaller", sizeBytes };
    }
    case "OLDER":
    case "YOUNGER":
      return { key: word === "OLDER" ? "older" : "younger", seconds: scanner.number() };
    case "UID":
      return { key: "set", set: readSequenceSet(scanner), uid: true };
    case "HEADER": {
      const name = scanner.astring();
      scanner.space();
      return { key: "header", name, text: scanner.astring() };
    }
    case "MODSEQ":
      return readModSeq(scanner);
    case "EMAILID":
    case "THREADID":
      return { key: word === "EMAILID" ? "emailid" : "threadid", id: scanner.astring() };
    case "NOT":
      return { key: "not", of: readKey(scanner, depth + 1) };
    case "OR": {
      const either = readKey(scanner, depth + 1);
      scanner.space();
      return { key: "or", of: [either, readKey(scanner, depth + 1)] };
    }
    default:
      scanner.fail("Unknown search key");
      return { key: "all" };
  }
}

function readDay(scanner: Scanner): number {
  const day = parseDay(scanner.astring());
  if (day === undefined) scanner.fail("Bad date");
  return day ?? 0;
}

/** The entry name and type, which we do not tell apart, may stand before the number. */
function readModSeq(scanner: Scanner): SearchKey {
  if (scanner.peek() === '"') {
    scanner.string();
    scanner.space();
    scanner.atom();
    scanner.space();
  }
  return { key: "modseq", modSeq: scanner.number64() };
}
