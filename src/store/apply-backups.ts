/** What records of backups and drills do to the views. */

import type { BackupAct } from "./act-records.ts";
import type { Place } from "./records.ts";
import type { Views } from "./views.ts";

export function applyBackupAct(views: Views, record: BackupAct, { lsn }: Place): void {
  const { kind, ok, backup = null } = record;
  const sql = "INSERT INTO backup_act VALUES (?, ?, ?, ?, ?)";
  views.run(sql, lsn, kind, ok ? 1 : 0, backup, views.seal(record));
}
