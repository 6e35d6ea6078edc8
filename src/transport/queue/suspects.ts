/** Messages that were under way when the process died: tried alone, and set aside after three deaths. */

import type { AgePlace } from "#contracts/store";
import type { MessageId } from "#model/mailbox";
import type { QueueItem } from "#model/queue";
import type { Letter } from "./attempt.ts";
import type { QueueEvents } from "./events.ts";
import { maxCrashes } from "./flight.ts";
import { lettersOf } from "./lanes.ts";
import { domainOf } from "./planner.ts";
import type { QueueDeps } from "./ports.ts";

export type SuspectDeps = Pick<QueueDeps, "store" | "clock" | "flight" | "parameters"> & {
  readonly events: QueueEvents;
};

/** Items that are read at once. */
const pageItems = 1000;

export class Suspects {
  readonly #deps: SuspectDeps;
  readonly #letters: Letter[] = [];

  constructor(deps: SuspectDeps) {
    this.#deps = deps;
  }

  /** What is to be tried alone: those of one message to one domain, as many as go together. */
  get letters(): readonly Letter[] {
    return this.#letters;
  }

  get items(): readonly QueueItem[] {
    return this.#letters.flat();
  }

  async setAside(): Promise<void> {
    const { store, clock, flight, events, parameters } = this.#deps;
    for (const [message, crashes] of flight?.crashes ?? []) {
      const items = await this.#itemsOf(message);
      if (crashes < maxCrashes) {
        for (const ofDomain of Map.groupBy(items, domainOf).values()) {
          this.#letters.push(...lettersOf(ofDomain, parameters.recipientsPerMessage));
        }
        continue;
      }
      const by = `the queue: set aside after ${crashes} crashes with it under way`;
      for (const { id } of items) await store.change(id, "hold", by, clock.nowMs());
      flight?.forget(message);
      events.setAside(message, crashes, items.length);
    }
  }

  /** All that wait, however many. */
  async #itemsOf(message: MessageId): Promise<readonly QueueItem[]> {
    const items: QueueItem[] = [];
    for (let after: AgePlace | undefined; ; after = items.at(-1)) {
      const filter = {
        message,
        state: "waiting",
        limit: pageItems,
        ...(after && { after }),
      } as const;
      const page = await this.#deps.store.list(filter);
      items.push(...page);
      if (page.length < pageItems) return items;
    }
  }
}
