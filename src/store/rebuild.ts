/** Making the views anew from the ledger of a stopped store. */

import type { Disk } from "#base/disk";
import { systemRandom } from "#base/random";
import type { Master } from "#contracts/keyring";
import { makeAnew, openKeys } from "./recover.ts";
import { Segments } from "./segments.ts";
import { StoreKeys } from "./store-keys.ts";
import { removeViews } from "./views.ts";

/**
 * The caller sees to it that the store is stopped. The old ones stay until the new ones are whole.
 *
 * @returns how many records the views were made from
 * @throws Damaged
 */
export async function rebuildIndex(
  disk: Disk,
  directory: string,
  indexPath: string,
  master: Master,
): Promise<number> {
  const segments = new Segments(disk, directory);
  try {
    const file = await openKeys(segments, { disk, directory, random: systemRandom }, master);
    if (file === undefined) {
      removeViews(indexPath);
      return 0;
    }
    const { views, lsn } = await makeAnew(segments, indexPath, new StoreKeys(file));
    views.close();
    return lsn - 1;
  } finally {
    await segments.close();
  }
}
