/** The file of keys: the store's own key, wrapped by the master key, and the keys of the epochs under it. */

import { hash } from "node:crypto";
import { join } from "node:path";
import { type Disk, type DiskFile, errorCode } from "#base/disk";
import { Misconfigured } from "#base/errors";
import type { Random } from "#base/random";
import type { Master, WrappedKey } from "#contracts/keyring";
import { aesGcm, keyBytes, seal, unseal } from "./cipher.ts";

const format = "postern-store-keys-1";
const names = ["keys", "keys.copy"] as const;
const maxFileBytes = 16 * 1024 * 1024;

interface Content {
  readonly serial: number;
  readonly storeId: string;
  readonly master: string;
  readonly wrapped: string;
  /** Under the store's key: the epochs. */
  readonly sealed: string;
}

interface Epochs {
  readonly keys: Readonly<Record<string, string>>;
  readonly destroyed: readonly number[];
}

/** Everything durable about keys, and the one place that changes it. Two copies of the file are kept. */
export class KeyFile {
  readonly #place: KeyPlace;
  readonly #random: Random;
  readonly storeId: Buffer;
  /** Never leaves this process. */
  readonly storeKey: Buffer;
  #state: State;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(place: KeyPlace, storeId: Buffer, storeKey: Buffer, state: State) {
    this.#place = place;
    this.#random = place.random;
    this.storeId = storeId;
    this.storeKey = storeKey;
    this.#state = state;
  }

  /** The keys of a new store; durable when it resolves. */
  static async make(place: KeyPlace, master: Master, storeId: Buffer): Promise<KeyFile> {
    const storeKey = place.random.bytes(keyBytes);
    const epochs = new Map([[1, place.random.bytes(keyBytes)]]);
    return KeyFile.restore(place, master, { storeId, storeKey, epochs, destroyed: [] });
  }

  /** Known keys in another place, under another master key. */
  static async restore(place: KeyPlace, master: Master, kept: KeptKeys): Promise<KeyFile> {
    const { storeId, storeKey } = kept;
    const wrapped = await master.wrapKey(storeKey, purposeOf(storeId));
    const epochs = new Map(kept.epochs);
    const state = { wrapped, serial: 0, epochs, destroyed: new Set(kept.destroyed) };
    const file = new KeyFile(place, storeId, storeKey, state);
    await file.#change(() => undefined);
    return file;
  }

  /**
   * @returns undefined when there is no such file
   * @throws Misconfigured when neither copy can be read, or the master key is another one
   */
  static async open(place: KeyPlace, master: Master): Promise<KeyFile | undefined> {
    const where = join(place.directory, names[0]);
    const found: Content[] = [];
    let isThere = false;
    for (const name of names) {
      const text = await readText(place.disk, join(place.directory, name));
      if (text === undefined) continue;
      isThere = true;
      const content = parseFile(text);
      if (content !== undefined) found.push(content);
    }
    if (!isThere) return undefined;
    const isWhole = found.length === names.length && found[0]?.serial === found[1]?.serial;
    const newest = found.sort((one, two) => two.serial - one.serial)[0];
    if (newest === undefined) {
      throw new Misconfigured(`${where} and its copy are damaged: restore them from a backup`);
    }
    const storeId = Buffer.from(newest.storeId, "hex");
    const wrapped = { master: newest.master, wrapped: Buffer.from(newest.wrapped, "base64") };
    const storeKey = await master.unwrapKey(wrapped, purposeOf(storeId));
    const plain = unseal(aesGcm, storeKey, Buffer.from(newest.sealed, "base64"), storeId);
    if (plain === undefined) {
      throw new Misconfigured(`${where} was changed: restore it from a backup`);
    }
    const { keys, destroyed } = JSON.parse(plain.toString()) as Epochs;
    const epochs = new Map<number, Buffer>();
    for (const [epoch, key] of Object.entries(keys)) {
      epochs.set(Number(epoch), Buffer.from(key, "base64"));
    }
    const state = { wrapped, serial: newest.serial, epochs, destroyed: new Set(destroyed) };
    const file = new KeyFile(place, storeId, storeKey, state);
    if (!isWhole) await file.#change(() => undefined);
    return file;
  }

  get masterId(): string {
    return this.#state.wrapped.master;
  }

  /** The epoch whose key seals new content keys. */
  get epoch(): number {
    return Math.max(...this.#state.epochs.keys());
  }

  get epochs(): readonly number[] {
    return [...this.#state.epochs.keys()];
  }

  epochKey(epoch: number): Buffer | undefined {
    return this.#state.epochs.get(epoch);
  }

  isDestroyed(epoch: number): boolean {
    return this.#state.destroyed.has(epoch);
  }

  /** Begins another epoch: so that keys can be destroyed without touching those of other times. */
  async nextEpoch(): Promise<number> {
    const key = this.#random.bytes(keyBytes);
    return this.#change((state) => {
      const next = Math.max(0, ...state.epochs.keys(), ...state.destroyed) + 1;
      state.epochs.set(next, key);
      return next;
    });
  }

  /** Durable when it resolves; the files that held the key are overwritten as far as a disk allows. */
  async destroy(epoch: number): Promise<void> {
    const key = this.#state.epochs.get(epoch);
    if (key === undefined) return;
    await this.#change((state) => {
      state.epochs.delete(epoch);
      state.destroyed.add(epoch);
    });
    key.fill(0);
  }

  /** Wraps the store's key anew; nothing else is written again. */
  async rewrap(master: Master): Promise<string> {
    const wrapped = await master.wrapKey(this.storeKey, purposeOf(this.storeId));
    return this.#change((state) => {
      state.wrapped = wrapped;
      return wrapped.master;
    });
  }

  /** For a backup, which seals them to the recovery key. */
  kept(): KeptKeys {
    const { storeId, storeKey } = this;
    return {
      storeId,
      storeKey,
      epochs: new Map(this.#state.epochs),
      destroyed: [...this.#state.destroyed],
    };
  }

  /** What is not durable does not count: after a failure everything is as it was. */
  #change<Value>(act: (state: State) => Value): Promise<Value> {
    const done = this.#writing.then(async () => {
      const { wrapped, epochs, destroyed, serial } = this.#state;
      const next = {
        wrapped,
        serial: serial + 1,
        epochs: new Map(epochs),
        destroyed: new Set(destroyed),
      };
      const value = act(next);
      await this.#write(next);
      this.#state = next;
      return value;
    });
    this.#writing = done.catch(() => undefined);
    return done;
  }

  async #write({ wrapped, serial, epochs, destroyed }: State): Promise<void> {
    const keys: Record<string, string> = {};
    for (const [epoch, key] of epochs) keys[epoch] = key.toString("base64");
    const list: Epochs = { keys, destroyed: [...destroyed] };
    const sealed = seal(aesGcm, this.storeKey, Buffer.from(JSON.stringify(list)), this.storeId);
    const text = formatFile({
      serial,
      storeId: this.storeId.toString("hex"),
      master: wrapped.master,
      wrapped: wrapped.wrapped.toString("base64"),
      sealed: sealed.toString("base64"),
    });
    for (const name of names) await this.#replace(join(this.#place.directory, name), text);
  }

  async #replace(path: string, text: Buffer): Promise<void> {
    const { disk, directory } = this.#place;
    const made = `${path}.new`;
    await disk.remove(made);
    const file = await disk.open(made, "create");
    try {
      await file.write([text], 0);
      await file.sync();
    } finally {
      await file.close();
    }
    const old = await openIfThere(disk, path);
    await disk.rename(made, path);
    await disk.syncDirectory(directory);
    if (old !== undefined) await overwrite(old);
  }
}

/** Where the files lie, and where new keys come from. */
export interface KeyPlace {
  readonly disk: Disk;
  readonly directory: string;
  readonly random: Random;
}

interface State {
  wrapped: WrappedKey;
  readonly serial: number;
  readonly epochs: Map<number, Buffer>;
  readonly destroyed: Set<number>;
}

/** What it takes to read a store again. */
export interface KeptKeys {
  readonly storeId: Buffer;
  readonly storeKey: Buffer;
  readonly epochs: ReadonlyMap<number, Buffer>;
  readonly destroyed: readonly number[];
}

function purposeOf(storeId: Buffer): string {
  return `store ${storeId.toString("hex")}`;
}

function formatFile(content: Content): Buffer {
  const json = JSON.stringify(content);
  return Buffer.from(`${format}\n${json}\n${hash("sha256", json)}\n`);
}

/** @returns undefined when it is not a whole file of this form */
function parseFile(text: string): Content | undefined {
  const [first, json, sum] = text.split("\n");
  if (first !== format || json === undefined || hash("sha256", json) !== sum) return undefined;
  return JSON.parse(json) as Content;
}

async function readText(disk: Disk, path: string): Promise<string | undefined> {
  const size = await disk.sizeBytes(path);
  if (size === undefined) return undefined;
  const file = await disk.open(path, "read");
  try {
    const octets = Buffer.alloc(Math.min(size, maxFileBytes));
    return octets.toString("utf8", 0, await file.read(octets, 0));
  } finally {
    await file.close();
  }
}

async function openIfThere(disk: Disk, path: string): Promise<DiskFile | undefined> {
  try {
    return await disk.open(path, "write");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Its name is gone already, so an error here spoils nothing but the tidiness. */
async function overwrite(file: DiskFile): Promise<void> {
  try {
    await file.write([Buffer.alloc(await file.sizeBytes())], 0);
    await file.sync();
  } catch {
    // A disk that keeps old blocks keeps them in any case.
  } finally {
    await file.close();
  }
}
