/** What happens in the directory, counted and logged. */

import type { Log } from "#base/log";
import type { Registry } from "#base/measures";

export interface DirectoryEvents {
  /** @param outcome ok, refused, slow-down, busy */
  login(door: string, outcome: string): void;
  changed(what: string, by: string): void;
  unhashed(error: unknown): void;
}

export function directoryEvents(log: Log, registry: Registry): DirectoryEvents {
  const logins = registry.counter("logins", "Logins by door and outcome");
  return {
    login(door, outcome) {
      logins.add({ door, outcome });
      if (outcome === "busy") log.write("warn", "directory.login-busy", { door });
    },
    changed: (what, by) => log.write("info", "directory.changed", { what, by }),
    unhashed: (error) =>
      log.write("warn", "directory.rehash-failed", { error: (error as Error).message }),
  };
}
