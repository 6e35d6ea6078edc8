/** A connection to the first of several addresses that answers (RFC 8305 §5). */

import type { Duplex } from "node:stream";
import type { Clock, Timer } from "#base/clock";
import { Unavailable } from "#base/errors";
import { NoWayOut } from "./ports.ts";

/** §8: the Connection Attempt Delay that is recommended. */
const staggerMs = 250;

export interface Dialled {
  readonly stream: Duplex;
  readonly address: string;
}

export interface Race {
  readonly dial: (address: string) => Promise<Duplex>;
  readonly clock: Clock;
  /** Told of each address that does not answer. */
  readonly failed: (address: string) => void;
}

/**
 * Dials the first, and every 250 ms, or at once when one fails, the next. Connections that come too
 * late are closed before a word is said on them.
 *
 * @throws NoWayOut when one could not be asked, else the first address's error, when none answers
 */
export function dialFirst(addresses: readonly string[], race: Race): Promise<Dialled> {
  const waiting = [...addresses];
  return new Promise((resolve, reject) => {
    let open = 0;
    let isOver = false;
    let timer: Timer | undefined;
    let failure: unknown;
    const over = (): void => {
      isOver = true;
      timer?.cancel();
    };
    const next = (): void => {
      timer?.cancel();
      const address = waiting.shift();
      if (address === undefined) {
        if (open > 0 || isOver) return;
        over();
        return reject(failure ?? new Unavailable("there is no address"));
      }
      open += 1;
      if (waiting.length > 0) timer = race.clock.after(staggerMs, next);
      race.dial(address).then(
        (stream) => {
          open -= 1;
          if (isOver) return void stream.destroy();
          over();
          resolve({ stream, address });
        },
        (error: unknown) => {
          open -= 1;
          if (isOver) return;
          // Nobody was asked: asking for the next would not help either, and says more than the others.
          if (error instanceof NoWayOut) waiting.length = 0;
          else race.failed(address);
          if (error instanceof NoWayOut || failure === undefined) failure = error;
          next();
        },
      );
    };
    next();
  });
}
