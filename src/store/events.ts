/** What a store tells whoever counts: the log has the same in words. */

import type { Repaired } from "./repair.ts";

export interface StoreEvents {
  repaired(one: Repaired): void;
  /** One batch was written and flushed, in so many seconds. */
  flushed(seconds: number): void;
}

export const noEvents: StoreEvents = { repaired: () => undefined, flushed: () => undefined };
