/** The ledger as it comes from elsewhere, page by page: what a copy must be before it is believed. */

import { appendLeaf, emptyFrontier, type Frontier, frontierRoot } from "#formats/merkle";
import {
  firstOfBatch,
  headerBytes,
  headerOf,
  lastOfBatch,
  type PageFault,
  type PageHeader,
  pageBytes,
  payloadBytes,
  provePage,
} from "./pages.ts";
import { leafOfFacts, type RecordFacts, readFacts } from "./records.ts";

export type LedgerFault =
  | PageFault
  | "hash"
  /** Of another time: the segment was compacted in between. */
  | "other-revision"
  /** It does not go on where the page before it ended. */
  | "out-of-order"
  /** The batch that ends with this page does not hold the records that should come next. */
  | "records"
  /** Not whole pages. */
  | "length";

export interface CheckedBatch {
  readonly segment: number;
  readonly firstPage: number;
  readonly generation: number;
  /** Its pages, as they stand in the segment. */
  readonly octets: Buffer;
  /** Their payloads joined. */
  readonly payload: Buffer;
  readonly records: readonly RecordFacts[];
}

/** Takes all pages that count, from the first of the first segment on. No key is needed. */
export class LedgerCheck {
  readonly #storeId: Buffer;
  #segment = 0;
  #revision = 0;
  #page = 0;
  /** Pages of the batch that is not whole yet. */
  #batch: Buffer[] = [];
  #generation = 0;
  #tree: Frontier = emptyFrontier;

  constructor(storeId: Buffer) {
    this.#storeId = storeId;
  }

  /** What was whole so far. */
  get generation(): number {
    return this.#generation;
  }
  get segment(): number {
    return this.#segment;
  }
  /** Behind the last page, of a whole batch or not. */
  get page(): number {
    return this.#page;
  }
  /** Its size is also the number of the last record. */
  get tree(): { readonly size: number; readonly root: Buffer } {
    return { size: this.#tree.size, root: frontierRoot(this.#tree) };
  }
  /** No batch has begun that is not whole. */
  get isBetweenBatches(): boolean {
    return this.#batch.length === 0;
  }

  /** The next pages are of this segment, from its first page on. */
  begin(segment: number, revision: number): LedgerFault | undefined {
    if (!this.isBetweenBatches || segment <= this.#segment) return "out-of-order";
    this.#segment = segment;
    this.#revision = revision;
    this.#page = 0;
    return undefined;
  }

  /**
   * @param octets untrusted
   * @returns the batches that are whole now; or what is wrong, with the page
   */
  take(octets: Buffer): {
    readonly batches: readonly CheckedBatch[];
    readonly fault?: { readonly what: LedgerFault; readonly page: number };
  } {
    const batches: CheckedBatch[] = [];
    for (let at = 0; at < octets.length; at += pageBytes) {
      const outcome = this.#take(octets.subarray(at, at + pageBytes));
      if (typeof outcome === "string") {
        return { batches, fault: { what: outcome, page: this.#page } };
      }
      if (outcome !== undefined) batches.push(outcome);
      this.#page += 1;
    }
    return { batches };
  }

  #take(page: Buffer): LedgerFault | CheckedBatch | undefined {
    if (page.length !== pageBytes) return "length";
    const header = provePage(page, this.#storeId, this.#segment, this.#page);
    if (typeof header === "string") return header;
    if (header.revision !== this.#revision) return "other-revision";
    if (!this.#isNext(header)) return "out-of-order";
    this.#batch.push(page);
    if ((header.flags & lastOfBatch) === 0) return undefined;
    const batch = this.#joined(header.generation);
    this.#batch = [];
    return batch ?? "records";
  }

  #isNext({ flags, generation }: PageHeader): boolean {
    const isFirst = (flags & firstOfBatch) !== 0;
    return generation === this.#generation + 1 && isFirst === this.isBetweenBatches;
  }

  #joined(generation: number): CheckedBatch | undefined {
    const segment = this.#segment;
    const firstPage = this.#page + 1 - this.#batch.length;
    const octets = Buffer.concat(this.#batch);
    const payload = payloadIn(octets);
    const records = this.#records({ segment, payload, base: firstPage * payloadBytes });
    if (records === undefined) return undefined;
    this.#generation = generation;
    return { segment, firstPage, generation, octets, payload, records };
  }

  #records(stretch: Parameters<typeof readFacts>[0]): RecordFacts[] | undefined {
    const records: RecordFacts[] = [];
    let tree = this.#tree;
    for (let at = 0; at < stretch.payload.length; ) {
      const facts = readFacts(stretch, at);
      if (facts?.place.lsn !== tree.size + 1) return undefined;
      tree = appendLeaf(tree, leafOfFacts(facts));
      records.push(facts);
      at = facts.end;
    }
    this.#tree = tree;
    return records;
  }
}

function payloadIn(octets: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < octets.length; at += pageBytes) {
    const page = octets.subarray(at, at + pageBytes);
    parts.push(page.subarray(headerBytes, headerBytes + headerOf(page).length));
  }
  return Buffer.concat(parts);
}
