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
import { type Draft, draftBytes, type Place, recordHeader, recordHeaderBytes } from "./records.ts";

export interface BatchFacts {
  readonly storeId: Buffer;
  readonly segment: number;
  readonly firstPage: number;
  readonly generation: number;
  /** Sequence number of the first record. */
  readonly firstLsn: number;
}

export function pagesFor(payload: number): number {
  return Math.max(1, Math.ceil(payload / payloadBytes));
}

/** Page images are built in memory that is kept: there is only one batch at a time. */
export class BatchBuilder {
  #memory: Buffer = Buffer.alloc(16 * pageBytes);

  /** The pages stay valid until the next call. */
  build(drafts: readonly Draft[], facts: BatchFacts): { pages: Buffer; places: Place[] } {
    let payload = 0;
    for (const draft of drafts) payload += draftBytes(draft);
    const count = pagesFor(payload);
    const memory = this.#room(count * pageBytes);
    const starts = Array.from({ length: count }, () => noRecord);
    const places: Place[] = [];
    let at = 0;
    let lsn = facts.firstLsn;
    for (const draft of drafts) {
      const page = Math.floor(at / payloadBytes);
      if (starts[page] === noRecord) starts[page] = at % payloadBytes;
      places.push({
        lsn,
        segment: facts.segment,
        jsonAt: facts.firstPage * payloadBytes + at + recordHeaderBytes,
        jsonBytes: draft.json.length,
        blobBytes: draft.blobBytes,
      });
      at = put(memory, at, recordHeader(draft, lsn));
      at = put(memory, at, draft.json);
      for (const part of draft.blob) at = put(memory, at, part);
      lsn += 1;
    }
    const end = pageOffset(at);
    if (at < count * payloadBytes) memory.fill(0, end, count * pageBytes);
    seal(memory, facts, starts, payload);
    return { pages: memory.subarray(0, count * pageBytes), places };
  }

  #room(bytes: number): Buffer {
    if (this.#memory.length < bytes) this.#memory = Buffer.alloc(bytes);
    return this.#memory;
  }
}

function seal(memory: Buffer, facts: BatchFacts, starts: readonly number[], payload: number): void {
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
