/** Contents: octets kept once under their SHA-256, however many messages and mailboxes hold them. */

import assert from "node:assert/strict";
import { createHash, type Hash, hash, randomBytes } from "node:crypto";
import { buffer, hex } from "#base/bytes";
import { Unavailable } from "#base/errors";
import type { ContentWriter, StagedContent } from "#contracts/store";
import type { ContentId } from "#model/mailbox";
import { type Cipher, keyBytes, keyedHash } from "./cipher.ts";
import type { ContentParts } from "./content-records.ts";
import type { Ledger } from "./ledger.ts";
import { findMessageId, headerSampleBytes } from "./message-id.ts";
import { partNonce } from "./reader.ts";
import { type Draft, draft } from "./records.ts";
import type { ContentSecret, Holder } from "./store-keys.ts";
import { type Upload, Uploads } from "./uploads.ts";
import type { Row, Views } from "./views.ts";

/** Parts on their way to the disk at once, for one writer. */
const maxPartsInFlight = 4;
/** A part's number in JSON at most, roughly. */
const partNumberBytes = 12;

/** What `stage()` hands out; only this process can accept it. */
class Staged implements StagedContent {
  readonly id: ContentId;
  readonly sizeBytes: number;
  readonly messageIdHeader: string | undefined;
  readonly secret: ContentSecret;
  readonly chunks: readonly Uint8Array[];
  readonly parts: ContentParts | undefined;
  readonly upload: Upload;

  constructor(facts: Omit<Staged, never>) {
    this.id = facts.id;
    this.sizeBytes = facts.sizeBytes;
    this.messageIdHeader = facts.messageIdHeader;
    this.secret = facts.secret;
    this.chunks = facts.chunks;
    this.parts = facts.parts;
    this.upload = facts.upload;
  }
}

/** A content as a commit names it, and what has to be written besides. */
export interface Taken {
  /** In the ledger. */
  readonly id: string;
  readonly secret: ContentSecret;
  readonly drafts: readonly Draft[];
}

interface OnItsWay {
  readonly id: string;
  readonly secret: ContentSecret;
  readonly holders: Set<Holder>;
}

export class Contents {
  readonly #views: Views;
  readonly #ledger: Ledger;
  readonly #inlineBytes: number;
  /** In a batch that is not durable yet, by their hash. */
  readonly #onTheirWay = new Map<ContentId, OnItsWay>();
  /** Epochs whose keys are about to be destroyed: a key in one of them counts as none. */
  readonly ending: Set<number> = new Set();
  readonly #uploads = new Uploads();

  /** @param inlineBytes below this a content waits in memory and is written with its message */
  constructor(views: Views, ledger: Ledger, inlineBytes: number) {
    this.#views = views;
    this.#ledger = ledger;
    this.#inlineBytes = inlineBytes;
  }

  stage(): ContentWriter {
    return new Writer(this.#ledger, this.#views.keys.cipher, this.#inlineBytes, this.#uploads);
  }

  /** The content for these holders: what is kept already is not written again. */
  take(content: StagedContent, holders: ReadonlySet<Holder>): Taken {
    assert.ok(content instanceof Staged, "the content was staged in this store");
    const name = this.#views.keys.nameOf(content.secret.sum);
    const taken =
      this.#takeComing(content, holders) ??
      this.#takeKept(name, holders) ??
      this.#takeNew(content, name, holders);
    const kept = taken.drafts.flatMap(({ record }) =>
      record.kind === "kept" ? record.parts.records : [],
    );
    this.#uploads.taken(content.id, content.upload, kept);
    return taken;
  }

  #takeComing(content: Staged, holders: ReadonlySet<Holder>): Taken | undefined {
    const coming = this.#onTheirWay.get(content.id);
    if (coming === undefined) return undefined;
    const { id, secret } = coming;
    const missing = [...holders].filter((holder) => !coming.holders.has(holder));
    if (missing.length === 0) return { id, secret, drafts: [] };
    const keys = this.#views.holders.sealFor(missing, secret);
    for (const holder of missing) coming.holders.add(holder);
    return { id, secret, drafts: [draft({ kind: "content-keys", id, ...keys })] };
  }

  #takeKept(name: Buffer, holders: ReadonlySet<Holder>): Taken | undefined {
    const row = this.#views.get("SELECT * FROM content WHERE name = ?", name);
    if (row === undefined) return undefined;
    const id = Buffer.from(row["id"] as Uint8Array);
    const secret = this.#views.holders.secretOf(id);
    if (secret === undefined) return undefined;
    const rows = this.#views.all("SELECT holder, epoch FROM content_key WHERE content = ?", id);
    const held = new Set(
      rows.filter((key) => !this.ending.has(key["epoch"] as number)).map((key) => key["holder"]),
    );
    const missing = [...holders].filter((holder) => !held.has(holder));
    const taken = { id: hex(id), secret };
    if (missing.length === 0) return { ...taken, drafts: [] };
    return { ...taken, drafts: [this.keptDraft(row, secret, missing)] };
  }

  /** A content of the views, entered once more with keys of the epoch of now. */
  keptDraft(row: Row, secret: ContentSecret, holders: Iterable<Holder>): Draft {
    return draft({
      kind: "kept",
      id: hex(row["id"] as Uint8Array),
      sizeBytes: row["size"] as number,
      parts: {
        records: JSON.parse(row["parts"] as string) as number[],
        bytes: row["part_bytes"] as number,
      },
      ...this.#views.holders.sealFor(holders, secret),
    });
  }

  #takeNew(content: Staged, name: Buffer, holders: ReadonlySet<Holder>): Taken {
    const { secret, sizeBytes, parts, chunks } = content;
    // Accepted before, and erased since: compaction may have taken the parts out.
    if (parts !== undefined && content.upload.isOver) {
      throw new Unavailable("the content is no longer there, and has to be sent again");
    }
    const id = hex(keyedHash(secret.key, secret.sum));
    const facts = { id, sizeBytes, ...this.#views.holders.sealFor(holders, secret) };
    this.#onTheirWay.set(content.id, { id, secret, holders: new Set(holders) });
    this.#views.holders.expect(id, name);
    if (parts !== undefined) {
      return { id, secret, drafts: [draft({ kind: "content", ...facts, parts })] };
    }
    const sealed = this.#views.keys.cipher.encrypt(secret.key, partNonce(0), chunks);
    return { id, secret, drafts: [draft({ kind: "content", ...facts }, sealed)] };
  }

  /** About how many octets those drafts will take: parts are in the ledger already. */
  draftBytes(content: StagedContent): number {
    if (!(content instanceof Staged)) return 0;
    if (content.parts === undefined) return content.sizeBytes;
    return content.parts.records.length * partNumberBytes;
  }

  arrived(id: ContentId): void {
    this.#onTheirWay.delete(id);
    this.#uploads.arrived(id);
  }

  /** Whether a record may yet name octets of which nothing lives in the views. */
  isAwaited(part: number): boolean {
    return this.#uploads.isAwaited(part);
  }
}

export function messageIdOf(content: StagedContent): { messageIdHeader?: string } {
  if (!(content instanceof Staged) || content.messageIdHeader === undefined) return {};
  return { messageIdHeader: content.messageIdHeader };
}

class Writer implements ContentWriter {
  readonly #ledger: Ledger;
  readonly #cipher: Cipher;
  readonly #inlineBytes: number;
  readonly #uploads: Uploads;
  readonly #upload: Upload;
  readonly #key: Buffer = randomBytes(keyBytes);
  #chunks: Uint8Array[] = [];
  #waitingBytes = 0;
  #sizeBytes = 0;
  #hash: Hash | undefined;
  #messageId: string | undefined;
  #sampled = false;
  /** In order; each resolves to its sequence number when its part is durable. */
  readonly #parts: Promise<number>[] = [];
  #inFlight = 0;
  readonly #waiting: (() => void)[] = [];
  #failure: unknown;
  #ended = false;

  constructor(ledger: Ledger, cipher: Cipher, inlineBytes: number, uploads: Uploads) {
    this.#ledger = ledger;
    this.#cipher = cipher;
    this.#inlineBytes = inlineBytes;
    this.#uploads = uploads;
    this.#upload = uploads.begin();
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
    const sealed = this.#cipher.encrypt(this.#key, partNonce(this.#parts.length), taken);
    const part = this.#ledger
      .commitPlaced(draft({ kind: "content-part" }, sealed))
      .then(({ lsn }) => {
        this.#uploads.add(this.#upload, lsn);
        return lsn;
      })
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
    const sum = this.#hash === undefined ? hash("sha256", only, "buffer") : this.#hash.digest();
    const secret = { key: this.#key, sum };
    const facts = {
      id: hex(sum),
      sizeBytes: this.#sizeBytes,
      messageIdHeader: this.#messageId,
      secret,
      upload: this.#upload,
    };
    if (this.#parts.length === 0) {
      return new Staged({ ...facts, chunks: this.#chunks, parts: undefined });
    }
    if (this.#waitingBytes > 0) this.#flushPart(this.#waitingBytes);
    try {
      const records = await Promise.all(this.#parts);
      return new Staged({ ...facts, chunks: [], parts: { records, bytes: this.#inlineBytes } });
    } catch (error) {
      this.#uploads.end(this.#upload);
      throw error;
    }
  }

  /** Parts already written stay behind as garbage that no record names. */
  abort(): void {
    if (!this.#ended) this.#uploads.end(this.#upload);
    this.#ended = true;
    this.#chunks = [];
    this.#failure ??= new Unavailable("the content was given up");
  }
}
