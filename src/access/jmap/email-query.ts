/** Email/query (RFC 8621 §4.4), and the windows that all queries share (RFC 8620 §5.5). */

import type { Entry, MessageId } from "#model/mailbox";
import type { Args } from "./arguments.ts";
import { type Answer, type Context, inParallel, realId, stateOf } from "./context.ts";
import { type Candidate, type Filter, folded, readFilter } from "./email-filter.ts";
import { Failure, failed } from "./failure.ts";
import { keywordsOf } from "./keywords.ts";

export async function queryEmails(context: Context, args: Args): Promise<Answer> {
  const filter = readFilter(context, args["filter"]);
  if (filter instanceof Failure) return filter;
  const orders = readSort(args["sort"]);
  if (orders instanceof Failure) return orders;
  const state = await stateOf(context);
  const matches = await matchesOf(context, filter);
  const sorted = await inOrder(context, matches, orders);
  const messages =
    args["collapseThreads"] === true ? await firstOfThreads(context, sorted) : sorted;
  const ids = messages.map((message) => `M${message}`);
  const window = windowOf(context, ids, args);
  if (window instanceof Failure) return window;
  return {
    accountId: context.account,
    queryState: state,
    canCalculateChanges: false,
    collapseThreads: args["collapseThreads"] === true,
    ...window,
  };
}

async function matchesOf(context: Context, filter: Filter): Promise<readonly Candidate[]> {
  const candidates = await candidatesOf(context, filter);
  if (!filter.dear) return candidates.filter((one) => filter.holds(one) === true);
  const held = await inParallel(candidates, 8, async (one) => filter.holds(one));
  return candidates.filter((_, index) => held[index] === true);
}

async function candidatesOf(context: Context, filter: Filter): Promise<readonly Candidate[]> {
  const { mailboxes } = context.store;
  const all = await mailboxes.list(context.account);
  const looked = filter.within === undefined ? all : all.filter((one) => one.id === filter.within);
  const entries: Entry[] = [];
  for (const mailbox of looked) {
    for (const entry of await mailboxes.entries(mailbox.id)) entries.push(entry);
  }
  const grouped = Map.groupBy(entries, (entry) => entry.message);
  if (filter.within !== undefined && !filter.plain) {
    // The same messages may be elsewhere too, and keywords count wherever they are set.
    const whole = await mailboxes.entriesOf(context.account, [...grouped.keys()]);
    const again = Map.groupBy(whole, (entry) => entry.message);
    return [...again].map(([message, own]) => ({ message, entries: own }));
  }
  return [...grouped].map(([message, own]) => ({ message, entries: own }));
}

interface Order {
  readonly dear: boolean;
  readonly ascending: boolean;
  readonly keyOf: (context: Context, one: Candidate) => number | string | Promise<number | string>;
}

export const sortOptions: readonly string[] = [
  "receivedAt",
  "sentAt",
  "size",
  "from",
  "to",
  "subject",
  "hasKeyword",
];

const described = (context: Context, one: Candidate) =>
  context.store.messages.describe(one.message);

const keys: Readonly<Record<string, Pick<Order, "dear" | "keyOf">>> = {
  receivedAt: { dear: false, keyOf: (_, one) => one.entries[0]?.receivedAtMs ?? 0 },
  size: { dear: false, keyOf: (_, one) => one.entries[0]?.sizeBytes ?? 0 },
  sentAt: {
    dear: true,
    keyOf: async (context, one) =>
      (await described(context, one)).envelope.sentAtMs ?? one.entries[0]?.receivedAtMs ?? 0,
  },
  from: {
    dear: true,
    keyOf: async (context, one) => nameKey(await described(context, one), "from"),
  },
  to: { dear: true, keyOf: async (context, one) => nameKey(await described(context, one), "to") },
  subject: {
    dear: true,
    keyOf: async (context, one) => baseSubject((await described(context, one)).envelope.subject),
  },
};

type Described = Awaited<ReturnType<typeof described>>;

function nameKey(description: Described, field: "from" | "to"): string {
  const first = description.envelope[field][0];
  return folded(first?.name ?? first?.email ?? "");
}

/** RFC 5256 §2.1 in its common cases: what answers and forwards put before it is left out. */
function baseSubject(subject: string | null): string {
  let text = folded(subject ?? "")
    .trim()
    .slice(0, 500);
  for (let round = 0; round < 10; round += 1) {
    const cut = text.replace(
      /^((re|fwd?|aw|wg|sv|vs|antw)(\[\d{1,3}\])?:|\[[^\]]{0,60}\])\s*(?=\S)/,
      "",
    );
    if (cut === text) break;
    text = cut;
  }
  return text;
}

function readSort(given: unknown): readonly Order[] | Failure {
  const sort = (given as readonly Args[] | null | undefined) ?? [];
  const orders: Order[] = [];
  for (const one of sort) {
    const property = String(one["property"]);
    const keyword = String(one["keyword"] ?? "").toLowerCase();
    const key =
      property === "hasKeyword" && keyword !== ""
        ? {
            dear: false,
            keyOf: (_: Context, at: Candidate) => Number(keywordsOf(at.entries).has(keyword)),
          }
        : Object.hasOwn(keys, property)
          ? keys[property]
          : undefined;
    if (key === undefined) return failed("unsupportedSort", property.slice(0, 64));
    orders.push({ ...key, ascending: one["isAscending"] !== false });
  }
  return orders;
}

/** Ties fall to the younger message first, then to the id, so that the order is always the same. */
async function inOrder(
  context: Context,
  matches: readonly Candidate[],
  orders: readonly Order[],
): Promise<readonly MessageId[]> {
  const rows = await inParallel(matches, 8, async (one) => ({
    message: one.message,
    receivedAtMs: one.entries[0]?.receivedAtMs ?? 0,
    keys: await Promise.all(orders.map(async (order) => order.keyOf(context, one))),
  }));
  rows.sort((one, other) => {
    for (const [index, order] of orders.entries()) {
      const [left, right] = [one.keys[index] ?? "", other.keys[index] ?? ""];
      if (left !== right) return (left < right ? -1 : 1) * (order.ascending ? 1 : -1);
    }
    if (one.receivedAtMs !== other.receivedAtMs) return other.receivedAtMs - one.receivedAtMs;
    return one.message < other.message ? -1 : 1;
  });
  return rows.map((row) => row.message);
}

/** §4.4.3: of each thread only the message that comes first. */
async function firstOfThreads(
  context: Context,
  messages: readonly MessageId[],
): Promise<readonly MessageId[]> {
  const threads = await inParallel(messages, 8, (message) => context.threads.threadOf(message));
  const seen = new Set<string>();
  return messages.filter((_, index) => {
    const thread = threads[index] ?? "";
    return !seen.has(thread) && seen.add(thread);
  });
}

const mostInWindow = 1000;

/** The asked-for piece of a list of ids: position or anchor, limit, total (RFC 8620 §5.5). */
export function windowOf(context: Context, ids: readonly string[], args: Args): Args | Failure {
  const asked = args["limit"] as number | null | undefined;
  const limit = Math.min(asked ?? mostInWindow, mostInWindow);
  let position = (args["position"] as number | null | undefined) ?? 0;
  const anchor = args["anchor"] as string | null | undefined;
  if (anchor !== null && anchor !== undefined) {
    const at = ids.indexOf(realId(context, anchor));
    if (at < 0) return failed("anchorNotFound");
    position = Math.max(0, at + ((args["anchorOffset"] as number | null | undefined) ?? 0));
  } else if (position < 0) position = Math.max(0, ids.length + position);
  return {
    position: Math.min(position, ids.length),
    ids: ids.slice(position, position + limit),
    ...(args["calculateTotal"] === true && { total: ids.length }),
    ...(limit < (asked ?? Number.POSITIVE_INFINITY) && { limit }),
  };
}
