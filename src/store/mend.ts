/** Where the right octets of a bad page can be had from. Nothing is written here. */

import { errorCode } from "#base/disk";
import { correctBit } from "./bit-repair.ts";
import { Damaged } from "./damage.ts";
import { headerBytes, type PageFault, type PageHeader, pageBytes, provePage } from "./pages.ts";
import { groupsOf, membersOf, rebuildGroup, type Words, wordsOf } from "./parity.ts";
import { type ParityFile, parityOf, sealBlock } from "./parity-file.ts";
import type { Segments } from "./segments.ts";
import { readUnits } from "./units.ts";

/** Right octets of a page or block, and what they were had from unless they were found so. */
export interface Mended {
  readonly number: number;
  readonly octets: Buffer;
  readonly how: "bit" | "copy" | "parity" | undefined;
}

/** A page as it stands in a segment or its second copy. */
export interface Found {
  readonly page: Buffer;
  readonly proof: PageHeader | PageFault | "hash";
}

/** @returns undefined when there is no such file */
export async function findPage(
  segments: Segments,
  kind: "segment" | "tail",
  segment: number,
  number: number,
): Promise<Found | undefined> {
  const page = Buffer.alloc(pageBytes);
  try {
    if (kind === "segment") await segments.readAll(segment, number, page);
    else {
      const file = await segments.disk.open(segments.path(segment, kind), "read");
      try {
        await readUnits(file, pageBytes, number, page);
      } finally {
        await file.close();
      }
    }
  } catch (error) {
    if (error instanceof Damaged || errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  return { page, proof: provePage(page, segments.storeId, segment, number) };
}

/**
 * A page by itself, by its bit or from the second copy.
 *
 * @param revision the page must have, where that is known
 */
export async function mendAlone(
  segments: Segments,
  segment: number,
  number: number,
  revision?: number,
): Promise<Mended | undefined> {
  const found = await findPage(segments, "segment", segment, number);
  if (found === undefined) return undefined;
  const { page, proof } = found;
  if (isSound(proof, revision)) return { number, octets: page, how: undefined };
  // A newer program may have written it; ours must not write over it.
  if (proof === "future" || proof === "earlier") return undefined;
  const right = correctBit(page, segments.storeId, segment, number);
  if (right !== undefined && isSound(right.header, revision)) {
    return { number, octets: right.page, how: "bit" };
  }
  const copy = await findPage(segments, "tail", segment, number);
  if (copy === undefined || !isSound(copy.proof, revision)) return undefined;
  return { number, octets: copy.page, how: "copy" };
}

/** All pages and blocks of a group, or undefined when too many are lost or the parity is wrong. */
export async function mendGroup(
  segments: Segments,
  parity: ParityFile,
  group: number,
): Promise<{ readonly pages: Mended[]; readonly blocks: Mended[] } | undefined> {
  const { segment, pages: count, revision } = parity.facts;
  const numbers = membersOf(count, group);
  const members: (Mended | undefined)[] = [];
  for (const number of numbers) members.push(await mendAlone(segments, segment, number, revision));
  const places = [group, groupsOf(count) + group] as const;
  const p = await parity.sound(places[0]);
  const q = await parity.sound(places[1]);
  const whole = rebuildGroup({
    members: members.map((member) => member && wordsOf(member.octets)),
    p: p && parityOf(p.octets),
    q: q && parityOf(q.octets),
  });
  if (whole === undefined) return undefined;
  const pages = numbers.map((number, index): Mended => {
    const octets = octetsOf(whole.members[index] as Words);
    return members[index] ?? { number, octets, how: "parity" };
  });
  for (const { number, octets } of pages) {
    if (!isSound(provePage(octets, segments.storeId, segment, number), revision)) return undefined;
  }
  const anew = (number: number, words: Words): Mended => {
    const octets = Buffer.concat([Buffer.alloc(headerBytes), octetsOf(words)]);
    sealBlock(octets, segments.storeId as Buffer, number, parity.facts);
    return { number, octets, how: "parity" };
  };
  return { pages, blocks: [p ?? anew(places[0], whole.p), q ?? anew(places[1], whole.q)] };
}

/** Where no page is the segment's own the file was swapped: it is worth more than ours in it. */
export async function isSwapped(segments: Segments, segment: number): Promise<boolean> {
  for (let number = 0; number < 4; number += 1) {
    const found = await findPage(segments, "segment", segment, number);
    if (found !== undefined && found.proof !== "misplaced" && found.proof !== "empty") return false;
  }
  return true;
}

function isSound(proof: PageHeader | string, revision: number | undefined): boolean {
  return typeof proof !== "string" && (revision ?? proof.revision) === proof.revision;
}

function octetsOf(words: Words): Buffer {
  return Buffer.from(words.buffer, words.byteOffset, words.byteLength);
}
