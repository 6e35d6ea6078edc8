/**
 * How many connections may wait for servers that say nothing. Whoever waits for longer than most
 * servers need counts as silent until the job ends, and the silent have half of the connections: the
 * other half is free again within seconds, however many places take a connection and say nothing.
 *
 * Nobody loses the times of RFC 5321 §4.5.3.2 by this. A place that falls silent while that half is
 * full is let go, as if it had not been tried, and gets its whole wait when its turn comes. Once the
 * end of a message is sent nobody is let go: it would arrive twice (§4.5.3.2.6). Such a wait counts
 * beyond the half, and those that come later find less room.
 */

import type { Duplex } from "node:stream";
import type { Clock, Timer } from "#base/clock";
import type { Watch } from "#transport/smtp-client";

/** A server that has not opened a session by then, or lets a reply wait for so long, is silent. */
export const silentAfterMs = 10_000;

/**
 * An attempt looks for somebody who answers for so long: after that it begins with no other address.
 * Enough for two who take a connection and say nothing, five minutes each, before one who does.
 */
export const openingMs = 900_000;

export class Patience {
  readonly #clock: Clock;
  readonly #most: number;
  readonly #silent = new Set<Wait>();

  /** @param connections in all */
  constructor(clock: Clock, connections: number) {
    this.#clock = clock;
    this.#most = Math.max(1, Math.floor(connections / 2));
  }

  /** How many more silent ones may be waited for. */
  get room(): number {
    return this.#most - this.#silent.size;
  }

  /** @param isSilent it counts from the beginning: the place failed, or was silent, when asked last */
  begin(isSilent: boolean): Wait {
    return new Wait(this.#clock, this.#silent, { most: this.#most, isSilent });
  }
}

/** What one job does while it waits for others. */
export class Wait implements Watch {
  readonly #clock: Clock;
  readonly #silent: Set<Wait>;
  readonly #most: number;
  #stream: Duplex | undefined;
  #timer: Timer | undefined;
  #sinceTick: number | undefined;
  /** Nobody answered in time, and nobody may wait longer now: what is left was not tried. */
  isPutOff = false;
  /** Nobody answered in time. */
  isSlow = false;

  constructor(
    clock: Clock,
    silent: Set<Wait>,
    { most, isSilent }: { readonly most: number; readonly isSilent: boolean },
  ) {
    this.#clock = clock;
    this.#silent = silent;
    this.#most = most;
    if (isSilent) silent.add(this);
  }

  /** No other address is asked any more. */
  get isOver(): boolean {
    const since = this.#sinceTick;
    if (this.isPutOff) return true;
    return since !== undefined && this.#clock.tickMs() - since >= openingMs;
  }

  /** A server is looked for, from now on or since some time. */
  opens(): void {
    if (this.#sinceTick !== undefined) return;
    this.#sinceTick = this.#clock.tickMs();
    this.#timer = this.#clock.after(silentAfterMs, () => {
      this.#fallSilent(() => this.#stream?.destroy());
    });
  }

  /** Over this stream its first words are waited for. */
  hearken(stream: Duplex): void {
    this.#stream = stream;
    if (this.isPutOff) stream.destroy();
  }

  /** Somebody does; or another way is tried, with all the time there is. */
  listens(): void {
    this.#timer?.cancel();
    this.#stream = undefined;
    this.#sinceTick = undefined;
  }

  /** In a session that is open. */
  waits(breakOff?: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(silentAfterMs, () => this.#fallSilent(breakOff));
  }

  goesOn(): void {
    this.#timer?.cancel();
  }

  end(): void {
    this.listens();
    this.#silent.delete(this);
  }

  #fallSilent(breakOff: (() => void) | undefined): void {
    // Whoever looks at a message once he has all of it may take longer.
    this.isSlow ||= breakOff !== undefined;
    if (this.#silent.has(this)) return;
    if (this.#silent.size < this.#most || breakOff === undefined) this.#silent.add(this);
    else {
      this.isPutOff = true;
      breakOff();
    }
  }
}
