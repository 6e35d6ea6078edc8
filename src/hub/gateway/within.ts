/** A bound in time for work that may never end. */

import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";

/** @throws Unavailable when the time is over; the work itself goes on */
export function within<Value>(clock: Clock, ms: number, work: Promise<Value>): Promise<Value> {
  const late = Promise.withResolvers<never>();
  const timer = clock.after(ms, () => late.reject(new Unavailable("no answer in time")));
  return Promise.race([work, late.promise]).finally(() => timer.cancel());
}
