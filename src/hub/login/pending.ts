/** Logins that are under way: in memory, bound to host and computer, good for few tries and once. */

import { hash } from "node:crypto";
import type { Clock } from "#base/clock";
import type { Random } from "#base/random";

/** Where a login goes on must be where it began. */
export interface PendingPlace {
  readonly host: string;
  readonly publicComputer: boolean;
}

export interface Pending<Facts> extends PendingPlace {
  readonly facts: Facts;
}

interface Kept<Facts> extends Pending<Facts> {
  readonly owner: string;
  readonly endsAtTick: number;
  tries: number;
}

export const pendingMs = 300_000;
export const pendingTries = 5;
/** Of one owner the oldest gives way; of all nobody's does, so that a flood ends at the newest. */
const mostPerOwner = 10;
const mostInAll = 20_000;

export class PendingLogins<Facts> {
  readonly #clock: Clock;
  readonly #random: Random;
  /** By the handle's digest, the oldest first: all live equally long. */
  readonly #kept = new Map<string, Kept<Facts>>();
  readonly #byOwner = new Map<string, Set<string>>();
  readonly #finished = new WeakSet<Pending<Facts>>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** @returns 32 random octets, base64url: the only copy */
  handle(): string {
    return this.#random.bytes(32).toString("base64url");
  }

  /**
   * @param owner whom it counts for: an address, and the account whose password was right
   * @returns false when too many are under way
   */
  add(handle: string, owner: string, pending: Pending<Facts>): boolean {
    this.#sweep();
    const own = this.#byOwner.get(owner) ?? new Set();
    const oldest = own.size >= mostPerOwner ? own.values().next().value : undefined;
    if (oldest !== undefined) this.#remove(oldest);
    if (this.#kept.size >= mostInAll) return false;
    const digest = digestOf(handle);
    const endsAtTick = this.#clock.tickMs() + pendingMs;
    this.#kept.set(digest, { ...pending, owner, endsAtTick, tries: 0 });
    this.#byOwner.set(owner, own.add(digest));
    return true;
  }

  /** Counts as a try. Undefined when there is none, for that host, any more. */
  try(handle: string, host: string): Pending<Facts> | undefined {
    this.#sweep();
    const digest = digestOf(handle);
    const one = this.#kept.get(digest);
    if (one === undefined || one.host !== host) return undefined;
    one.tries += 1;
    if (one.tries >= pendingTries) this.#remove(digest);
    return one;
  }

  /** As `try`, for a step that nothing can be guessed in. */
  peek(handle: string, host: string): Pending<Facts> | undefined {
    this.#sweep();
    const one = this.#kept.get(digestOf(handle));
    return one?.host === host ? one : undefined;
  }

  /** @returns false when another step has ended it already: only one session may come of it */
  finish(handle: string, one: Pending<Facts>): boolean {
    if (this.#finished.has(one)) return false;
    this.#finished.add(one);
    this.#remove(digestOf(handle));
    return true;
  }

  endWhere(isMeant: (facts: Facts) => boolean): void {
    for (const [digest, one] of this.#kept) if (isMeant(one.facts)) this.#remove(digest);
  }

  #sweep(): void {
    const tick = this.#clock.tickMs();
    for (const [digest, one] of this.#kept) {
      if (one.endsAtTick > tick) break;
      this.#remove(digest);
    }
  }

  #remove(digest: string): void {
    const one = this.#kept.get(digest);
    if (one === undefined) return;
    this.#kept.delete(digest);
    const own = this.#byOwner.get(one.owner);
    own?.delete(digest);
    if (own?.size === 0) this.#byOwner.delete(one.owner);
  }
}

/** A handle of the wrong shape costs no more than a hash of a few octets. */
function digestOf(handle: string): string {
  return hash("sha256", handle.slice(0, 64), "base64");
}
