/** When a certificate is ordered, and when again after a failure. */

import type { X509Certificate } from "node:crypto";
import type { Clock, Timer } from "#base/clock";
import type { Random } from "#base/random";
import { hasName } from "#edge/certify";
import type { CertificateEvents } from "./events.ts";
import { daysLeft } from "./judge.ts";
import { type Place, servedChain } from "./places.ts";
import type { PlaceName } from "./settings.ts";

/** Why a place needs another certificate; undefined: it does not. */
export function dueReason(
  chain: readonly X509Certificate[],
  names: readonly string[],
  nowMs: number,
): string | undefined {
  const [leaf] = chain;
  if (leaf === undefined) return "nothing readable is served";
  // What an installation makes for itself until somebody gives it a real one.
  if (/^CN=Postern /m.test(leaf.issuer)) return "our own authority signed it";
  const lacking = names.find((name) => !hasName(leaf, name));
  if (lacking !== undefined) return `${lacking} is not in it`;
  const fromMs = leaf.validFromDate.getTime();
  const lifeMs = leaf.validToDate.getTime() - fromMs;
  return nowMs >= fromMs + (lifeMs * 2) / 3 ? "two thirds of its life are over" : undefined;
}

const minuteMs = 60_000;
const firstPauseMs = 15 * minuteMs;
const longestPauseMs = 24 * 60 * minuteMs;

/** Doubled with each failure, and never the same for two installations that failed together. */
export function pauseAfter(failures: number, random: Random): number {
  const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(failures - 1, 10));
  return Math.round(pauseMs * (0.75 + random.fraction() / 2));
}

export interface Attempt {
  readonly place: PlaceName;
  /** "not-due": what is served is good for a while. */
  readonly outcome: "not-due" | "waiting" | "installed" | "failed";
  readonly why: string;
  /** Of a failure: not tried by itself before. */
  readonly againAtMs?: number;
}

export interface RenewalPorts {
  readonly places: readonly Place[];
  readonly clock: Clock;
  readonly random: Random;
  readonly events: CertificateEvents;
  /** Before each look: which names there are may have changed. */
  readonly prepare?: () => Promise<void>;
  /** Absent: nothing is ordered, the days are counted all the same. */
  readonly order?: (place: Place) => Promise<void>;
}

export interface Renewal extends Disposable {
  /**
   * Looks at every place and orders where it is due.
   *
   * @param wish `now`: whatever failed lately; `all`: whether due or not
   */
  look(wish?: { readonly now?: boolean; readonly all?: boolean }): Promise<readonly Attempt[]>;
  /** What came of the last look at each place. */
  attempts(): readonly Attempt[];
}

const firstLookMs = 5000;
const everyMs = 60 * minuteMs;
/** A place that could not be asked: its link may be coming up. */
const soonMs = minuteMs;

export function startRenewal(ports: RenewalPorts): Renewal {
  return new Looking(ports);
}

class Looking implements Renewal {
  readonly #ports: RenewalPorts;
  readonly #last = new Map<PlaceName, Attempt>();
  readonly #failures = new Map<PlaceName, number>();
  #turn: Promise<unknown> = Promise.resolve();
  #timer: Timer;
  #stopped = false;

  constructor(ports: RenewalPorts) {
    this.#ports = ports;
    this.#timer = ports.clock.after(firstLookMs, () => void this.look());
  }

  attempts(): readonly Attempt[] {
    return [...this.#last.values()];
  }

  look(wish: { readonly now?: boolean; readonly all?: boolean } = {}): Promise<readonly Attempt[]> {
    // One order at a time: a place has room for one key that waits.
    const turn = this.#turn.then(() => this.#lookAtAll(wish));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#timer.cancel();
  }

  async #lookAtAll(wish: { now?: boolean; all?: boolean }): Promise<readonly Attempt[]> {
    this.#timer.cancel();
    await this.#ports.prepare?.();
    for (const place of this.#ports.places) {
      if (this.#stopped) break;
      this.#last.set(place.name, await this.#lookAt(place, wish));
    }
    this.#schedule();
    return this.attempts();
  }

  #schedule(): void {
    if (this.#stopped) return;
    const { clock, random } = this.#ports;
    const isMissing = this.attempts().some(({ outcome }) => outcome === "waiting");
    const pauseMs = (isMissing ? soonMs : everyMs) * (0.9 + random.fraction() / 5);
    this.#timer = clock.after(pauseMs, () => void this.look());
  }

  async #lookAt(place: Place, wish: { now?: boolean; all?: boolean }): Promise<Attempt> {
    const { clock, events, order } = this.#ports;
    const of = { place: place.name };
    const nowMs = clock.nowMs();
    let why: string | undefined;
    try {
      const chain = await servedChain(place);
      if (chain[0] !== undefined) events.seen(place.name, daysLeft(chain[0], nowMs));
      why = dueReason(chain, place.settings.names, nowMs) ?? (wish.all ? "asked for" : undefined);
    } catch (error) {
      return { ...of, outcome: "waiting", why: wordsOf(error) };
    }
    if (why === undefined || order === undefined) {
      return { ...of, outcome: "not-due", why: why ?? "good" };
    }
    const before = this.#last.get(place.name);
    const isEarly = before?.againAtMs !== undefined && nowMs < before.againAtMs;
    if (isEarly && before !== undefined && !wish.now && !wish.all) return before;
    return this.#order(place, why, order);
  }

  async #order(
    place: Place,
    why: string,
    order: (place: Place) => Promise<void>,
  ): Promise<Attempt> {
    const { clock, random, events } = this.#ports;
    try {
      await order(place);
    } catch (error) {
      const failures = (this.#failures.get(place.name) ?? 0) + 1;
      this.#failures.set(place.name, failures);
      const pauseMs = pauseAfter(failures, random);
      events.orderFailed(place.name, wordsOf(error), pauseMs);
      const againAtMs = clock.nowMs() + pauseMs;
      return { place: place.name, outcome: "failed", why: wordsOf(error), againAtMs };
    }
    this.#failures.delete(place.name);
    events.ordered(place.name);
    const [leaf] = await servedChain(place).catch(() => []);
    if (leaf !== undefined) events.seen(place.name, daysLeft(leaf, clock.nowMs()));
    return { place: place.name, outcome: "installed", why };
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
