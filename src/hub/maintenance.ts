/** The store's upkeep at its times: retention, then erasure, which compaction follows by itself. */

import type { Clock, Timer } from "#base/clock";
import type { Values } from "#base/parameters";
import type { OpenStore, storeParameters } from "#store";
import type { MaintenanceEvents } from "./maintenance-events.ts";

export type MaintenanceStore = Pick<OpenStore, "retain" | "erase" | "lastRunAtMs">;

export type ErasureReport = Awaited<ReturnType<OpenStore["erase"]>>;

export interface MaintenancePorts {
  readonly store: MaintenanceStore;
  readonly clock: Clock;
  readonly events: MaintenanceEvents;
  readonly settings: Values<typeof storeParameters>;
}

export interface Maintenance extends Disposable {
  /** Now, behind whatever is under way. */
  erase(): Promise<ErasureReport>;
}

/** How often it is looked what is due; what failed is tried again then. */
const lookMs = 600_000;
/** People come first after a start. */
const firstLookMs = 60_000;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

export function startMaintenance({
  store,
  clock,
  events,
  settings,
}: MaintenancePorts): Maintenance {
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <Value>(work: () => Promise<Value>): Promise<Value> => {
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  };
  const erase = (): Promise<ErasureReport> => store.erase();
  const works = [
    {
      work: "retention",
      everyMs: settings.retentionHours * hourMs,
      run: () => store.retain(clock.nowMs()),
    },
    { work: "erasure", everyMs: settings.erasureDays * dayMs, run: erase },
  ] as const;

  let isStopped = false;
  const look = async (): Promise<void> => {
    for (const { work, everyMs, run } of works) {
      if (isStopped) return;
      // A clock that was set back would put off everything until it has caught up.
      const sinceMs = clock.nowMs() - (store.lastRunAtMs(work) ?? Number.NEGATIVE_INFINITY);
      if (sinceMs >= 0 && sinceMs < everyMs) continue;
      try {
        events.done(work, { ...(await run()) });
      } catch (error) {
        // A store that closes under it is no failure: the next start makes up for it.
        if (!isStopped) events.failed(work, error);
      }
    }
  };
  let timer: Timer;
  const round = (): void => {
    void inTurn(look).then(() => {
      if (!isStopped) timer = clock.after(lookMs, round);
    });
  };
  timer = clock.after(firstLookMs, round);
  return {
    erase: () => inTurn(erase),
    [Symbol.dispose]() {
      isStopped = true;
      timer.cancel();
    },
  };
}
