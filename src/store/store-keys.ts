/** The keys of an open store: what seals records, views and contents, and for whom. */

import { hkdfSync } from "node:crypto";
import { Unavailable } from "#base/errors";
import {
  aesGcm,
  type Cipher,
  keyBytes,
  keyedHash,
  nonceBytes,
  peek,
  seal,
  unseal,
} from "./cipher.ts";
import type { KeyFile } from "./key-file.ts";

/** Whom a content key is wrapped for: an account, or the queue while mail waits in it. */
export type Holder = string;
export const queueHolder: Holder = "queue";

/** What is wrapped for each holder of a content. */
export interface ContentSecret {
  readonly key: Buffer;
  /** SHA-256 of the octets. */
  readonly sum: Buffer;
}

/** Enough that no two contacts of an account are taken for one. */
const contactBytes = 16;

export class StoreKeys {
  readonly cipher: Cipher;
  readonly file: KeyFile;
  readonly #record: Buffer;
  readonly #names: Buffer;
  readonly #views: Buffer;
  readonly #viewNonces: Buffer;
  readonly #salts: Buffer;
  readonly #contacts: Buffer;
  readonly #prefix: Buffer;

  constructor(file: KeyFile, cipher: Cipher = aesGcm) {
    this.file = file;
    this.cipher = cipher;
    const derive = (use: string): Buffer =>
      Buffer.from(hkdfSync("sha256", file.storeKey, file.storeId, use, keyBytes));
    this.#record = derive("records");
    this.#names = derive("names of contents");
    this.#views = derive("views");
    this.#viewNonces = derive("nonces of views");
    this.#salts = derive("salts of statements");
    this.#contacts = derive("contacts");
    this.#prefix = file.storeId;
  }

  sealRecord(json: Buffer, about: Buffer): Buffer {
    return seal(this.cipher, this.#record, json, Buffer.concat([this.#prefix, about]));
  }

  openRecord(sealed: Buffer, about: Buffer): Buffer | undefined {
    return unseal(this.cipher, this.#record, sealed, Buffer.concat([this.#prefix, about]));
  }

  /** Of a record that is damaged: what can still be made out. */
  peekRecord(sealed: Buffer): string {
    return sealed.length < nonceBytes ? "" : peek(this.#record, sealed).toString("latin1");
  }

  /** Secret, and the same whenever it is asked for: what makes a statement's hash say nothing. */
  saltOf(lsn: number): Buffer {
    const number = Buffer.alloc(8);
    number.writeUIntLE(lsn, 0, 6);
    return keyedHash(this.#salts, number).subarray(0, 16);
  }

  /** Under which name the store finds that it has a content already. */
  nameOf(sum: Buffer): Buffer {
    return keyedHash(this.#names, sum);
  }

  /** That an account has had mail with an address, in any case; tells nothing of either. */
  contactOf(account: string, address: string): Buffer {
    const contact = Buffer.from(`${account}\0${address.toLowerCase()}`);
    return keyedHash(this.#contacts, contact).subarray(0, contactBytes);
  }

  /** The same text gives the same octets, so that rows can be compared and found. */
  sealText(text: string): Buffer {
    const plain = Buffer.from(text);
    const nonce = keyedHash(this.#viewNonces, plain).subarray(0, nonceBytes);
    return Buffer.concat([nonce, ...this.cipher.encrypt(this.#views, nonce, [plain])]);
  }

  openText(sealed: Uint8Array): string {
    const octets = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
    const plain = unseal(this.cipher, this.#views, octets);
    if (plain === undefined) throw new Unavailable("a row of the index was changed: rebuild it");
    return plain.toString();
  }

  /** Wraps a holder's own key. */
  sealHolderKey(epoch: number, holder: Holder, key: Buffer): string {
    return seal(aesGcm, this.#epochKey(epoch), key, Buffer.from(holder)).toString("base64");
  }

  openHolderKey(epoch: number, holder: Holder, sealed: string): Buffer | undefined {
    const key = this.file.epochKey(epoch);
    if (key === undefined) return undefined;
    return unseal(aesGcm, key, Buffer.from(sealed, "base64"), Buffer.from(holder));
  }

  /** Both the epoch's key and the holder's are needed to open it. */
  sealContentKey(epoch: number, holderKey: Buffer, { key, sum }: ContentSecret): string {
    const wrapping = keyedHash(this.#epochKey(epoch), holderKey);
    return seal(this.cipher, wrapping, Buffer.concat([key, sum])).toString("base64");
  }

  openContentKey(epoch: number, holderKey: Buffer, sealed: string): ContentSecret | undefined {
    const epochKey = this.file.epochKey(epoch);
    if (epochKey === undefined) return undefined;
    const wrapping = keyedHash(epochKey, holderKey);
    const secret = unseal(this.cipher, wrapping, Buffer.from(sealed, "base64"));
    if (secret === undefined) return undefined;
    return { key: secret.subarray(0, keyBytes), sum: secret.subarray(keyBytes) };
  }

  #epochKey(epoch: number): Buffer {
    const key = this.file.epochKey(epoch);
    if (key === undefined) throw new Error(`no key of epoch ${epoch}`);
    return key;
  }
}

/** What it takes to read records, and no more. */
export function recordOpener({
  storeId,
  storeKey,
}: Pick<KeyFile, "storeId" | "storeKey">): Pick<StoreKeys, "openRecord"> {
  const key = Buffer.from(hkdfSync("sha256", storeKey, storeId, "records", keyBytes));
  return {
    openRecord: (sealed, about) => unseal(aesGcm, key, sealed, Buffer.concat([storeId, about])),
  };
}
