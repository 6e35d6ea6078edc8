/** Views to salvage by: as complete as the files allow, and never at the cost of those that are there. */

import { existsSync } from "node:fs";
import { hex } from "#base/bytes";
import { Damaged, WrongVersion } from "./damage.ts";
import { followRevisions } from "./places.ts";
import { follow, type ViewParts } from "./recover.ts";
import type { Segments } from "./segments.ts";
import type { StoreKeys } from "./store-keys.ts";
import { Views } from "./views.ts";

export interface SalvageViews {
  readonly views: Views;
  /** What ended the reading, when that was not the end of the ledger. */
  readonly endsAt: string | undefined;
}

/** An index that belongs to the store is used as far as it goes; else one is made in memory. */
export async function salvageViews(
  segments: Segments,
  indexPath: string,
  parts: ViewParts,
): Promise<SalvageViews> {
  const kept = keptViews(indexPath, parts.keys);
  const views = kept ?? new Views(":memory:", parts.keys);
  if (kept === undefined) views.makeTables();
  try {
    const mark = await followRevisions(segments, views, kept?.watermark());
    if (kept !== undefined && mark === undefined) return { views, endsAt: undefined };
    await follow(segments, views, mark);
    return { views, endsAt: undefined };
  } catch (error) {
    if (error instanceof Damaged || error instanceof WrongVersion) {
      return { views, endsAt: error.message };
    }
    views.close();
    throw error;
  }
}

/** Views of this store and version, whatever they lack; undefined when there are none. */
export function keptViews(indexPath: string, keys: StoreKeys): Views | undefined {
  if (!existsSync(indexPath)) return undefined;
  let views: Views | undefined;
  try {
    views = new Views(indexPath, keys);
    if (views.watermark()?.store === hex(keys.file.storeId)) return views;
  } catch {
    // Another version, or no database any more: what the ledger tells is as good.
  }
  views?.close();
  return undefined;
}
