/** Where a proof finds what became of a message. */

import type { Views } from "./views.ts";

/** @param lsn of the record that moved, copied, removed or showed it */
export function noteAct(views: Views, message: number, lsn: number): void {
  views.run("INSERT OR IGNORE INTO act VALUES (?, ?)", message, lsn);
}
