/** Arguments of the commands that name mailboxes (RFC 9051 §6.3, RFC 5258, RFC 5819, RFC 7162). */

import type {
  AppendCommand,
  Command,
  ListCommand,
  QuickResync,
  SelectCommand,
  StatusItem,
} from "./command.ts";
import { readFlags } from "./flags.ts";
import type { Scanner } from "./scanner.ts";
import { readSequenceSet } from "./sequence.ts";

export function readSelect(scanner: Scanner, name: SelectCommand["name"]): Command {
  const mailbox = scanner.astring();
  let condStore = false;
  let resync: QuickResync | undefined;
  if (scanner.skip(" ")) {
    scanner.list(() => {
      if (scanner.skip("QRESYNC ")) resync = readResync(scanner);
      else scanner.expect("CONDSTORE");
      condStore = true; // RFC 7162 §3.2.5: QRESYNC implies it
    });
  }
  return { name, mailbox, condStore, ...(resync && { resync }) };
}

function readResync(scanner: Scanner): QuickResync {
  scanner.expect("(");
  const uidValidity = scanner.number();
  scanner.space();
  const modSeq = scanner.number64();
  let known: QuickResync = { uidValidity, modSeq };
  if (scanner.skip(" ")) {
    if (scanner.peek() !== "(") {
      known = { ...known, knownUids: readSequenceSet(scanner) };
      if (scanner.skip(" ")) readSequenceMatch(scanner);
    } else readSequenceMatch(scanner);
  }
  scanner.expect(")");
  return known;
}

/** A hint that saves work only; it is checked for form and not used. */
function readSequenceMatch(scanner: Scanner): void {
  scanner.expect("(");
  readSequenceSet(scanner);
  scanner.space();
  readSequenceSet(scanner);
  scanner.expect(")");
}

const statusItems: readonly string[] = [
  "MESSAGES",
  "UIDNEXT",
  "UIDVALIDITY",
  "UNSEEN",
  "RECENT",
  "DELETED",
  "SIZE",
  "HIGHESTMODSEQ",
  "MAILBOXID",
];

function readStatusItems(scanner: Scanner): StatusItem[] {
  const items = scanner.list(() => {
    const word = scanner.word();
    if (!statusItems.includes(word)) scanner.fail("Unknown status item");
    return word as StatusItem;
  });
  return [...new Set(items)];
}

export function readStatus(scanner: Scanner): Command {
  const mailbox = scanner.astring();
  scanner.space();
  return { name: "STATUS", mailbox, items: readStatusItems(scanner) };
}

/** Our limit on patterns of one LIST. */
const maxPatterns = 32;

export function readList(scanner: Scanner): Command {
  const select = { subscribed: false, specialUse: false, recursive: false };
  if (scanner.peek() === "(") {
    scanner.list(() => {
      const word = scanner.word();
      if (word === "SUBSCRIBED") select.subscribed = true;
      else if (word === "SPECIAL-USE") select.specialUse = true;
      else if (word === "RECURSIVEMATCH") select.recursive = true;
      else if (word !== "REMOTE") scanner.fail("Unknown selection option");
    });
    // RFC 5258 §3.1: RECURSIVEMATCH needs another option to match by
    if (select.recursive && !select.subscribed && !select.specialUse) {
      scanner.fail("RECURSIVEMATCH alone");
    }
    scanner.space();
  }
  const reference = scanner.astring();
  scanner.space();
  const patterns =
    scanner.peek() === "(" ? scanner.list(() => scanner.listMailbox()) : [scanner.listMailbox()];
  if (patterns.length > maxPatterns) scanner.fail("Too many patterns");
  const give = scanner.skip(" RETURN ") ? readListReturn(scanner) : noReturn;
  return { name: "LIST", reference, patterns, select, give };
}

const noReturn: ListCommand["give"] = { subscribed: false, children: false, status: [] };

function readListReturn(scanner: Scanner): ListCommand["give"] {
  const give = { subscribed: false, children: false, status: [] as StatusItem[] };
  scanner.list(() => {
    const word = scanner.word();
    if (word === "SUBSCRIBED") give.subscribed = true;
    else if (word === "CHILDREN") give.children = true;
    else if (word === "STATUS") {
      scanner.space();
      give.status = readStatusItems(scanner);
    } else if (word !== "SPECIAL-USE") scanner.fail("Unknown return option"); // always given
  });
  return give;
}

/** Up to the literal that holds the message. */
export function readAppend(scanner: Scanner): AppendCommand {
  const mailbox = scanner.astring();
  scanner.space();
  let flags: string[] = [];
  if (scanner.peek() === "(") {
    flags = readFlags(scanner);
    scanner.space();
  }
  let internalDate: string | undefined;
  if (scanner.peek() === '"') {
    internalDate = scanner.string();
    scanner.space();
  }
  const utf8 = scanner.skip("UTF8 (");
  const command: AppendCommand = { name: "APPEND", mailbox, flags, utf8 };
  return internalDate === undefined ? command : { ...command, internalDate };
}
