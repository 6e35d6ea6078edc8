/** What every connection of the front shares, whichever version of HTTP it speaks. */

import type { Clock } from "#base/clock";
import type { WebLimits } from "#proxy";
import type { WebEvents } from "./events.ts";
import type { Incoming } from "./incoming.ts";

/** How often all connections are looked at; no time-out is finer. */
export const sweepEveryMs = 500;

/** The moment of the last sweep: exact enough for time-outs, and free to ask. */
export interface Moment {
  tickMs: number;
  /** For the Date field (RFC 9110 §5.6.7). */
  date: string;
}

export function momentOf(clock: Clock): Moment {
  return { tickMs: clock.tickMs(), date: new Date(clock.nowMs()).toUTCString() };
}

export interface Front {
  readonly limits: WebLimits;
  readonly events: WebEvents;
  readonly now: Readonly<Moment>;
  readonly onRequest: (incoming: Incoming) => void;
}

export interface Client {
  readonly address: string;
  /** Server name of the handshake; "" for a client that named none. */
  readonly serverName: string;
}

/** A connection as its listener holds it. */
export interface Held {
  /** Called every `sweepEveryMs`: ends what has taken too long. */
  sweep(): void;
  destroy(): void;
}

/** Below this a body only keeps a place (W14): octets in each window of time. */
const windowMs = 30_000;
const windowBytes = 8_192;

/** Whether a body comes fast enough; a client that waits for us is not measured. */
export class BodyPace {
  #sinceMs: number;
  #octets = 0;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  came(lengthBytes: number): void {
    this.#octets += lengthBytes;
  }

  /** @param held we took nothing because whoever takes the body is slow */
  isTooSlow(nowMs: number, held: boolean): boolean {
    if (!held && nowMs - this.#sinceMs < windowMs) return false;
    const slow = !held && this.#octets < windowBytes;
    this.#sinceMs = nowMs;
    this.#octets = 0;
    return slow;
  }
}

/** Calls each listener once, also one that comes late. */
export class Closing {
  #listeners: ((status: number, octetsOut: number) => void)[] = [];
  #over: readonly [status: number, octetsOut: number] | undefined;

  get isOver(): boolean {
    return this.#over !== undefined;
  }

  listen(listener: (status: number, octetsOut: number) => void): void {
    if (this.#over === undefined) this.#listeners.push(listener);
    else listener(...this.#over);
  }

  close(status: number, octetsOut: number): void {
    if (this.#over !== undefined) return;
    this.#over = [status, octetsOut];
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener(status, octetsOut);
  }
}
