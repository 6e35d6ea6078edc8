/** Batches: the records of one commit laid out on whole pages, taken whole or not at all. */

import {
  firstOfBatch,
  headerBytes,
  lastOfBatch,
  noRecord,
  pageBytes,
  payloadBytes,
  sealPage,
} from "./pages.ts";
import {
  type Draft,
  draftBytes,
  type LedgerRecord,
  type Place,
  type RecordKeys,
  recordFront,
  recordHeaderBytes,
} from "./records.ts";

/** Where a batch goes. */
export interface LayoutFacts {
  readonly storeId: Buffer;
  readonly segment: number;
  readonly firstPage: number;
  readonly generation: number;
  /** How often the segment was compacted. */
  readonly revision?: number;
}

export interface BatchFacts extends LayoutFacts {
  /** Sequence number of the first record. */
  readonly firstLsn: number;
}

/** How a record is closed: what seals it, and what the history says of it in public. */
export interface Closing {
  readonly keys: RecordKeys;
  /** SHA-256 of the record's statement, or zeros. */
  commit(record: LedgerRecord, lsn: number): Buffer;
}

export function pagesFor(payload: number): number {
  return Math.max(1, Math.ceil(payload / payloadBytes));
}

/** Octets of one record as they stand in the ledger, in pieces. */
export type FormedRecord = readonly Uint8Array[];

/** Page images are built in memory that is kept: there is only one batch at a time. */
export class PageLayout {
  #memory: Buffer = Buffer.alloc(16 * pageBytes);

  /** The pages stay valid until the next call. */
  layOut(records: readonly FormedRecord[], facts: LayoutFacts): Buffer {
    let payload = 0;
    for (const pieces of records) for (const piece of pieces) payload += piece.length;
    const count = pagesFor(payload);
    const memory = this.#room(count * pageBytes);
    const starts = Array.from({ length: count }, () => noRecord);
    let at = 0;
    for (const pieces of records) {
      const page = Math.floor(at / payloadBytes);
      if (starts[page] === noRecord) starts[page] = at % payloadBytes;
      for (const piece of pieces) at = put(memory, at, piece);
    }
    if (at < count * payloadBytes) memory.fill(0, pageOffset(at), count * pageBytes);
    seal(memory, facts, starts, payload);
    return memory.subarray(0, count * pageBytes);
  }

  #room(bytes: number): Buffer {
    if (this.#memory.length < bytes) this.#memory = Buffer.alloc(bytes);
    return this.#memory;
  }
}

export class BatchBuilder {
  readonly #closing: Closing;
  readonly #layout = new PageLayout();

  constructor(closing: Closing) {
    this.#closing = closing;
  }

  /** The pages stay valid until the next call. */
  build(
    drafts: readonly Draft[],
    facts: BatchFacts,
  ): { pages: Buffer; places: Place[]; leaves: Buffer[] } {
    const formed: FormedRecord[] = [];
    const places: Place[] = [];
    const leaves: Buffer[] = [];
    let at = facts.firstPage * payloadBytes;
    let lsn = facts.firstLsn;
    for (const draft of drafts) {
      const commitment = this.#closing.commit(draft.record, lsn);
      const { header, sealed, leaf } = recordFront(draft, lsn, this.#closing.keys, commitment);
      places.push({
        lsn,
        segment: facts.segment,
        jsonAt: at + recordHeaderBytes,
        jsonBytes: commitment.length + sealed.length,
        blobBytes: draft.blobBytes,
      });
      leaves.push(leaf);
      formed.push([header, commitment, sealed, ...draft.blob]);
      at += draftBytes(draft);
      lsn += 1;
    }
    return { pages: this.#layout.layOut(formed, facts), places, leaves };
  }
}

function seal(
  memory: Buffer,
  facts: LayoutFacts,
  starts: readonly number[],
  payload: number,
): void {
  const last = starts.length - 1;
  for (const [index, firstRecord] of starts.entries()) {
    const page = memory.subarray(index * pageBytes, (index + 1) * pageBytes);
    sealPage(page, facts.storeId, {
      flags: (index === 0 ? firstOfBatch : 0) | (index === last ? lastOfBatch : 0),
      page: facts.firstPage + index,
      segment: facts.segment,
      length: Math.min(payloadBytes, payload - index * payloadBytes),
      firstRecord,
      generation: facts.generation,
      durable: facts.generation - 1,
      revision: facts.revision ?? 0,
    });
  }
}

function pageOffset(at: number): number {
  return Math.floor(at / payloadBytes) * pageBytes + headerBytes + (at % payloadBytes);
}

/** Copies octets to the payload offset, around the headers; returns the offset behind them. */
function put(memory: Buffer, at: number, octets: Uint8Array): number {
  let done = 0;
  while (done < octets.length) {
    const offset = pageOffset(at + done);
    const room = payloadBytes - ((at + done) % payloadBytes);
    const take = Math.min(room, octets.length - done);
    memory.set(take === octets.length ? octets : octets.subarray(done, done + take), offset);
    done += take;
  }
  return at + done;
}
