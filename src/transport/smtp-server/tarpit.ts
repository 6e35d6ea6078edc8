/** Slow answers for those who guess at recipients and passwords; they cost us a timer and nothing else. */

import type { Clock } from "#base/clock";
import type { Connection } from "#model/connection";
import type { SmtpEvents } from "./events.ts";
import type { Session } from "./session.ts";

export interface TarpitOptions {
  /** 0: never. */
  readonly delayMs: number;
  /** Sessions that wait at the same time; further ones are answered at once. */
  readonly sessions: number;
  /** Own relays, partners, and whoever else an administrator trusts. */
  isSpared(connection: Connection): boolean;
}

/** Of one server. A place is taken for the whole delay, whether the client waits for it or leaves. */
export class Tarpit {
  readonly #options: TarpitOptions;
  readonly #clock: Clock;
  readonly #events: SmtpEvents;
  #held = 0;

  constructor(options: TarpitOptions, clock: Clock, events: SmtpEvents) {
    this.#options = options;
    this.#clock = clock;
    this.#events = events;
  }

  /** Undefined: answer at once. */
  hold(connection: Connection): Promise<void> | undefined {
    const { delayMs, sessions, isSpared } = this.#options;
    if (delayMs === 0 || isSpared(connection)) return undefined;
    this.#events.slowed(this.#held < sessions ? "held" : "full");
    if (this.#held >= sessions) return undefined;
    this.#held += 1;
    return new Promise((resolve) => {
      this.#clock.after(delayMs, () => {
        this.#held -= 1;
        resolve();
      });
    });
  }
}

/** What may wait behind a slow answer, in octets: a hundred recipients in one packet. */
const maxWaitingBytes = 8192;

/** Nothing is read before `then` has run; commands that came already wait behind it. */
export function slowly(session: Session, then: () => void): void {
  const isFull = session.waitingBytes > maxWaitingBytes;
  const wait = isFull ? undefined : session.core.tarpit?.hold(session.connection);
  if (wait === undefined) then();
  else session.waitLong(wait, then);
}
