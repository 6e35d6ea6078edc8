/** Messages that were under way when the process died: tried alone, and set aside after three deaths. */

import type { QueueItem } from "#model/queue";
import type { Letter } from "./attempt.ts";
import type { QueueEvents } from "./events.ts";
import { maxCrashes } from "./flight.ts";
import { domainOf } from "./planner.ts";
import type { QueueDeps } from "./ports.ts";

export type SuspectDeps = Pick<QueueDeps, "store" | "clock" | "flight"> & {
  readonly events: QueueEvents;
};

/** Items of one message that are looked at. */
const maxItems = 10_000;

export class Suspects {
  readonly #deps: SuspectDeps;
  readonly #letters: Letter[] = [];

  constructor(deps: SuspectDeps) {
    this.#deps = deps;
  }

  /** What is to be tried alone: those of one message to one domain together. */
  get letters(): readonly Letter[] {
    return this.#letters;
  }

  get items(): readonly QueueItem[] {
    return this.#letters.flat();
  }

  async setAside(): Promise<void> {
    const { store, clock, flight, events } = this.#deps;
    for (const [message, crashes] of flight?.crashes ?? []) {
      const items = await store.list({ message, state: "waiting", limit: maxItems });
      if (crashes < maxCrashes) {
        this.#letters.push(...Map.groupBy(items, domainOf).values());
        continue;
      }
      const by = `the queue: set aside after ${crashes} crashes with it under way`;
      for (const { id } of items) await store.change(id, "hold", by, clock.nowMs());
      flight?.forget(message);
      events.setAside(message, crashes, items.length);
    }
  }
}
