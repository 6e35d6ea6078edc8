/** Counters of this program, pushed inside: the edge opens no port for whoever measures. */

import type { Clock, Timer } from "#base/clock";
import { Unavailable } from "#base/errors";
import type { Registry } from "#base/measures";
import type { Links } from "#contracts/link";

/** @returns the way to stop, which sends them once more */
export function pushSamples(
  registry: Registry,
  links: Links,
  clock: Clock,
  everyMs: number,
): () => void {
  let timer: Timer;
  const push = (): void => {
    try {
      links.forKind("samples")?.open("samples", { samples: registry.samples() });
    } catch (error) {
      // Too large for one header, or no link: the next ones will do.
      if (!(error instanceof Unavailable || error instanceof RangeError)) throw error;
    }
  };
  const again = (): void => {
    push();
    timer = clock.after(everyMs, again);
  };
  timer = clock.after(everyMs, again);
  return () => {
    timer.cancel();
    push();
  };
}
