/** Backups and drills as the ledger remembers them: the last ones, and which backups are its own. */

import { commitDrafts } from "./act.ts";
import type { BackedUpRecord, BackupAct, DrilledRecord } from "./act-records.ts";
import type { Ledger } from "./ledger.ts";
import { draft } from "./records.ts";
import type { Views } from "./views.ts";

export interface BackupActs {
  /** Durable when it resolves. */
  write(act: BackupAct): Promise<void>;
  /** The newest, of those that went well when `which` says so. */
  lastBackup(which: "any" | "good"): BackedUpRecord | undefined;
  lastDrill(which: "any" | "good"): DrilledRecord | undefined;
  /**
   * Whether this very history says that it was made. After a restore the backups of a later time do
   * not count: what was written since stands where they have something else.
   */
  hasMade(backup: string): boolean;
}

export function backupActs(views: Views, ledger: Ledger): BackupActs {
  const last = (kind: BackupAct["kind"], which: "any" | "good"): BackupAct | undefined => {
    const sql = "SELECT json FROM backup_act WHERE kind = ? AND ok >= ? ORDER BY seq DESC LIMIT 1";
    const row = views.get(sql, kind, which === "good" ? 1 : 0);
    return row && views.open<BackupAct>(row["json"]);
  };
  return {
    async write(act) {
      await commitDrafts(ledger, [draft(act)]);
    },
    lastBackup: (which) => last("backed-up", which) as BackedUpRecord | undefined,
    lastDrill: (which) => last("drilled", which) as DrilledRecord | undefined,
    hasMade(backup) {
      const sql = "SELECT 1 FROM backup_act WHERE backup = ? AND kind = 'backed-up' AND ok = 1";
      return views.get(sql, backup) !== undefined;
    },
  };
}
