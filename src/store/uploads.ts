/**
 * Parts of contents that are about to be named: by an upload that is not accepted yet, or by a
 * record on its way to the disk. In the views they look like what nobody holds.
 */

import type { ContentId } from "#model/mailbox";

/** What one upload has written. Whoever can still name the parts has this object. */
export interface Upload {
  /** Sequence numbers of durable records. */
  readonly parts: number[];
  /** Its parts are no longer kept for it. */
  isOver: boolean;
}

interface OnTheWay {
  takes: number;
  readonly uploads: Set<Upload>;
  readonly kept: Set<number>;
}

export class Uploads {
  readonly #parts = new Set<number>();
  readonly #onTheirWay = new Map<ContentId, OnTheWay>();
  /** For uploads that are given up without a word. */
  readonly #lost = new FinalizationRegistry<readonly number[]>((parts) => {
    for (const part of parts) this.#parts.delete(part);
  });

  begin(): Upload {
    return { parts: [], isOver: false };
  }

  add(upload: Upload, part: number): void {
    if (upload.isOver) return;
    if (upload.parts.length === 0) this.#lost.register(upload, upload.parts);
    upload.parts.push(part);
    this.#parts.add(part);
  }

  end(upload: Upload): void {
    upload.isOver = true;
    for (const part of upload.parts) this.#parts.delete(part);
  }

  /**
   * The content of an upload is in a record that was submitted; `arrived` follows.
   *
   * @param kept parts that this record names of a content that was kept already
   */
  taken(id: ContentId, upload: Upload, kept: readonly number[]): void {
    const found = this.#onTheirWay.get(id);
    const way = found ?? { takes: 0, uploads: new Set(), kept: new Set() };
    if (found === undefined) this.#onTheirWay.set(id, way);
    way.takes += 1;
    way.uploads.add(upload);
    for (const part of kept) way.kept.add(part);
  }

  /** From now on the views tell whether the parts are held. */
  arrived(id: ContentId): void {
    const way = this.#onTheirWay.get(id);
    if (way === undefined) return;
    way.takes -= 1;
    if (way.takes > 0) return;
    this.#onTheirWay.delete(id);
    for (const upload of way.uploads) this.end(upload);
  }

  /** Whether a record may yet name the part. */
  isAwaited(part: number): boolean {
    if (this.#parts.has(part)) return true;
    for (const { kept } of this.#onTheirWay.values()) if (kept.has(part)) return true;
    return false;
  }
}
