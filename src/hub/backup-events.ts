/** What backups and drills tell: log records and measures together. */

import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { BackupAct } from "#store";

export interface BackupEvents {
  /** Of an earlier process too: the measures know it from the start on. */
  remembered(act: BackupAct): void;
  acted(act: BackupAct): void;
  pruned(manifests: number, objects: number): void;
  /** What follows a backup did not come to its end: the backup is there. */
  leftUndone(what: string, error: unknown): void;
}

export function backupEvents(log: Log, registry: Registry): BackupEvents {
  const backups = registry.counter("backups", "Backups, by outcome");
  const drills = registry.counter("backup_drills", "Restores tried on the side, by outcome");
  const at = registry.gauge("backup_last_at", "Last good backup, in seconds since 1970 UTC");
  const took = registry.gauge("backup_last_seconds", "How long it took");
  const bytes = registry.gauge("backup_last_bytes", "Octets that were new in it");
  const drillAt = registry.gauge("backup_drill_last_at", "Last drill that passed, since 1970 UTC");
  const drillTook = registry.gauge("backup_drill_last_seconds", "How long that restore took");
  const repaired = registry.counter("backup_repaired_pages", "Pages that a backup put right");
  const remembered = (act: BackupAct): void => {
    if (!act.ok) return;
    if (act.kind === "drilled") {
      drillAt.set(Math.round(act.atMs / 1000));
      drillTook.set(act.seconds);
    } else {
      at.set(Math.round(act.atMs / 1000));
      took.set(act.seconds);
      bytes.set(act.newBytes ?? 0);
    }
  };
  return {
    remembered,
    acted(act) {
      remembered(act);
      const outcome = act.ok ? "ok" : "failed";
      (act.kind === "drilled" ? drills : backups).add({ outcome });
      if (act.kind === "backed-up") repaired.add({}, act.repairedPages ?? 0);
      const { kind, ok, seconds, reason, backup } = act;
      const event = kind === "drilled" ? "backup.drilled" : "backup.made";
      log.write(ok ? "info" : "error", event, { ok, seconds, backup, reason });
    },
    pruned(manifests, objects) {
      if (manifests + objects > 0) log.write("info", "backup.pruned", { manifests, objects });
    },
    leftUndone: (what, error) =>
      log.write("warn", "backup.left-undone", {
        what,
        why: error instanceof Error ? error.message : String(error),
      }),
  };
}
