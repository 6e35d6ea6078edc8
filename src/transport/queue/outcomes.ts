/** What becomes of items: tries recorded, senders told, and what waits too long. */

import { Unavailable } from "#base/errors";
import type { Attempt, QueueItem, QueueItemId } from "#model/queue";
import type { QueueEvents } from "./events.ts";
import { isWanted, type NoticeKind, noticeFor } from "./notices.ts";
import { domainOf, type Planner } from "./planner.ts";
import type { QueueDeps } from "./ports.ts";
import { nextAttemptAt } from "./schedule.ts";

/** Notices that could not be committed and wait for the next turn: our limit. */
const maxUnsent = 1000;
/** How old an outcome may be whose notice a crash may have swallowed. */
const recoveryMs = 86_400_000;
/** Of those that wait for long, looked at together; and how many in one turn. */
const pageItems = 256;
const turnItems = 4096;

type Ports = "store" | "messages" | "notice" | "attempted" | "outage" | "wayTo";
export type OutcomeDeps = Pick<
  QueueDeps,
  Ports | "clock" | "random" | "parameters" | "heloName" | "postmaster"
> & {
  readonly events: QueueEvents;
  readonly inFlight: Set<QueueItemId>;
  readonly planner: Pick<Planner, "deadEnd">;
};

type AgePlace = Pick<QueueItem, "queuedAtMs" | "id">;

export class Outcomes {
  readonly #deps: OutcomeDeps;
  readonly #unsent = new Map<string, () => Promise<void>>();
  #unrecorded: (() => Promise<void>)[] = [];
  #isFull = false;
  /** Older ones were told that they are late, or want no such notice. */
  #toldUpTo: AgePlace | undefined;
  /** Of those that are too old, the last that was looked at; absent: the oldest is next. */
  #oldUpTo: AgePlace | undefined;
  readonly #startedAtMs: number;

  constructor(deps: OutcomeDeps) {
    this.#deps = deps;
    this.#startedAtMs = deps.clock.nowMs();
  }

  /** The store takes no record of outcomes: what began now would be sent again after a start. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Durable first; only then is anybody told, and only then may the item be tried again. */
  async record(item: QueueItem, tried: Attempt, reported: boolean): Promise<void> {
    const { store, clock, random, parameters, events, inFlight } = this.#deps;
    const isDeferred = tried.outcome === "deferred";
    const next = isDeferred ? nextAttemptAt(item, clock.nowMs(), random, parameters) : undefined;
    const attempt = isDeferred && next === undefined ? givenUp(tried) : tried;
    try {
      await store.attempted(item.id, attempt, next);
    } catch (error) {
      // It stays in flight: to try what may have been delivered would make a second copy.
      events.troubled("recording an attempt", error, item);
      this.#unrecorded.push(() => this.record(item, tried, reported));
      this.#isFull ||= error instanceof Unavailable;
      return;
    }
    inFlight.delete(item.id);
    events.attempted(item, domainOf(item), attempt);
    this.#deps.attempted?.(item, attempt);
    await this.#tell(item, attempt, reported);
  }

  async #tell(item: QueueItem, attempt: Attempt, reported: boolean): Promise<void> {
    if (attempt.outcome === "delivered") {
      // RFC 3461 §5.2.2: where the next server knows DSN, the confirmation is its business.
      return reported ? undefined : this.#notify(item, attempt, "success");
    }
    if (attempt.outcome === "failed") {
      // RFC 5321 §6.1: nobody is told that a notice was lost, but the administrator can see it.
      if (item.reversePath === "") this.#deps.events.doubleBounced(item, attempt);
      return this.#notify(item, attempt, "failure");
    }
    if (this.#isLate(item)) await this.#tellDelay(item, attempt);
  }

  #isLate({ queuedAtMs, delayNotifiedAtMs }: QueueItem): boolean {
    const { clock, parameters } = this.#deps;
    if (parameters.delayNoticeS === 0 || delayNotifiedAtMs !== undefined) return false;
    return clock.nowMs() - queuedAtMs >= parameters.delayNoticeS * 1000;
  }

  async #tellDelay(item: QueueItem, attempt: Attempt): Promise<void> {
    const { store, clock } = this.#deps;
    await this.#notify(item, attempt, "delay", () => store.delayNotified(item.id, clock.nowMs()));
  }

  async #notify(
    item: QueueItem,
    attempt: Attempt,
    kind: NoticeKind,
    then?: () => Promise<void>,
  ): Promise<void> {
    if (!isWanted(item, kind)) return;
    const { messages, heloName, parameters, notice, postmaster, events } = this.#deps;
    const send = async (): Promise<void> => {
      // Whoever dropped it while it was under way wants nobody to be told.
      if ((await this.#deps.store.get(item.id))?.state === "dropped") return;
      const deps = { messages, reportingHost: heloName, giveUpS: parameters.giveUpS, postmaster };
      await notice(await noticeFor(item, attempt, kind, deps));
      await then?.();
      events.notified(item, kind);
    };
    try {
      await send();
    } catch (error) {
      events.troubled("a notice", error, item);
      if (this.#unsent.size < maxUnsent) this.#unsent.set(`${item.id}\0${kind}`, send);
    }
  }

  async retryRecords(): Promise<void> {
    this.#isFull = false;
    for (const again of this.#unrecorded.splice(0)) await again();
  }

  async retryNotices(): Promise<void> {
    for (const [key, send] of this.#unsent) {
      try {
        await send();
        this.#unsent.delete(key);
      } catch (error) {
        // What hinders one hinders all, unless it is the message's own fault; the next turn tries again.
        if (error instanceof Unavailable) return;
      }
    }
  }

  /** A crash between an outcome and its notice: ids are fixed, so a second commit does nothing. */
  async recoverNotices(): Promise<void> {
    const { store, clock } = this.#deps;
    for (const item of await store.list({ state: "failed", limit: 1000 })) {
      const { last } = item;
      if (last !== undefined && clock.nowMs() - last.atMs < recoveryMs) {
        await this.#notify(item, last, "failure");
      }
    }
  }

  /**
   * Items that share the fate of a dead place are not tried one by one, but their senders are told,
   * and in the end they are given up, all the same.
   *
   * @returns whether there is more to do at once
   */
  async sweep(): Promise<boolean> {
    const isMoreLate = await this.#sweepLate();
    const isMoreOld = await this.#sweepOld();
    return isMoreLate || isMoreOld;
  }

  async #sweepLate(): Promise<boolean> {
    const { store, clock, parameters, inFlight } = this.#deps;
    if (parameters.delayNoticeS === 0) return false;
    const beforeMs = clock.nowMs() - parameters.delayNoticeS * 1000;
    for (let done = 0; done < turnItems; done += pageItems) {
      const page = await store.waitingSince(beforeMs, pageItems, this.#toldUpTo);
      const late = page.filter((item) => this.#isLate(item) && !inFlight.has(item.id));
      await Promise.all(late.map((item) => this.#tellDelay(item, this.#lastOf(item))));
      const last = page.at(-1);
      if (last !== undefined) this.#toldUpTo = { queuedAtMs: last.queuedAtMs, id: last.id };
      if (page.length < pageItems) return false;
    }
    return true;
  }

  /**
   * Whatever has not been asked since the start may still listen: that is tried first.
   *
   * @returns whether more is to be given up at once
   */
  async #sweepOld(): Promise<boolean> {
    const { store, clock, parameters, inFlight } = this.#deps;
    const beforeMs = clock.nowMs() - parameters.giveUpS * 1000;
    let isMore = false;
    for (let done = 0; done < turnItems; done += pageItems) {
      const page = await store.waitingSince(beforeMs, pageItems, this.#oldUpTo);
      const old = page.filter((item) => !inFlight.has(item.id) && this.#isHopeless(item));
      await Promise.all(
        old.map((item) => {
          inFlight.add(item.id);
          return this.record(item, this.#lastOf(item), false);
        }),
      );
      isMore ||= old.length > 0;
      const last = page.at(-1);
      this.#oldUpTo = page.length < pageItems ? undefined : last;
      if (page.length < pageItems) return false;
    }
    return isMore;
  }

  #isHopeless(item: QueueItem): boolean {
    const { clock, planner, outage, wayTo, parameters } = this.#deps;
    if (planner.deadEnd(item) !== undefined) return true;
    const nowMs = clock.nowMs();
    const via = wayTo(domainOf(item), nowMs).connector.via;
    return outage?.(via) !== undefined && nowMs - this.#startedAtMs > parameters.maxRetryS * 1000;
  }

  /** What was said last of it or of its place, or why nothing was. */
  #lastOf(item: QueueItem): Attempt {
    const { clock, planner, outage, wayTo } = this.#deps;
    const atMs = clock.nowMs();
    const { connector } = wayTo(domainOf(item), atMs);
    const facts = { atMs, durationMs: 0, outcome: "deferred", connector: connector.name } as const;
    const place = planner.deadEnd(item);
    if (place !== undefined && place.atMs > (item.last?.atMs ?? 0)) {
      const { remote, reply, answered } = place;
      return { ...facts, remote, reply, ...(!answered && { unanswered: true }) };
    }
    if (item.last !== undefined) return { ...item.last, atMs, durationMs: 0 };
    const text = outage?.(connector.via) ?? "it waits for its turn";
    const reply = { code: 451, status: "4.3.0", text };
    return { ...facts, remote: domainOf(item), reply, unanswered: true };
  }
}

function givenUp(attempt: Attempt): Attempt {
  const { code, text } = attempt.reply;
  const words = typeof text === "string" ? [text] : text;
  const reply = {
    code: 554,
    status: "5.4.7",
    text: [`given up after too long; the last answer was ${code}`, ...words],
  };
  return { ...attempt, outcome: "failed", reply };
}
