/** Keys of those who hold contents, and the way from a content to its octets. */

import { Unavailable } from "#base/errors";
import { keyBytes } from "./cipher.ts";
import type { SealedKey } from "./content-records.ts";
import { type Draft, draft } from "./records.ts";
import type { ContentSecret, Holder, StoreKeys } from "./store-keys.ts";
import type { Views } from "./views.ts";

export class Holders {
  readonly #views: Views;
  readonly #keys: StoreKeys;
  readonly #known = new Map<Holder, Buffer>();
  /** Names of contents that this process has just sealed, so that they need not be opened again. */
  readonly #names = new Map<string, Buffer>();

  constructor(views: Views, keys: StoreKeys) {
    this.#views = views;
    this.#keys = keys;
  }

  /** A key for a new holder, and what makes it durable. */
  make(holder: Holder, random: { bytes(length: number): Buffer }): Draft {
    const key = random.bytes(keyBytes);
    this.#known.set(holder, key);
    return this.#draftOf(holder, key);
  }

  /** The same key under the epoch of now. */
  again(holder: Holder): Draft {
    return this.#draftOf(holder, this.need(holder));
  }

  #draftOf(holder: Holder, key: Buffer): Draft {
    const { epoch } = this.#keys.file;
    const sealed = this.#keys.sealHolderKey(epoch, holder, key);
    return draft({ kind: "holder-key", holder, epoch, sealed });
  }

  forget(holder: Holder): void {
    this.#known.delete(holder);
  }

  /** @throws Unavailable when there is none: the holder was removed */
  need(holder: Holder): Buffer {
    const key = this.#get(holder);
    if (key === undefined) throw new Unavailable(`${holder} has no key`);
    return key;
  }

  #get(holder: Holder): Buffer | undefined {
    const known = this.#known.get(holder);
    if (known !== undefined) return known;
    const row = this.#views.get("SELECT * FROM holder_key WHERE holder = ?", holder);
    if (row === undefined) return undefined;
    const { epoch, sealed } = row as { epoch: number; sealed: string };
    const key = this.#keys.openHolderKey(epoch, holder, sealed);
    if (key !== undefined) this.#known.set(holder, key);
    return key;
  }

  /** Seals a content's secret for holders under the epoch of now. */
  sealFor(
    holders: Iterable<Holder>,
    secret: ContentSecret,
  ): { epoch: number; keys: readonly SealedKey[] } {
    const { epoch } = this.#keys.file;
    const keys: SealedKey[] = [];
    for (const holder of holders) {
      keys.push([holder, this.#keys.sealContentKey(epoch, this.need(holder), secret)]);
    }
    return { epoch, keys };
  }

  /** Through any of its holders. @returns undefined when no key is left */
  secretOf(content: Buffer): ContentSecret | undefined {
    for (const row of this.#views.all("SELECT * FROM content_key WHERE content = ?", content)) {
      const { holder, epoch, sealed } = row as { holder: string; epoch: number; sealed: string };
      const secret = this.#open(holder, epoch, sealed);
      if (secret !== undefined) return secret;
    }
    return undefined;
  }

  /** The next record with this content need not be opened for its name. */
  expect(id: string, name: Buffer): void {
    this.#names.set(id, name);
  }

  nameOf(record: { id: string; epoch: number; keys: readonly SealedKey[] }): Buffer | undefined {
    const expected = this.#names.get(record.id);
    if (expected !== undefined) {
      this.#names.delete(record.id);
      return expected;
    }
    for (const [holder, sealed] of record.keys) {
      const secret = this.#open(holder, record.epoch, sealed);
      if (secret !== undefined) return this.#keys.nameOf(secret.sum);
    }
    return undefined;
  }

  #open(holder: Holder, epoch: number, sealed: string): ContentSecret | undefined {
    const key = this.#get(holder);
    return key === undefined ? undefined : this.#keys.openContentKey(epoch, key, sealed);
  }
}
