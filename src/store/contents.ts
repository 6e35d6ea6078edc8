/** Contents: octets kept once under their SHA-256, however many messages and mailboxes hold them. */

import assert from "node:assert/strict";
import { createHash, type Hash, hash } from "node:crypto";
import { buffer } from "#base/bytes";
import { Unavailable } from "#base/errors";
import type { ContentWriter, StagedContent } from "#contracts/store";
import type { ContentId } from "#model/mailbox";
import type { Ledger } from "./ledger.ts";
import { findMessageId, headerSampleBytes } from "./message-id.ts";
import { blobExtent, type Draft, draft, type Extent } from "./records.ts";
import type { Views } from "./views.ts";

/** Parts on their way to the disk at once, for one writer. */
const maxPartsInFlight = 4;
/** An extent in JSON at most, roughly. */
const extentBytes = 32;

/** What `stage()` hands out; only this process can accept it. */
class Staged implements StagedContent {
  readonly id: ContentId;
  readonly sizeBytes: number;
  readonly messageIdHeader: string | undefined;
  readonly chunks: readonly Uint8Array[];
  readonly extents: readonly Extent[] | undefined;

  constructor(facts: Omit<Staged, never>) {
    this.id = facts.id;
    this.sizeBytes = facts.sizeBytes;
    this.messageIdHeader = facts.messageIdHeader;
    this.chunks = facts.chunks;
    this.extents = facts.extents;
  }
}

export class Contents {
  readonly #views: Views;
  readonly #ledger: Ledger;
  readonly #inlineBytes: number;
  /** In a batch that is not durable yet. */
  readonly #onTheirWay = new Set<ContentId>();

  /** @param inlineBytes below this a content waits in memory and is written with its message */
  constructor(views: Views, ledger: Ledger, inlineBytes: number) {
    this.#views = views;
    this.#ledger = ledger;
    this.#inlineBytes = inlineBytes;
  }

  stage(): ContentWriter {
    return new Writer(this.#ledger, this.#inlineBytes);
  }

  /** What a commit that names the content has to write besides; nothing when it is kept already. */
  drafts(content: StagedContent): Draft[] {
    if (this.#onTheirWay.has(content.id) || this.#isKept(content.id)) return [];
    assert.ok(content instanceof Staged, "the content was staged in this store");
    this.#onTheirWay.add(content.id);
    const { id, sizeBytes, extents, chunks } = content;
    if (extents !== undefined) return [draft({ kind: "content", id, sizeBytes, extents })];
    return [draft({ kind: "content", id, sizeBytes }, chunks)];
  }

  /** About how many octets those drafts will take: parts are in the ledger already. */
  draftBytes(content: StagedContent): number {
    if (!(content instanceof Staged)) return 0;
    return content.extents === undefined ? content.sizeBytes : content.extents.length * extentBytes;
  }

  arrived(id: ContentId): void {
    this.#onTheirWay.delete(id);
  }

  #isKept(id: ContentId): boolean {
    const sql = "SELECT 1 FROM content WHERE id = ?";
    return this.#views.get(sql, Buffer.from(id, "hex")) !== undefined;
  }
}

export function messageIdOf(content: StagedContent): { messageIdHeader?: string } {
  if (!(content instanceof Staged) || content.messageIdHeader === undefined) return {};
  return { messageIdHeader: content.messageIdHeader };
}

class Writer implements ContentWriter {
  readonly #ledger: Ledger;
  readonly #inlineBytes: number;
  #chunks: Uint8Array[] = [];
  #waitingBytes = 0;
  #sizeBytes = 0;
  #hash: Hash | undefined;
  #messageId: string | undefined;
  #sampled = false;
  /** In order; each resolves when its part is durable. */
  readonly #parts: Promise<Extent>[] = [];
  #inFlight = 0;
  readonly #waiting: (() => void)[] = [];
  #failure: unknown;
  #ended = false;

  constructor(ledger: Ledger, inlineBytes: number) {
    this.#ledger = ledger;
    this.#inlineBytes = inlineBytes;
  }

  write(chunk: Uint8Array): void | Promise<void> {
    assert.ok(!this.#ended, "nothing is written behind the end");
    if (chunk.length === 0) return;
    // A content that comes in one piece is hashed in one go at the end, which is cheaper.
    if (this.#hash === undefined && this.#sizeBytes > 0) {
      this.#hash = createHash("sha256");
      for (const earlier of this.#chunks) this.#hash.update(earlier);
    }
    this.#hash?.update(chunk);
    this.#sizeBytes += chunk.length;
    return this.#keep(chunk);
  }

  #keep(chunk: Uint8Array): void | Promise<void> {
    this.#chunks.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes < this.#inlineBytes) return;
    if (this.#hash === undefined) this.#hash = createHash("sha256").update(chunk);
    this.#sample();
    this.#flushFullParts();
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#inFlight > maxPartsInFlight) return this.#roomForMore();
  }

  /** Parts may become durable out of order: who waits is called when few enough are left. */
  #roomForMore(): Promise<void> {
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  #partEnded(): void {
    this.#inFlight -= 1;
    if (this.#inFlight > maxPartsInFlight) return;
    for (const resume of this.#waiting.splice(0)) resume();
  }

  #flushFullParts(): void {
    while (this.#waitingBytes >= this.#inlineBytes) this.#flushPart(this.#inlineBytes);
  }

  #flushPart(length: number): void {
    const taken: Uint8Array[] = [];
    let missing = length;
    let used = 0;
    for (const chunk of this.#chunks) {
      if (missing === 0) break;
      const piece = chunk.length <= missing ? chunk : chunk.subarray(0, missing);
      taken.push(piece);
      missing -= piece.length;
      if (piece === chunk) used += 1;
      else this.#chunks[used] = chunk.subarray(piece.length);
    }
    this.#chunks = this.#chunks.slice(used);
    this.#waitingBytes -= length;
    this.#inFlight += 1;
    const part = this.#ledger
      .commitPlaced(draft({ kind: "content-part" }, taken))
      .then(blobExtent)
      .finally(() => this.#partEnded());
    part.catch((error: unknown) => {
      this.#failure ??= error;
    });
    this.#parts.push(part);
  }

  #sample(): void {
    if (this.#sampled) return;
    this.#sampled = true;
    const first = this.#chunks[0];
    if (first === undefined) return;
    const enough = this.#chunks.length === 1 || first.length >= headerSampleBytes;
    const start = enough ? buffer(first) : Buffer.concat(this.#chunks);
    this.#messageId = findMessageId(start.subarray(0, headerSampleBytes));
  }

  async finish(): Promise<StagedContent> {
    assert.ok(!this.#ended, "a content ends once");
    this.#ended = true;
    this.#sample();
    const only = this.#chunks[0] ?? Buffer.alloc(0);
    const id = this.#hash === undefined ? hash("sha256", only) : this.#hash.digest("hex");
    const facts = { id, sizeBytes: this.#sizeBytes, messageIdHeader: this.#messageId };
    if (this.#parts.length === 0) {
      return new Staged({ ...facts, chunks: this.#chunks, extents: undefined });
    }
    if (this.#waitingBytes > 0) this.#flushPart(this.#waitingBytes);
    const extents = await Promise.all(this.#parts);
    return new Staged({ ...facts, chunks: [], extents });
  }

  /** Parts already written stay behind as garbage that no record names. */
  abort(): void {
    this.#ended = true;
    this.#chunks = [];
    this.#failure ??= new Unavailable("the content was given up");
  }
}
