/** Takes a message in pieces on its way to the store, and guards that it is the one that was sent. */

import { createHash, type Hash } from "node:crypto";
import type { ContentWriter, StagedContent } from "#contracts/store";
import { foreignResultsFilter } from "./own-results.ts";

export interface CheckedWriter {
  /** Never throws: what goes wrong is told by `finish()`, when there is somebody to answer. */
  write(chunk: Uint8Array): void | Promise<void>;
  /**
   * What is kept, and what arrived: its size and hash are to be compared with those of the socket.
   *
   * @throws Full, Unavailable as the store does
   */
  finish(): Promise<{ readonly staged: StagedContent; readonly arrived: StagedContent }>;
  /** Known after `finish()`: the header is longer than we judge. */
  readonly isHeaderTooLong: boolean;
  /** What came first, as it arrived: at least as many octets as were asked for, or all there are. */
  readonly start: readonly Uint8Array[];
  abort(): void;
}

/**
 * The store hashes what it keeps; only a message that lost a field on the way in needs a second
 * hash, over the octets as they arrived.
 */
export function checkedWriter(
  writer: ContentWriter,
  authservId: string,
  startBytes: number,
): CheckedWriter {
  const start: Uint8Array[] = [];
  const filter = foreignResultsFilter(authservId);
  let undecided: Uint8Array[] | undefined = [];
  let changed: Hash | undefined;
  let sizeBytes = 0;
  let failed: { readonly error: unknown } | undefined;
  const fail = (error: unknown): void => {
    failed ??= { error };
    writer.abort();
  };
  const pass = async (pieces: readonly Uint8Array[]): Promise<void> => {
    for (const piece of pieces) await writer.write(piece);
  };
  const decided = (): void => {
    if (filter.removed > 0) {
      changed = createHash("sha256");
      for (const chunk of undecided ?? []) changed.update(chunk);
    }
    undecided = undefined;
  };
  const take = (chunk: Uint8Array): void | Promise<void> => {
    if (sizeBytes < startBytes) start.push(chunk);
    sizeBytes += chunk.length;
    if (undecided === undefined) changed?.update(chunk);
    else undecided.push(chunk);
    const pieces = filter.push(chunk);
    const [only] = pieces;
    if (only === undefined) return;
    if (undecided !== undefined) decided();
    return pieces.length === 1 ? writer.write(only) : pass(pieces);
  };
  return {
    write(chunk) {
      if (failed !== undefined) return;
      try {
        const writing = take(chunk);
        return writing instanceof Promise ? writing.catch(fail) : undefined;
      } catch (error) {
        fail(error);
      }
    },
    async finish() {
      if (failed !== undefined) throw failed.error;
      await pass(filter.finish());
      if (undecided !== undefined) decided();
      const staged = await writer.finish();
      return { staged, arrived: { id: changed?.digest("hex") ?? staged.id, sizeBytes } };
    },
    get isHeaderTooLong() {
      return filter.isTooLong;
    },
    start,
    abort: () => writer.abort(),
  };
}
