/** What the model-based test does to a store: any list of operations means something. */

import { pick, type Random } from "#base/random";
import type { FlagChange } from "#contracts/store";
import type { MailboxRole } from "#model/mailbox";

export const accounts = ["alice", "bob"] as const;
export type AccountName = (typeof accounts)[number];

/**
 * Mailboxes are numbered as they were first seen in lists, gone ones too; `nowhere` is none. Items of
 * the queue are counted from the latest. Ranges are written as in IMAP: "1:3,7:*". `since` counts back
 * through the mod-sequences seen so far.
 */
export type Operation =
  | Act
  /** At the same time: as if one came behind the other, in whatever order. */
  | { readonly do: "together"; readonly acts: readonly Act[] }
  | { readonly do: "look"; readonly since: number }
  | { readonly do: "reopen"; readonly how: Reopening };

export type Act =
  | {
      readonly do: "accept";
      readonly message: number;
      readonly to: readonly (readonly [account: AccountName, mailbox: number | MailboxRole])[];
      readonly flags: readonly string[];
      readonly bytes: number;
      readonly recipients: number;
    }
  | { readonly do: "refuse"; readonly message: number }
  | {
      readonly do: "append";
      readonly account: AccountName;
      readonly mailbox: number;
      readonly flags: readonly string[];
      readonly bytes: number;
    }
  | {
      readonly do: "set-flags";
      readonly mailbox: number;
      readonly ranges: string;
      readonly mode: FlagChange["mode"];
      readonly flags: readonly string[];
      readonly since?: number;
    }
  | {
      readonly do: "copy" | "move";
      readonly from: number;
      readonly ranges: string;
      readonly to: number;
    }
  | { readonly do: "expunge"; readonly mailbox: number; readonly ranges?: string; all: boolean }
  | {
      readonly do: "create";
      readonly account: AccountName;
      readonly name: string;
      readonly role?: MailboxRole;
    }
  | { readonly do: "rename"; readonly mailbox: number; readonly name: string }
  | { readonly do: "remove"; readonly mailbox: number }
  | { readonly do: "subscribe"; readonly mailbox: number; readonly yes: boolean }
  | { readonly do: "try"; readonly item: number; outcome: "delivered" | "deferred" | "failed" }
  | { readonly do: "notify"; readonly item: number }
  | { readonly do: "hold" | "release" | "drop" | "retry"; readonly item: number }
  | { readonly do: "put" | "take"; readonly what: "account"; readonly name: AccountName }
  | { readonly do: "put" | "take"; readonly what: "hold"; readonly name: AccountName }
  | {
      readonly do: "put" | "take";
      readonly what: "domain" | "alias" | "rule";
      readonly name: string;
    }
  /** Of the message that was seen at this place, counted over and over. */
  | { readonly do: "read-by-other"; readonly account: AccountName; readonly message: number };

/** In an orderly way; after the power failed; after somebody deleted what can be made anew. */
export type Reopening = "stopped" | "cut" | "rebuilt";

export const nowhere = 99;
/** A new account has so many mailboxes. */
const firstBoxes = 6;

const goodNames = ["A", "A/B", "A/B/C", "Z/Y", "Z", "Trash/Old", "inbox/Sub", "INBOX"];
const oddNames = ["", "a//b", " x", "50%", "\u00c9t\u00e9", "E\u0301te\u0301", "a\u0007", "inBox"];
const names = [...goodNames, ...goodNames, ...goodNames, ...oddNames, "x".repeat(990)];
const flagSets = [
  ...[[], ["\\Seen"], ["\\SEEN", "$a"], ["$A"], ["\\Deleted"], ["\\Deleted", "\\Flagged", "b"]],
  ...[
    ["\\Recent", "no flag", "ok"],
    ["\\flagged", "\\Flagged"],
    ["\\Draft", "\\Answered"],
  ],
] as const;
const allRanges = ["1:*", "1", "2", "3", "1:2", "2:4", "1,3", "2,4:*", "7:9"] as const;
const roles = ["inbox", "sent", "junk", "trash", "archive", "drafts"] as const;
const sizes = [0, 40, 300, 3000, 20_000] as const;

type Make<Made> = (random: Random, newId: () => number) => Made;
type Weighted<Made> = readonly (readonly [weight: number, make: Make<Made>])[];

const arrivals: Weighted<Act> = [
  [14, makeAccept],
  [
    3,
    (random) => ({
      do: "append",
      account: someAccount(random),
      mailbox: someBox(random),
      flags: one(random, flagSets),
      bytes: one(random, sizes),
    }),
  ],
];

/** Of what lies in mailboxes. */
const entryActs: Weighted<Act> = [
  [
    9,
    (random) => ({
      do: "set-flags",
      mailbox: someBox(random),
      ranges: one(random, allRanges),
      mode: one(random, ["add", "add", "remove", "replace"] as const),
      flags: one(random, flagSets),
      ...(random.fraction() < 0.3 && { since: pick(random, 6) }),
    }),
  ],
  [
    8,
    (random) => ({
      do: one(random, ["copy", "move"] as const),
      from: someBox(random),
      ranges: one(random, allRanges),
      to: someBox(random),
    }),
  ],
  [
    5,
    (random) => ({
      do: "expunge",
      mailbox: someBox(random),
      ...(random.fraction() < 0.6 && { ranges: one(random, allRanges) }),
      all: random.fraction() < 0.5,
    }),
  ],
];

const renames: Weighted<Act> = [
  [6, (random) => ({ do: "rename", mailbox: someMadeBox(random), name: one(random, names) })],
];

const mailboxActs: Weighted<Act> = [
  [
    4,
    (random) => ({
      do: "create",
      account: someAccount(random),
      name: one(random, names),
      ...(random.fraction() < 0.1 && { role: one(random, roles) }),
    }),
  ],
  [2, (random) => ({ do: "remove", mailbox: someMadeBox(random) })],
  [1, (random) => ({ do: "subscribe", mailbox: someBox(random), yes: random.fraction() < 0.5 })],
];

const otherActs: Weighted<Act> = [
  [1, (random, newId) => ({ do: "refuse", message: someMessage(random, newId) })],
  [
    5,
    (random) => ({
      do: "try",
      item: pick(random, 4),
      outcome: one(random, ["deferred", "deferred", "delivered", "failed"] as const),
    }),
  ],
  [1, (random) => ({ do: "notify", item: pick(random, 4) })],
  [
    5,
    (random) => ({
      do: one(random, ["hold", "release", "drop", "retry"] as const),
      item: pick(random, 4),
    }),
  ],
  [1, (random) => ({ do: "put", what: "account", name: someAccount(random) })],
  [0.3, (random) => ({ do: "take", what: "account", name: someAccount(random) })],
  [
    1,
    (random) => ({
      do: one(random, ["put", "take"] as const),
      what: one(random, ["domain", "alias", "rule"] as const),
      name: one(random, ["b.example", "a.example"] as const),
    }),
  ],
  [1, (random) => ({ do: "put", what: "hold", name: someAccount(random) })],
  [0.5, (random) => ({ do: "take", what: "hold", name: someAccount(random) })],
  [
    2,
    (random) => ({
      do: "read-by-other",
      account: someAccount(random),
      message: pick(random, 1000),
    }),
  ],
];

const operations: Weighted<Operation> = [
  ...arrivals,
  ...entryActs,
  ...renames,
  ...mailboxActs,
  ...otherActs,
  [6, makeTogether],
  [2, (random) => ({ do: "look", since: pick(random, 12) })],
  [2, (random) => ({ do: "reopen", how: one(random, ["stopped", "cut", "rebuilt"] as const) })],
];

/** The same seed gives the same operations. */
export function someOperations(random: Random, count: number): readonly Operation[] {
  let lastId = 0;
  const newId = (): number => {
    lastId += 1;
    return lastId;
  };
  const list: Operation[] = accounts.map((name) => ({ do: "put", what: "account", name }));
  while (list.length < count) list.push(weighted(random, operations)(random, newId));
  return list;
}

function weighted<Made>(random: Random, choices: Weighted<Made>): Make<Made> {
  let at = random.fraction() * choices.reduce((sum, [weight]) => sum + weight, 0);
  const chosen = choices.find(([weight]) => {
    at -= weight;
    return at < 0;
  });
  return (chosen ?? (choices[0] as (typeof choices)[number]))[1];
}

/**
 * Entries that arrive while others are looked at are not among those; so the two do not mix here,
 * where each act has to come before or behind the other.
 */
function makeTogether(random: Random, newId: () => number): Operation {
  const some = random.fraction() < 0.5 ? arrivals : [...entryActs, ...renames];
  const acts = Array.from({ length: 2 + pick(random, 2) }, () =>
    weighted(random, [...some, ...mailboxActs])(random, newId),
  );
  return { do: "together", acts };
}

function makeAccept(random: Random, newId: () => number): Act {
  const to = Array.from({ length: pick(random, 4) }, () => {
    const isByRole = random.fraction() < 0.6;
    const mailbox = isByRole ? one(random, ["inbox", "inbox", "junk"] as const) : someBox(random);
    return [someAccount(random), mailbox] as const;
  });
  return {
    do: "accept",
    message: someMessage(random, newId),
    to,
    flags: random.fraction() < 0.7 ? [] : one(random, flagSets),
    bytes: one(random, sizes),
    recipients: random.fraction() < 0.3 ? 1 + pick(random, 2) : 0,
  };
}

/** Mostly a new one; else one that may have come before. */
function someMessage(random: Random, newId: () => number): number {
  const id = newId();
  return random.fraction() < 0.15 ? 1 + pick(random, id) : id;
}

/** Mostly an early one, which is alive, and holds something. */
function someBox(random: Random): number {
  if (random.fraction() < 0.03) return nowhere;
  return pick(random, random.fraction() < 0.6 ? 4 : 18);
}

/** Mostly one that was made beyond the first ones. */
function someMadeBox(random: Random): number {
  return random.fraction() < 0.8 ? 2 * firstBoxes + pick(random, 5) : pick(random, 2 * firstBoxes);
}

function someAccount(random: Random): AccountName {
  return random.fraction() < 0.75 ? "alice" : "bob";
}

function one<Value>(random: Random, values: readonly Value[]): Value {
  return values[pick(random, values.length)] as Value;
}
