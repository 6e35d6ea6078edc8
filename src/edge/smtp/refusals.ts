/** What was turned away, told to the inside in batches, for the trace; nobody waits for it. */

import type { Clock, Timer } from "#base/clock";
import { Unavailable } from "#base/errors";
import type { Links } from "#contracts/link";
import type { Refusal } from "#contracts/store";

export interface Refusals {
  add(refusal: Refusal): void;
  /** Sends what is kept, if the link is up. */
  flush(): void;
}

const batchEveryMs = 1000;
/** A header holds 256 KiB; a refusal is bounded below. */
const batchSize = 20;
/** A session may have named thousands of recipients that do not exist. */
const maxRecipients = 20;

/** @param keep how many are held while the link is down; the oldest go first */
export function batchRefusals(links: Links, clock: Clock, keep: number): Refusals {
  let held: Refusal[] = [];
  let timer: Timer | undefined;

  const flush = (): void => {
    timer?.cancel();
    timer = undefined;
    const link = links.forKind("refused");
    if (link === undefined) return;
    try {
      while (held.length > 0) {
        link.open("refused", { refusals: held.slice(0, batchSize) });
        held = held.slice(batchSize);
      }
    } catch (error) {
      if (error instanceof RangeError) held = held.slice(batchSize);
      else if (!(error instanceof Unavailable)) throw error;
    }
  };
  links.onChange((linkClass, up) => {
    if (up && linkClass === "bulk" && held.length > 0) flush();
  });

  return {
    add(refusal) {
      held.push({ ...refusal, recipients: refusal.recipients.slice(0, maxRecipients) });
      if (held.length > keep) held = held.slice(-keep || held.length);
      timer ??= clock.after(batchEveryMs, flush);
    },
    flush,
  };
}
