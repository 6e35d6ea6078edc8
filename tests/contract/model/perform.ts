/** Operations as calls of a store. */

import type { StagedContent, Store, UidRanges } from "#contracts/store";
import type { SenderVerdict } from "#model/verdict";
import type { Labels } from "./labels.ts";
import { type Act, nowhere } from "./operations.ts";

type ActOf<Do> = Extract<Act, { readonly do: Do }>;
type PeopleAct = Extract<Act, { readonly what: string }>;

interface At {
  readonly store: Store;
  readonly labels: Labels;
}

/** @returns the answer, or the kind of error that came instead */
export async function perform(act: Act, store: Store, labels: Labels): Promise<unknown> {
  try {
    return await call(act, { store, labels });
  } catch (error) {
    return { throws: (error as Error).name };
  }
}

async function call(act: Act, at: At): Promise<unknown> {
  const { store, labels } = at;
  const { mailboxes, queue } = store;
  switch (act.do) {
    case "accept":
      return accept(act, at);
    case "refuse":
      return refuse(act, at);
    case "append": {
      const content = await stage(store, octets("appended", act.bytes));
      const facts = { flags: act.flags, receivedAtMs: 5 };
      return mailboxes.append(act.account, boxOf(labels, act.mailbox), content, facts);
    }
    case "set-flags":
      return setFlags(act, at);
    case "copy":
    case "move": {
      const [from, to] = [boxOf(labels, act.from), boxOf(labels, act.to)];
      return mailboxes.copy(from, rangesOf(act.ranges), to, act.do);
    }
    case "expunge": {
      const ranges = act.ranges === undefined ? undefined : rangesOf(act.ranges);
      return mailboxes.expunge(boxOf(labels, act.mailbox), ranges, act.all ? "any" : "deleted");
    }
    case "create":
      return mailboxes.create(act.account, act.name, act.role);
    case "rename":
      return mailboxes.rename(boxOf(labels, act.mailbox), act.name);
    case "remove":
      return mailboxes.remove(boxOf(labels, act.mailbox));
    case "subscribe":
      return mailboxes.subscribe(boxOf(labels, act.mailbox), act.yes);
    case "try":
      return attempt(act, at);
    case "notify":
      return queue.delayNotified(itemOf(labels, act.item), 60);
    case "hold":
    case "release":
    case "drop":
    case "retry":
      return queue.change(itemOf(labels, act.item), act.do, "admin", 70);
    case "put":
      return put(act, store);
    case "take":
      return take(act, store);
    case "read-by-other": {
      const known = labels.all("message");
      const message = String(known[act.message % known.length] ?? "none");
      const read = { account: act.account, message, by: "auditor", reason: "case 7" };
      return store.audit.readByOther(read);
    }
  }
}

async function accept(act: ActOf<"accept">, { store, labels }: At): Promise<unknown> {
  const { message: number, to, flags } = act;
  // Some contents come again.
  const content = await stage(store, octets(`mail ${number % 7}`, act.bytes + (number % 3)));
  const paths = Array.from({ length: act.recipients }, (_, nth) => `r${nth}@To${nth}.example`);
  const { repeated, entries } = await store.accept({
    id: givenId(number),
    direction: act.recipients > 0 ? "submission" : "inbound",
    connection: { ...connection, ...(number % 2 === 0 && { authenticated: "bob@example.org" }) },
    envelope: {
      reversePath: `s${number}@example.net`,
      recipients: paths.map((path) => ({ path })),
    },
    verdicts: [{ method: "auth", result: "none", login: `${number}` }, authorOf(number)],
    decision: { disposition: "accept", opinions: [] },
    head: Buffer.from(`Return-Path: <s${number}@example.net>\r\n`),
    content,
    acceptedAtMs: 10 * number,
    steps: [{ atMs: 10 * number - 1, program: "edge-smtp", step: "content", text: "it came" }],
    deliveries: to.map(([account, mailbox]) => ({
      account,
      mailbox: typeof mailbox === "number" ? boxOf(labels, mailbox) : mailbox,
      flags,
    })),
    queue: paths.map((recipient, nth) => ({
      id: itemId(number, nth),
      reversePath: "alice@example.org",
      recipient,
      wishes: { notify: ["failure"] } as const,
      utf8: false,
      queuedAtMs: number % 5,
      nextAttemptAtMs: 10 * (number % 4) + nth,
    })),
  });
  return { repeated, entries: repeated ? { unordered: entries } : entries };
}

/** Nobody waits for a refusal: it comes with an act that is waited for, if there is room just then. */
async function refuse({ message }: ActOf<"refuse">, { store }: At): Promise<void> {
  const id = givenId(message);
  for (let tries = 0; tries < 10; tries += 1) {
    store.refused({
      id,
      atMs: 10 * message,
      connection,
      reversePath: "Spammer@example.net",
      recipients: ["alice@example.org"],
      reply: { code: 550, status: "5.7.1", text: ["no", "never"] },
      steps: [],
    });
    await store.people.putDomain({ name: "behind-a-refusal.example" }, "admin");
    if ((await store.traces.show(id)) !== undefined) return;
  }
}

async function setFlags(act: ActOf<"set-flags">, { store, labels }: At): Promise<unknown> {
  const mailbox = boxOf(labels, act.mailbox);
  const { mode, flags, since } = act;
  const unchangedSince =
    since === undefined
      ? undefined
      : (modSeqAgo(labels, labels.accountOf(mailbox) ?? "", since) ?? 0);
  const change = { mode, flags, ...(unchangedSince !== undefined && { unchangedSince }) };
  return store.mailboxes.setFlags(mailbox, rangesOf(act.ranges), change);
}

async function attempt({ item, outcome }: ActOf<"try">, { store, labels }: At): Promise<void> {
  const text = outcome === "delivered" ? "taken" : ["not", "now"];
  const reply = { code: 250, ...(outcome === "failed" && { status: "5.1.1" }), text };
  const facts = { atMs: 50, durationMs: 1, outcome, remote: "mx.to.example", reply };
  const next = outcome === "deferred" ? ([55] as const) : [];
  await store.queue.attempted(itemOf(labels, item), facts, ...next);
}

function put({ what, name }: PeopleAct, { people, retention }: Store): Promise<void> {
  switch (what) {
    case "account": {
      const facts = { address: `${name}@example.org`, displayName: name, createdAtMs: 1 };
      return people.putAccount({ id: name, ...facts }, "admin");
    }
    case "domain":
      return people.putDomain({ name }, "admin");
    case "alias":
      return people.putAlias({ address: `all@${name}`, targets: ["alice@example.org"] }, "admin");
    case "rule":
      return retention.putRule({ account: "alice", mailbox: name, days: 7 }, "admin");
    case "hold":
      return retention.putHold(name, "case 7", "admin");
  }
}

function take({ what, name }: PeopleAct, { people, retention }: Store): Promise<boolean> {
  switch (what) {
    case "account":
      return people.removeAccount(name, "admin");
    case "domain":
      return people.removeDomain(name, "admin");
    case "alias":
      return people.removeAlias(`all@${name}`, "admin");
    case "rule":
      return retention.removeRule("alice", name, "admin");
    case "hold":
      return retention.removeHold(name, "admin");
  }
}

async function stage(store: Store, content: Buffer): Promise<StagedContent> {
  const writer = store.stage();
  const step = 1700;
  for (let at = 0; at < content.length; at += step) {
    await writer.write(content.subarray(at, at + step));
  }
  return writer.finish();
}

function octets(subject: string, bytes: number): Buffer {
  const header = `From: s@example.net\r\nMessage-ID: <${subject.replace(" ", "-")}@example.net>\r\n`;
  const start = Buffer.from(`${header}Subject: ${subject}\r\n\r\n`);
  return bytes === 0 ? Buffer.alloc(0) : Buffer.concat([start, Buffer.alloc(bytes, subject)]);
}

function authorOf(number: number): SenderVerdict {
  return {
    method: "sender",
    result: number % 5 === 0 ? "forged" : "not-verifiable",
    origin: "outside",
    address: `s${number % 4}@example.net`,
    text: "",
    evidence: [],
  };
}

const connection = {
  listener: "smtp",
  clientAddress: "192.0.2.1",
  clientPort: 25,
  helo: "mx.example.net",
  extended: true,
};

/** Labels the ids that the acts bring with them, in the order of the acts. */
export function announce(acts: readonly Act[], labels: Labels): void {
  for (const act of acts) {
    if (act.do !== "accept" && act.do !== "refuse") continue;
    labels.of("given", givenId(act.message));
    labels.of("message", givenId(act.message));
    const items = act.do === "accept" ? act.recipients : 0;
    for (let nth = 0; nth < items; nth += 1) labels.of("item", itemId(act.message, nth));
  }
}

function givenId(message: number): string {
  return message.toString(16).padStart(32, "0");
}

function itemId(message: number, nth: number): string {
  return `q${message}-${nth}`;
}

function boxOf(labels: Labels, index: number): string {
  const known = index === nowhere ? undefined : labels.all("mailbox")[index];
  return String(known ?? "no such mailbox");
}

function itemOf(labels: Labels, index: number): string {
  const items = labels.all("item");
  return String(items[items.length - 1 - index] ?? "no such item");
}

/** The mod-sequence of the account that was seen so many before the latest one, if any was. */
export function modSeqAgo(labels: Labels, account: string, ago: number): number | undefined {
  const seen = labels.modSeqs(account);
  return seen[seen.length - 1 - ago] ?? seen[0];
}

/** "1:3,7:*" */
function rangesOf(text: string): UidRanges {
  return text.split(",").map((range) => {
    const [from = "", to = from] = range.split(":");
    return { from: Number(from), to: to === "*" ? Number.POSITIVE_INFINITY : Number(to) };
  });
}
