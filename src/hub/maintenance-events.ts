/** What upkeep tells: one log record and one count a run. */

import type { Log, LogFields } from "#base/log";
import type { Registry } from "#base/measures";

export interface MaintenanceEvents {
  done(work: string, report: LogFields): void;
  failed(work: string, error: unknown): void;
}

export function maintenanceEvents(log: Log, registry: Registry): MaintenanceEvents {
  const runs = registry.counter("upkeep_runs", "Runs of the store's upkeep, by work and outcome");
  return {
    done(work, report) {
      runs.add({ work, outcome: "done" });
      log.write("info", "hub.upkeep-done", { work, ...report });
    },
    failed(work, error) {
      runs.add({ work, outcome: "failed" });
      const why = error instanceof Error ? error.message : String(error);
      log.write("error", "hub.upkeep-failed", { work, why });
    },
  };
}
