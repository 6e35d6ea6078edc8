/** LIST, LSUB and STATUS (RFC 9051 §6.3.9-11, RFC 5258, RFC 5819, RFC 6154). */

import type { ListCommand, StatusItem } from "#formats/imap";
import type { Mailbox, MailboxRole } from "#model/mailbox";
import { type Answer, bad, ok, type Talk } from "./context.ts";
import { findMailbox, noSuchMailbox } from "./mailbox-access.ts";
import {
  fullPattern,
  type Listed,
  listedNames,
  matchesPattern,
  nameFromWire,
  nameToWire,
} from "./names.ts";

/** RFC 6154 §2; INBOX has none. */
const specialUse: Readonly<Record<MailboxRole, string>> = {
  inbox: "",
  drafts: "\\Drafts",
  sent: "\\Sent",
  trash: "\\Trash",
  junk: "\\Junk",
  archive: "\\Archive",
};

export async function listMailboxes(talk: Talk, command: ListCommand): Promise<Answer> {
  if (command.patterns.length === 1 && command.patterns[0] === "") {
    talk.out.line('* LIST (\\Noselect) "/" ""'); // §6.3.9: asks for the separator
    return ok("LIST completed");
  }
  const patterns = patternsOf(talk, command.reference, command.patterns);
  if (patterns === undefined) return bad("Bad pattern");
  const all = listedNames(await talk.shared.store.mailboxes.list(talk.account()));
  for (const listed of all) {
    if (!patterns.some((pattern) => matchesPattern(listed.name, pattern))) continue;
    const selected = isSelected(listed, command.select);
    const inside = command.select.recursive && hasSelectedChild(listed, all, command.select);
    if (!selected && !inside) continue;
    talk.out.line(listLine(talk, listed, command, inside));
    if (listed.mailbox !== undefined && command.give.status.length > 0) {
      talk.out.line(await statusLine(talk, listed.mailbox, command.give.status));
    }
    await talk.breathe();
  }
  return ok("LIST completed");
}

/** RFC 3501 §6.3.9. */
export async function listSubscribed(
  talk: Talk,
  reference: string,
  pattern: string,
): Promise<Answer> {
  const patterns = patternsOf(talk, reference, [pattern]);
  if (patterns === undefined) return bad("Bad pattern");
  const [full = ""] = patterns;
  const all = listedNames(await talk.shared.store.mailboxes.list(talk.account()));
  for (const listed of all) {
    if (!matchesPattern(listed.name, full)) continue;
    const subscribed = listed.mailbox?.subscribed === true;
    // "foo/%" hides "foo/bar/baz": its parent is shown in its place
    const inside = full.includes("%") && hasSelectedChild(listed, all, onlySubscribed);
    if (!subscribed && !inside) continue;
    const attribute = subscribed ? "" : "\\Noselect";
    talk.out.line(`* LSUB (${attribute}) "/" ${nameToWire(listed.name, talk.utf8Names)}`);
  }
  return ok("LSUB completed");
}

const onlySubscribed = { subscribed: true, specialUse: false, recursive: false } as const;

function patternsOf(
  talk: Talk,
  reference: string,
  patterns: readonly string[],
): readonly string[] | undefined {
  const full: string[] = [];
  for (const pattern of patterns) {
    const decoded = nameFromWire(`${reference}${pattern}`, talk.utf8Names);
    if (decoded === undefined) return undefined;
    full.push(fullPattern("", decoded));
  }
  return full;
}

function isSelected({ mailbox }: Listed, select: ListCommand["select"]): boolean {
  if (select.subscribed && mailbox?.subscribed !== true) return false;
  return !select.specialUse || (mailbox?.role !== undefined && mailbox.role !== "inbox");
}

function hasSelectedChild(
  parent: Listed,
  all: readonly Listed[],
  select: ListCommand["select"],
): boolean {
  if (!parent.hasChildren) return false;
  return all.some(
    (listed) => listed.name.startsWith(`${parent.name}/`) && isSelected(listed, select),
  );
}

function listLine(talk: Talk, listed: Listed, command: ListCommand, inside: boolean): string {
  const { mailbox, name } = listed;
  const attributes: string[] = [];
  if (mailbox === undefined) {
    attributes.push(talk.enabled.rev2 ? "\\NonExistent" : "\\Noselect");
  } else if (mailbox.role !== undefined && specialUse[mailbox.role] !== "") {
    attributes.push(specialUse[mailbox.role]);
  }
  attributes.push(listed.hasChildren ? "\\HasChildren" : "\\HasNoChildren");
  const wanted = command.give.subscribed || command.select.subscribed;
  if (wanted && mailbox?.subscribed === true) attributes.push("\\Subscribed");
  const info = inside && command.select.subscribed ? ' ("CHILDINFO" ("SUBSCRIBED"))' : "";
  return `* LIST (${attributes.join(" ")}) "/" ${nameToWire(name, talk.utf8Names)}${info}`;
}

export async function statusOf(
  talk: Talk,
  wire: string,
  items: readonly StatusItem[],
): Promise<Answer> {
  const mailbox = await findMailbox(talk, wire);
  if (mailbox === undefined) return noSuchMailbox;
  talk.out.line(await statusLine(talk, mailbox, items));
  return ok("STATUS completed");
}

async function statusLine(
  talk: Talk,
  mailbox: Mailbox,
  items: readonly StatusItem[],
): Promise<string> {
  const pairs: string[] = [];
  for (const item of items) pairs.push(`${item} ${await statusValue(talk, mailbox, item)}`);
  return `* STATUS ${nameToWire(mailbox.name, talk.utf8Names)} (${pairs.join(" ")})`;
}

async function statusValue(
  talk: Talk,
  mailbox: Mailbox,
  item: StatusItem,
): Promise<number | string> {
  switch (item) {
    case "MESSAGES":
      return mailbox.messages;
    case "UIDNEXT":
      return mailbox.uidNext;
    case "UIDVALIDITY":
      return mailbox.uidValidity;
    case "UNSEEN":
      return mailbox.unseen;
    case "DELETED":
      return mailbox.deleted;
    case "SIZE":
      return mailbox.sizeBytes;
    case "HIGHESTMODSEQ":
      talk.enabled.condStore = true; // RFC 7162 §3.1
      return mailbox.highestModSeq;
    case "MAILBOXID":
      return `(${mailbox.id})`;
    case "RECENT": {
      const from = talk.shared.recents.firstOf(mailbox.id);
      if (from >= mailbox.uidNext) return 0;
      const ranges = [{ from, to: Number.POSITIVE_INFINITY }];
      return (await talk.shared.store.mailboxes.entries(mailbox.id, ranges)).length;
    }
  }
}
