/** What is begun in a lane: read from the store, a page at a time, and marked as under way. */

import type { QueuePlace, QueueStore } from "#contracts/store";
import type { QueueItem, QueueItemId } from "#model/queue";
import type { Lane, Target } from "./lanes.ts";
import type { QueueDeps } from "./ports.ts";

export interface GatherDeps extends Pick<QueueDeps, "parameters"> {
  readonly store: Pick<QueueStore, "due">;
  readonly inFlight: Set<QueueItemId>;
  /** The store cannot be read: it is read again soon. */
  readonly troubled: (what: string, error: unknown) => void;
}

export interface Wish {
  /** Messages. */
  readonly most: number;
  readonly nowMs: number;
  /** What has just come goes first. */
  readonly isTurnOfFresh: boolean;
}

export interface Gathered {
  readonly items: readonly QueueItem[];
  /** Whose they are. */
  readonly targets: readonly Target[];
  /** Of which nothing more is due; they left the lane. */
  readonly spent: readonly Target[];
}

/** After a page that could not be read. */
const unreadableMs = 5000;
/** Items that are looked through at once for mail that may pass, and the pause after them. */
const passingPage = 256;
const passingItems = 1024;
const passingMs = 1000;

export async function gather(
  lane: Lane,
  { most, nowMs, isTurnOfFresh }: Wish,
  deps: GatherDeps,
): Promise<Gathered> {
  const { inFlight, parameters } = deps;
  const items: QueueItem[] = [];
  const messages = new Set<string>();
  const targets = new Set<Target>();
  const spent: Target[] = [];
  const isFull = () => items.length >= parameters.recipientsPerMessage;
  let isBroken = false;
  for (const target of turnsOf(lane, isTurnOfFresh)) {
    lane.fresh.delete(target);
    if (target.lane !== lane) continue; // it had its turn as one of the fresh
    for (let limit = most - messages.size; limit > 0; limit = most - messages.size) {
      target.hasNews = false;
      const page = await due(target, { nowMs, limit }, deps);
      isBroken = page === undefined;
      if (page === undefined) break;
      const last = page.at(-1);
      // What came while it was read may stand before it.
      if (last !== undefined && !target.hasNews) target.read = last;
      for (const item of page) {
        if (inFlight.has(item.id)) continue;
        inFlight.add(item.id);
        items.push(item);
        messages.add(item.message);
        targets.add(target);
      }
      if (isFull()) break;
      if (page.length === limit || target.hasNews) continue;
      lane.due.delete(target);
      delete target.lane;
      spent.push(target);
      break;
    }
    if (isBroken || messages.size >= most || isFull()) break;
  }
  if (isBroken) lane.pause(nowMs + unreadableMs, "the queue cannot be read");
  for (const target of targets) {
    // To the end of the lane: the other domains have their turns.
    if (lane.due.delete(target)) lane.due.add(target);
  }
  return { items, targets: [...targets], spent };
}

/** Of a lane that is barred, mail that may go all the same; some of what waits is looked through. */
export async function gatherPassing(
  lane: Lane,
  { most, nowMs }: Wish,
  deps: GatherDeps,
): Promise<Gathered> {
  const { inFlight } = deps;
  const items: QueueItem[] = [];
  const messages = new Set<string>();
  const [target] = lane.due;
  lane.fresh.clear();
  for (let seen = 0; target !== undefined && seen < passingItems; seen += passingPage) {
    const from = { domain: target.domain, read: lane.seenUpTo };
    lane.hasUnseen = false; // until something comes while it is read
    const page = await due(from, { nowMs, limit: passingPage }, deps);
    for (const item of page ?? []) {
      if (messages.size >= most && !messages.has(item.message)) {
        lane.hasUnseen = true;
        return { items, targets: [target], spent: [] };
      }
      lane.seenUpTo = item;
      const mayPass = item.tlsOptional === true && item.requireTls !== true;
      if (!mayPass || inFlight.has(item.id)) continue;
      inFlight.add(item.id);
      items.push(item);
      messages.add(item.message);
    }
    const isMore = page?.length === passingPage;
    lane.hasUnseen ||= page === undefined || isMore;
    if (!isMore) break;
  }
  if (lane.hasUnseen && items.length === 0) {
    lane.pause(nowMs + passingMs, "what waits is looked through");
  }
  return { items, targets: target === undefined || items.length === 0 ? [] : [target], spent: [] };
}

/** @returns undefined when they cannot be read */
async function due(
  { domain, read }: { readonly domain: string; readonly read?: QueuePlace | undefined },
  { nowMs, limit }: { readonly nowMs: number; readonly limit: number },
  { store, troubled }: GatherDeps,
): Promise<readonly QueueItem[] | undefined> {
  try {
    return await store.due(domain, nowMs, limit, read);
  } catch (error) {
    troubled("reading what is due", error);
    return undefined;
  }
}

/** Domains of a lane in the order of their turns; no list of all of them is made. */
function* turnsOf(lane: Lane, isTurnOfFresh: boolean): Generator<Target> {
  if (isTurnOfFresh) yield* lane.fresh;
  yield* lane.due;
}
