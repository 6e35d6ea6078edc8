/** Mailbox/get, /changes and /query (RFC 8621 §2). */

import type { Entry, Mailbox, MailboxId } from "#model/mailbox";
import { type Args, isObject } from "./arguments.ts";
import { readChanges } from "./changes.ts";
import { type Answer, type Context, realId, stateOf } from "./context.ts";
import { windowOf } from "./email-query.ts";
import { Failure, failed } from "./failure.ts";
import { sumUp } from "./journal.ts";
import { keywordsOf } from "./keywords.ts";
import { coreLimits, maxFilterNodes } from "./limits.ts";

const properties = [
  "id",
  "name",
  "parentId",
  "role",
  "sortOrder",
  "totalEmails",
  "unreadEmails",
  "totalThreads",
  "unreadThreads",
  "myRights",
  "isSubscribed",
] as const;
type Property = (typeof properties)[number];

const orderOfRoles = ["inbox", "drafts", "sent", "archive", "junk", "trash"];

export function sortOrderOf(mailbox: Mailbox): number {
  const at = orderOfRoles.indexOf(mailbox.role ?? "");
  return at < 0 ? 100 : at + 1;
}

/** The name after the last "/" below a parent that exists. */
export function leafName(mailbox: Mailbox): string {
  if (mailbox.name.toUpperCase() === "INBOX") return "Inbox";
  return mailbox.name.slice(mailbox.name.lastIndexOf("/") + 1);
}

export function parentOf(mailbox: Mailbox, all: readonly Mailbox[]): MailboxId | null {
  const slash = mailbox.name.lastIndexOf("/");
  if (slash < 0) return null;
  const name = mailbox.name.slice(0, slash);
  return all.find((one) => one.name === name)?.id ?? null;
}

export async function getMailboxes(context: Context, args: Args): Promise<Answer> {
  const asked = (args["properties"] as readonly string[] | null | undefined) ?? properties;
  const wrong = asked.find((name) => !(properties as readonly string[]).includes(name));
  if (wrong !== undefined)
    return failed("invalidArguments", `no such property: ${wrong.slice(0, 64)}`);
  const state = await stateOf(context);
  const all = await context.store.mailboxes.list(context.account);
  const ids = args["ids"] as readonly string[] | null | undefined;
  if ((ids?.length ?? 0) > coreLimits.maxObjectsInGet) return failed("requestTooLarge");
  const wanted = new Set(ids?.map((id) => realId(context, id)));
  const found = all.filter((one) => ids === null || ids === undefined || wanted.has(one.id));
  const list: unknown[] = [];
  for (const mailbox of found) {
    const view: Record<string, unknown> = { id: mailbox.id };
    for (const name of asked) view[name] = simple(mailbox, all, name as Property);
    if (asked.includes("totalThreads") || asked.includes("unreadThreads")) {
      const counts = await countThreads(context, mailbox);
      for (const name of ["totalThreads", "unreadThreads"] as const) {
        if (asked.includes(name)) view[name] = counts[name];
      }
    }
    list.push(view);
  }
  const have = new Set(found.map((one) => one.id));
  const notFound = (ids ?? []).filter((id) => !have.has(realId(context, id)));
  return { accountId: context.account, state, list, notFound: [...new Set(notFound)] };
}

function simple(mailbox: Mailbox, all: readonly Mailbox[], name: Property): unknown {
  switch (name) {
    case "id":
      return mailbox.id;
    case "name":
      return leafName(mailbox);
    case "parentId":
      return parentOf(mailbox, all);
    case "role":
      return mailbox.role ?? null;
    case "sortOrder":
      return sortOrderOf(mailbox);
    case "totalEmails":
      return mailbox.messages;
    case "unreadEmails":
      return mailbox.unseen;
    case "isSubscribed":
      return mailbox.subscribed;
    case "myRights":
      return rightsOn(mailbox);
    case "totalThreads":
    case "unreadThreads":
      return 0;
  }
}

function rightsOn(mailbox: Mailbox): Readonly<Record<string, boolean>> {
  const free = mailbox.role === undefined;
  return {
    mayReadItems: true,
    mayAddItems: true,
    mayRemoveItems: true,
    maySetSeen: true,
    maySetKeywords: true,
    mayCreateChild: true,
    mayRename: free,
    mayDelete: free,
    maySubmit: true,
  };
}

async function countThreads(
  context: Context,
  mailbox: Mailbox,
): Promise<{ totalThreads: number; unreadThreads: number }> {
  const all = new Set<string>();
  const unread = new Set<string>();
  for (const entry of await context.store.mailboxes.entries(mailbox.id)) {
    const thread = await context.threads.threadOf(entry.message);
    all.add(thread);
    if (isUnread(entry)) unread.add(thread);
  }
  return { totalThreads: all.size, unreadThreads: unread.size };
}

function isUnread(entry: Entry): boolean {
  const keywords = keywordsOf([entry]);
  return !keywords.has("$seen") && !keywords.has("$draft");
}

const counts = ["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"];

export async function mailboxChanges(context: Context, args: Args): Promise<Answer> {
  const asked = await readChanges(context, args);
  if (asked instanceof Failure) return asked;
  const { oldState, most, events } = asked;
  const all = await context.store.mailboxes.list(context.account);
  const now = new Set(all.map((one) => one.id));
  const made = new Set(events.flatMap((one) => (one.kind === "made" ? one.mailbox : [])));
  const changes = sumUp(events, {
    oldState,
    most,
    idOf: (event) => event.mailbox,
    fate: (id) => {
      if (now.has(id)) return made.has(id) ? "created" : "updated";
      return made.has(id) ? "nothing" : "destroyed";
    },
  });
  const updated = new Set(changes.updated);
  const reshaped = events.some((one) => one.kind === "reshaped" && updated.has(one.mailbox));
  return {
    accountId: context.account,
    oldState,
    ...changes,
    updatedProperties: updated.size > 0 && !reshaped ? counts : null,
  };
}

export async function queryMailboxes(context: Context, args: Args): Promise<Answer> {
  const queryState = await stateOf(context);
  const all = await context.store.mailboxes.list(context.account);
  const left = { left: maxFilterNodes };
  const filter = args["filter"] ?? null;
  const test = filter === null ? () => true : mailboxTest(context, all, filter, left);
  if (test instanceof Failure) return test;
  const sort = (args["sort"] as readonly Args[] | null | undefined) ?? [];
  const wrong = sort.find((one) => !["name", "sortOrder"].includes(String(one["property"])));
  if (wrong !== undefined) return failed("unsupportedSort");
  const sorted = [...all].sort((one, other) => compare(one, other, sort));
  const found = args["sortAsTree"] === true ? asTree(sorted, all) : sorted;
  const matching = new Set(found.filter(test).map((one) => one.id));
  const shown = found.filter((one) => {
    if (args["filterAsTree"] !== true) return matching.has(one.id);
    for (let at: Mailbox | undefined = one; at !== undefined; ) {
      if (!matching.has(at.id)) return false;
      const parent: MailboxId | null = parentOf(at, all);
      at = all.find((two) => two.id === parent);
    }
    return true;
  });
  const window = windowOf(
    context,
    shown.map((one) => one.id),
    args,
  );
  if (window instanceof Failure) return window;
  return { accountId: context.account, queryState, canCalculateChanges: false, ...window };
}

function compare(one: Mailbox, other: Mailbox, sort: readonly Args[]): number {
  for (const rule of sort) {
    const sign = rule["isAscending"] === false ? -1 : 1;
    const order =
      rule["property"] === "name"
        ? leafName(one).localeCompare(leafName(other), "en")
        : sortOrderOf(one) - sortOrderOf(other);
    if (order !== 0) return order * sign;
  }
  return one.id < other.id ? -1 : one.id === other.id ? 0 : 1;
}

/** Parents before their children, in the given order among siblings. */
function asTree(sorted: readonly Mailbox[], all: readonly Mailbox[]): readonly Mailbox[] {
  const children = Map.groupBy(sorted, (one) => parentOf(one, all));
  const found: Mailbox[] = [];
  const open = [...(children.get(null) ?? [])].reverse();
  while (open.length > 0) {
    const next = open.pop() as Mailbox;
    found.push(next);
    open.push(...[...(children.get(next.id) ?? [])].reverse());
  }
  return found;
}

type MailboxTest = (mailbox: Mailbox) => boolean;

function mailboxTest(
  context: Context,
  all: readonly Mailbox[],
  given: unknown,
  left: { left: number },
): MailboxTest | Failure {
  left.left -= 1;
  if (left.left < 0 || !isObject(given)) return failed("unsupportedFilter");
  if (Object.hasOwn(given, "operator")) {
    if (!Array.isArray(given["conditions"])) return failed("invalidArguments", "filter");
    const tests: MailboxTest[] = [];
    for (const one of given["conditions"]) {
      const test = mailboxTest(context, all, one, left);
      if (test instanceof Failure) return test;
      tests.push(test);
    }
    const { operator } = given;
    if (operator === "AND") return (one) => tests.every((test) => test(one));
    if (operator === "OR") return (one) => tests.some((test) => test(one));
    if (operator === "NOT") return (one) => !tests.some((test) => test(one));
    return failed("unsupportedFilter", "operator");
  }
  const tests: MailboxTest[] = [];
  for (const [name, value] of Object.entries(given)) {
    const wanted = typeof value === "string" ? realId(context, value) : value;
    if (name === "parentId") tests.push((one) => parentOf(one, all) === wanted);
    else if (name === "name" && typeof value === "string") {
      tests.push((one) => leafName(one).toLowerCase().includes(value.toLowerCase()));
    } else if (name === "role") tests.push((one) => (one.role ?? null) === value);
    else if (name === "hasAnyRole") tests.push((one) => (one.role !== undefined) === value);
    else if (name === "isSubscribed") tests.push((one) => one.subscribed === value);
    else return failed("unsupportedFilter", name.slice(0, 64));
  }
  return (one) => tests.every((test) => test(one));
}
