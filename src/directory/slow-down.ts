/** Failures per account and per network, forgotten one by one: slows guessing without a lock. */

import type { Clock } from "#base/clock";

/** Our limit on remembered keys; the least recently touched goes first. */
const maxKeys = 100_000;

/** A leaking bucket per key: `burst` failures at once, then one per `recoveryMs`. */
export class Failures {
  readonly #clock: Clock;
  readonly #burst: number;
  readonly #recoveryMs: number;
  readonly #levels = new Map<string, { level: number; atMs: number }>();

  constructor(clock: Clock, burst: number, recoveryMs: number) {
    this.#clock = clock;
    this.#burst = burst;
    this.#recoveryMs = recoveryMs;
  }

  /** Counts a try as failed before its outcome is known, so that tries at once count too. */
  charge(key: string): boolean {
    const level = this.#level(key);
    if (level + 1 > this.#burst) return false;
    this.#put(key, level + 1);
    return true;
  }

  /** The try turned out to be honest, or was not made. */
  refund(key: string): void {
    const level = this.#level(key) - 1;
    if (level > 0) this.#put(key, level);
    else this.#levels.delete(key);
  }

  #level(key: string): number {
    const one = this.#levels.get(key);
    if (one === undefined) return 0;
    return Math.max(0, one.level - (this.#clock.tickMs() - one.atMs) / this.#recoveryMs);
  }

  #put(key: string, level: number): void {
    this.#levels.delete(key);
    this.#levels.set(key, { level, atMs: this.#clock.tickMs() });
    if (this.#levels.size > maxKeys) this.#levels.delete(this.#levels.keys().next().value ?? "");
  }
}

/** Keys with a moment at which they stop to count. */
export class Remembered {
  readonly #clock: Clock;
  readonly #lastsMs: number;
  readonly #until = new Map<string, number>();

  constructor(clock: Clock, lastsMs: number) {
    this.#clock = clock;
    this.#lastsMs = lastsMs;
  }

  add(key: string): void {
    if (this.#lastsMs === 0) return;
    this.#until.delete(key);
    this.#until.set(key, this.#clock.tickMs() + this.#lastsMs);
    if (this.#until.size > maxKeys) this.#until.delete(this.#until.keys().next().value ?? "");
  }

  has(key: string): boolean {
    const untilMs = this.#until.get(key);
    if (untilMs === undefined) return false;
    if (untilMs > this.#clock.tickMs()) return true;
    this.#until.delete(key);
    return false;
  }
}

export interface GuardLimits {
  /** Failures at once from strange networks for one account, and from one network. */
  readonly accountFailures: number;
  readonly networkFailures: number;
  /** After so long one failure is forgotten. */
  readonly recoveryMs: number;
  /** For so long a network is known from which somebody was let in. */
  readonly knownMs: number;
}

/** One try, counted as failed until it is said otherwise. */
export interface Try {
  /** Somebody was let in from this network before. */
  readonly known: boolean;
  /** It was no failure, or was not made. */
  refund(): void;
  /** It was right: the network is known from now on. */
  welcome(): void;
}

/**
 * Tries per account and per network. A pair that was let in before answers for itself alone, so
 * that strangers who guess at an account, or at others behind the same address, never shut its
 * owner out.
 */
export class Guard {
  readonly #byAccount: Failures;
  readonly #byNetwork: Failures;
  readonly #byPair: Failures;
  readonly #knownPairs: Remembered;

  constructor(clock: Clock, limits: GuardLimits) {
    const { accountFailures, networkFailures, recoveryMs, knownMs } = limits;
    this.#byAccount = new Failures(clock, accountFailures, recoveryMs);
    this.#byNetwork = new Failures(clock, networkFailures, recoveryMs);
    this.#byPair = new Failures(clock, accountFailures, recoveryMs);
    this.#knownPairs = new Remembered(clock, knownMs);
  }

  /** @returns undefined when there were too many failures */
  enter(account: string, network: string): Try | undefined {
    const pair = `${account} ${network}`;
    const known = this.#knownPairs.has(pair);
    const counted: readonly (readonly [Failures, string])[] = known
      ? [[this.#byPair, pair]]
      : [
          [this.#byNetwork, network],
          [this.#byAccount, account],
        ];
    const charged: (readonly [Failures, string])[] = [];
    const refund = (): void => {
      for (const [failures, key] of charged) failures.refund(key);
    };
    for (const one of counted) {
      if (!one[0].charge(one[1])) {
        refund();
        return undefined;
      }
      charged.push(one);
    }
    return {
      known,
      refund,
      welcome: () => {
        refund();
        this.#knownPairs.add(pair);
      },
    };
  }
}
