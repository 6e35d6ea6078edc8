/** Measures of the store: what it tells as it goes, and its health when somebody asks. */

import type { Registry } from "#base/measures";
import type { OpenStore, StoreEvents } from "#store";

export interface StoreMeasures extends StoreEvents {
  /** Brings the gauges up to date. */
  look(store: Pick<OpenStore, "health">, nowMs: number): Promise<void>;
}

export function storeMeasures(registry: Registry): StoreMeasures {
  const repaired = registry.counter("store_repaired_pages", "Pages put right, by what from");
  const flush = registry.histogram("store_flush_seconds", "Time of a commit's write and flush");
  const ever = registry.gauge("store_repaired_ever", "Pages put right since the store was made");
  const damaged = registry.gauge("store_damaged_places", "Places found beyond repair");
  const unguarded = registry.gauge("store_segments_without_parity", "Left, and not yet guarded");
  const oldest = registry.gauge("store_scrub_oldest_seconds", "Age of the oldest segment's scrub");
  return {
    repaired: ({ how }) => repaired.add({ how }),
    flushed: (seconds) => flush.observe(seconds),
    async look(store, nowMs) {
      const health = await store.health();
      for (const [how, count] of Object.entries(health.repairedBy)) ever.set(count, { how });
      damaged.set(health.damaged.length);
      unguarded.set(health.withoutParity);
      // Before the first round is over there is no such age: every segment is due.
      if (health.oldestScrubMs !== undefined) {
        oldest.set(Math.max(0, nowMs - health.oldestScrubMs) / 1000);
      }
    },
  };
}
