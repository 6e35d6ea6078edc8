/** Making the views anew from the ledger of a stopped store. */

import type { Disk } from "#base/disk";
import { silentLog } from "#base/log";
import { catchUp } from "./recover.ts";
import { findStoreId } from "./scan.ts";
import { Segments } from "./segments.ts";
import { removeViews } from "./views.ts";

/**
 * The caller sees to it that the store is stopped.
 *
 * @returns how many records the views were made from
 * @throws Damaged
 */
export async function rebuildIndex(
  disk: Disk,
  directory: string,
  indexPath: string,
): Promise<number> {
  const segments = new Segments(disk, directory);
  segments.storeId = await findStoreId(segments);
  try {
    removeViews(indexPath);
    if (segments.storeId === undefined) return 0;
    const { views, lsn } = await catchUp(segments, indexPath, silentLog);
    views.close();
    return lsn - 1;
  } finally {
    await segments.close();
  }
}
