/** Acts: changes that bring no mail into the store. They may use the reserve, as long as they are small. */

import type { Ledger } from "./ledger.ts";
import { type Draft, draftBytes } from "./records.ts";

/** Room that is asked for first; nearly no act needs more. */
export const actBytes: number = 16 * 1024;

/** What an act writes; or how much room that takes, while nothing was given out yet. */
export type Built<Value> =
  | { readonly drafts: readonly Draft[]; readonly value: Value }
  | { readonly needsBytes: number };

/**
 * As `Ledger.commit`, for acts whose size is known only when they are built.
 *
 * @param build called again with more room when it says so
 * @param large whether one that needs more than `actBytes` may use the reserve as well
 * @throws Full
 */
export async function commitAct<Value>(
  ledger: Ledger,
  build: (roomBytes: number) => Built<Value>,
  large: "of the reserve" | "as mail" = "as mail",
): Promise<Value> {
  for (let roomBytes = actBytes; ; ) {
    const bulk = large === "as mail" && roomBytes > actBytes;
    const built = await ledger.commit(roomBytes, bulk, () => {
      const value = build(roomBytes);
      return { drafts: "drafts" in value ? value.drafts : [], value };
    });
    if ("drafts" in built) return built.value;
    roomBytes = built.needsBytes;
  }
}

/** For acts that are known before their turn, whatever their size. @throws Full */
export function commitDrafts(ledger: Ledger, drafts: readonly Draft[]): Promise<void> {
  const bytes = Math.max(actBytes, bytesOf(drafts));
  return ledger.commit(bytes, false, () => ({ drafts, value: undefined }));
}

export function bytesOf(drafts: readonly Draft[]): number {
  let bytes = 0;
  for (const one of drafts) bytes += draftBytes(one);
  return bytes;
}
