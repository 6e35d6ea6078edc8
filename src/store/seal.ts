/** Sealing: a segment that is written no more gets its parity, and needs no second copy from then on. */

import { pageError } from "./damage.ts";
import { findPage } from "./mend.ts";
import { checkPage, headerOf, lastOfBatch, type PageHeader, pageBytes } from "./pages.ts";
import { writeParity } from "./parity-file.ts";
import { type Segments, segmentName } from "./segments.ts";

const windowPages = 128;

/**
 * Writes the parity file of a segment, or writes it anew, and removes the second copy. Bad pages
 * are repaired first if they can be.
 *
 * @param pages in use
 * @throws Damaged when one is beyond repair: the second copy is kept then
 */
export async function sealSegment(
  segments: Segments,
  segment: number,
  pages: number,
  signal?: AbortSignal,
): Promise<void> {
  const page = Buffer.alloc(pageBytes);
  await segments.readAll(segment, pages - 1, page);
  const { generation, revision } = await makeSound(segments, segment, pages - 1, { page });
  const read = async (first: number, into: Buffer): Promise<void> => {
    signal?.throwIfAborted();
    await segments.readAll(segment, first, into);
    for (let at = 0; at < into.length; at += pageBytes) {
      const page = into.subarray(at, at + pageBytes);
      await makeSound(segments, segment, first + at / pageBytes, { page, revision });
    }
  };
  const facts = { segment, pages, generation, revision };
  await segments.replace("parity", segment, (file) =>
    writeParity(file, segments.storeId as Buffer, facts, read),
  );
  await segments.remove("tail", segment);
}

/** Before another file is put under the segment's name: what guards the old one would spoil it. */
export async function removeParity(segments: Segments, segment: number): Promise<void> {
  await segments.remove("parity", segment);
  await segments.remove("tail", segment);
}

/** The page in memory as it was read, put right if need be. The checksum will do: it was proven. */
async function makeSound(
  segments: Segments,
  segment: number,
  number: number,
  { page, revision }: { readonly page: Buffer; readonly revision?: number },
): Promise<PageHeader> {
  const header = checkPage(page, segments.storeId, segment, number);
  const isSound = typeof header !== "string";
  if (isSound && header.revision === (revision ?? header.revision)) return header;
  const right = await segments.repair?.repairPage(segment, number, revision);
  const fault = isSound ? "misplaced" : header;
  if (right === undefined) throw pageError(segmentName(segment), number, fault);
  right.page.copy(page);
  return headerOf(page);
}

/**
 * How many pages count of a segment that was left without being sealed: those below the batch that
 * begins behind it. The second copy may have the last of them.
 *
 * @param limit number of that batch
 * @throws Damaged when the batch before it is not whole at the end
 */
export async function pagesInUse(
  segments: Segments,
  segment: number,
  limit: number,
): Promise<number> {
  const all = await segments.pages(segment);
  const window = Buffer.alloc(Math.min(windowPages, all) * pageBytes);
  let pages = 0;
  let last: PageHeader | undefined;
  const take = (header: PageHeader | string | undefined, number: number): boolean => {
    if (typeof header !== "object" || header.generation >= limit) return false;
    pages = number + 1;
    last = header;
    return true;
  };
  for (let first = 0; first < all; first += windowPages) {
    const part = window.subarray(0, Math.min(windowPages, all - first) * pageBytes);
    await segments.readAll(segment, first, part);
    for (let at = 0; at < part.length; at += pageBytes) {
      const number = first + at / pageBytes;
      const page = part.subarray(at, at + pageBytes);
      take(checkPage(page, segments.storeId, segment, number), number);
    }
  }
  for (let more = true; more; ) {
    more = take((await findPage(segments, "tail", segment, pages))?.proof, pages);
  }
  const isWhole = last?.generation === limit - 1 && (last.flags & lastOfBatch) !== 0;
  if (pages > 0 && !isWhole) throw pageError(segmentName(segment), pages, "empty");
  return pages;
}

/** Number of the batch that a segment begins with, or undefined if it does not count. */
export async function firstGeneration(
  segments: Segments,
  segment: number,
): Promise<number | undefined> {
  const page = Buffer.alloc(pageBytes);
  await segments.readAll(segment, 0, page);
  const header = checkPage(page, segments.storeId, segment, 0);
  if (typeof header !== "string") return header.generation;
  const right = await segments.repair?.repairPage(segment, 0);
  return right && headerOf(right.page).generation;
}
