/** From received lines and literals to a command (RFC 9051 §9). */

import type { Command, CommandName, SearchCommand, SearchReturn, StoreCommand } from "./command.ts";
import { readFetchItems } from "./fetch-items.ts";
import { readFlags } from "./flags.ts";
import { readAppend, readList, readSelect, readStatus } from "./parse-mailbox-commands.ts";
import type { RawCommand } from "./reader.ts";
import { Scanner } from "./scanner.ts";
import { readSearchKeys } from "./search-keys.ts";
import { readSequenceSet } from "./sequence.ts";

export type ParsedCommand =
  | { readonly ok: true; readonly tag: string; readonly command: Command }
  /** A tag of "*" stands for one that cannot be read. */
  | { readonly ok: false; readonly tag: string; readonly fault: string };

/** Our limit: a tag is repeated in the answer. */
const maxTag = 128;

/** @param raw untrusted */
export function parseCommand(raw: RawCommand): ParsedCommand {
  const tag = tagOf(raw.lines[0] ?? "");
  if (tag === undefined) return { ok: false, tag: "*", fault: "Expected a tag" };
  const scanner = new Scanner(raw);
  scanner.skip(tag.toUpperCase());
  scanner.space();
  const command = readCommand(scanner);
  scanner.end();
  return scanner.fault === undefined && command !== undefined
    ? { ok: true, tag, command }
    : { ok: false, tag, fault: scanner.fault ?? "Unknown command" };
}

/** 1*<ASTRING-CHAR except "+">, when the line starts with one. */
export function tagOf(line: string): string | undefined {
  const end = line.indexOf(" ");
  const tag = end < 0 ? line : line.slice(0, end);
  if (tag.length > maxTag || !/^[\x21\x23\x24\x26\x27\x2c-\x5b\x5d-\x7a\x7c-\x7e]+$/.test(tag)) {
    return undefined;
  }
  return tag;
}

/** The APPEND whose message is announced by the literal behind these lines, if it is one. */
export function parseAppendStart(raw: RawCommand): ParsedCommand | undefined {
  const tag = tagOf(raw.lines[0] ?? "");
  if (tag === undefined) return undefined;
  const scanner = new Scanner(raw);
  scanner.skip(tag.toUpperCase());
  if (!scanner.skip(" APPEND ")) return undefined;
  // A literal can also be the mailbox: then it is the first one, right behind the command.
  if (scanner.done && raw.literals.length === 0) return undefined;
  const command = readAppend(scanner);
  scanner.end();
  return scanner.fault === undefined
    ? { ok: true, tag, command }
    : { ok: false, tag, fault: scanner.fault };
}

const plain: ReadonlySet<string> = new Set<CommandName>([
  "CAPABILITY",
  "NOOP",
  "LOGOUT",
  "NAMESPACE",
  "CHECK",
  "CLOSE",
  "UNSELECT",
  "IDLE",
  "STARTTLS",
]);

function readCommand(scanner: Scanner): Command | undefined {
  const word = scanner.word();
  if (plain.has(word)) return { name: word as "NOOP" };
  if (word === "EXPUNGE") return { name: "EXPUNGE" };
  if (scanner.fault !== undefined || readers[word] === undefined) {
    scanner.fail("Unknown command");
    return undefined;
  }
  scanner.space();
  return readers[word](scanner);
}

const readers: Readonly<Record<string, (scanner: Scanner) => Command | undefined>> = {
  ID: readId,
  ENABLE: (scanner) => ({ name: "ENABLE", capabilities: readWords(scanner) }),
  LOGIN(scanner) {
    const user = scanner.astring();
    scanner.space();
    return { name: "LOGIN", user, password: scanner.astring() };
  },
  AUTHENTICATE(scanner) {
    const mechanism = scanner.word();
    if (!scanner.skip(" ")) return { name: "AUTHENTICATE", mechanism };
    return { name: "AUTHENTICATE", mechanism, initial: scanner.restOfLine() };
  },
  SELECT: (scanner) => readSelect(scanner, "SELECT"),
  EXAMINE: (scanner) => readSelect(scanner, "EXAMINE"),
  CREATE: (scanner) => ({ name: "CREATE", mailbox: scanner.astring() }),
  DELETE: (scanner) => ({ name: "DELETE", mailbox: scanner.astring() }),
  SUBSCRIBE: (scanner) => ({ name: "SUBSCRIBE", mailbox: scanner.astring() }),
  UNSUBSCRIBE: (scanner) => ({ name: "UNSUBSCRIBE", mailbox: scanner.astring() }),
  RENAME(scanner) {
    const mailbox = scanner.astring();
    scanner.space();
    return { name: "RENAME", mailbox, to: scanner.astring() };
  },
  LIST: readList,
  LSUB(scanner) {
    const reference = scanner.astring();
    scanner.space();
    return { name: "LSUB", reference, pattern: scanner.listMailbox() };
  },
  STATUS: readStatus,
  APPEND(scanner) {
    scanner.fail("APPEND needs a message");
    return undefined;
  },
  FETCH: (scanner) => readFetch(scanner, false),
  STORE: (scanner) => readStore(scanner, false),
  SEARCH: (scanner) => readSearch(scanner, false),
  COPY: (scanner) => readCopy(scanner, "COPY", false),
  MOVE: (scanner) => readCopy(scanner, "MOVE", false),
  UID: readUid,
};

function readUid(scanner: Scanner): Command | undefined {
  const word = scanner.word();
  scanner.space();
  switch (word) {
    case "FETCH":
      return readFetch(scanner, true);
    case "STORE":
      return readStore(scanner, true);
    case "SEARCH":
      return readSearch(scanner, true);
    case "COPY":
    case "MOVE":
      return readCopy(scanner, word, true);
    case "EXPUNGE": // RFC 4315 §2.1
      return { name: "EXPUNGE", set: readSequenceSet(scanner) };
    default:
      scanner.fail("Unknown command");
      return undefined;
  }
}

/** What the client says of itself is read over (RFC 2971 §3.1). */
function readId(scanner: Scanner): Command {
  if (!scanner.skip("NIL")) {
    const pairs = scanner.list(() => scanner.nstring());
    if (pairs.length > 60) scanner.fail("Too many fields");
  }
  return { name: "ID" };
}

function readWords(scanner: Scanner): string[] {
  const words: string[] = [];
  do words.push(scanner.word());
  while (scanner.fault === undefined && scanner.skip(" "));
  return words;
}

function readFetch(scanner: Scanner, uid: boolean): Command {
  const set = readSequenceSet(scanner);
  scanner.space();
  const items = readFetchItems(scanner);
  let changedSince: number | undefined;
  let vanished = false;
  if (scanner.skip(" ")) {
    // RFC 7162 §3.1.4.1 and §3.2.6
    scanner.list(() => {
      if (scanner.skip("CHANGEDSINCE ")) changedSince = scanner.number64();
      else {
        scanner.expect("VANISHED");
        vanished = true;
      }
    });
    if (vanished && (!uid || changedSince === undefined)) scanner.fail("VANISHED goes with UID");
  }
  const command = { name: "FETCH", uid, set, items, vanished } as const;
  return changedSince === undefined ? command : { ...command, changedSince };
}

function readStore(scanner: Scanner, uid: boolean): Command {
  const set = readSequenceSet(scanner);
  scanner.space();
  let unchangedSince: number | undefined;
  if (scanner.skip("(UNCHANGEDSINCE ")) {
    unchangedSince = scanner.number64();
    scanner.expect(") ");
  }
  const mode: StoreCommand["mode"] = scanner.skip("+")
    ? "add"
    : scanner.skip("-")
      ? "remove"
      : "replace";
  scanner.expect("FLAGS");
  const silent = scanner.skip(".SILENT");
  scanner.space();
  const flags = readFlags(scanner);
  const command = { name: "STORE", uid, set, mode, silent, flags } as const;
  return unchangedSince === undefined ? command : { ...command, unchangedSince };
}

const searchReturns: readonly string[] = ["MIN", "MAX", "ALL", "COUNT", "SAVE"];

function readSearch(scanner: Scanner, uid: boolean): Command {
  let give: SearchReturn[] | undefined;
  if (scanner.skip("RETURN ")) {
    give = scanner.list(() => {
      const word = scanner.word();
      if (!searchReturns.includes(word)) scanner.fail("Unknown return option");
      return word as SearchReturn;
    });
    scanner.space();
  }
  let charset: string | undefined;
  if (scanner.skip("CHARSET ")) {
    charset = scanner.astring().toUpperCase();
    scanner.space();
  }
  const command: SearchCommand = { name: "SEARCH", uid, key: readSearchKeys(scanner) };
  return { ...command, ...(give && { give }), ...(charset !== undefined && { charset }) };
}

function readCopy(scanner: Scanner, name: "COPY" | "MOVE", uid: boolean): Command {
  const set = readSequenceSet(scanner);
  scanner.space();
  return { name, uid, set, mailbox: scanner.astring() };
}
