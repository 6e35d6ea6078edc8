/** Making a backup: what is new is copied while mail comes in, the keys follow, the manifest is last. */

import { Buffer } from "node:buffer";
import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";
import type { Random } from "#base/random";
import {
  type BackupActs,
  type BackupSource,
  type LedgerMoment,
  Moved,
  type Pace,
  type SourcePiece,
} from "#store";
import { sealArchive } from "./archive.ts";
import { newObjectName } from "./catalogue.ts";
import { formatKeptKeys, wipe } from "./kept-keys.ts";
import type { Facts, KeysObject, SegmentObject } from "./manifest.ts";
import { formatManifest } from "./manifest-octets.ts";
import { measured, octetsOf } from "./octets.ts";
import { Pieces } from "./pieces.ts";
import { type Previous, previousBackup } from "./previous.ts";
import type { RecoveryPublicKey } from "./recovery-key.ts";
import type { Octets, Target } from "./target.ts";

const pageBytes = 8192;
const dayMs = 24 * 60 * 60 * 1000;
/** With so much left to copy it is done in one go, to the moment at which it begins. */
const enoughPages = 8192;
/** A store that is written faster than it is copied is copied to the moment of this round. */
const maxRounds = 6;
/** Then something else compacts it over and over. */
const maxTries = 30;

export interface CreateParts {
  readonly source: BackupSource & Pick<BackupActs, "hasMade">;
  readonly target: Target;
  readonly to: RecoveryPublicKey;
  readonly clock: Clock;
  readonly random: Random;
  readonly pace: Pace;
  /** A note on the tree's head, signed by the log. What it throws leaves the backup without one. */
  readonly signHead?: ((tree: LedgerMoment["tree"]) => Promise<string>) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** @param doneBytes copied, of so many that are known to be new */
  readonly onProgress?: ((doneBytes: number, allBytes: number) => void) | undefined;
}

export interface Created {
  /** Of the manifest. */
  readonly name: string;
  /** When it ends, and with which record. */
  readonly atMs: number;
  readonly lsn: number;
  readonly previous?: string;
  readonly objects: number;
  readonly newObjects: number;
  readonly newBytes: number;
  readonly repairedPages: number;
  readonly isSigned: boolean;
}

/**
 * Copies until little is left, then takes the moment that the backup shows, with its keys, and
 * copies the rest. Until the manifest is there, there is no backup.
 *
 * @throws DamagedMail at the first page beyond repair
 * @throws Misconfigured when the target holds the backups of another store
 * @throws Unavailable, what the target throws, or the signal's reason
 */
export async function createBackup(parts: CreateParts): Promise<Created> {
  const { source, target, signal } = parts;
  await target.sweep(dayMs);
  const previous = await previousBackup(target, source, parts.to.id);
  const copy = new Copy(parts, previous);
  for (let round = 1; round <= maxTries; round += 1) {
    signal?.throwIfAborted();
    const moment = source.now();
    try {
      const missing = copy.pieces.missing(await source.segments(moment));
      const isLast = pagesOf(missing) <= enoughPages || round >= maxRounds;
      const isWhole = await copy.all(missing);
      signal?.throwIfAborted();
      if (isLast && isWhole) return await copy.finish(moment);
    } finally {
      wipe(moment.keys);
    }
  }
  throw new Unavailable("the store is compacted faster than it can be copied: try again later");
}

class Copy {
  readonly pieces: Pieces;
  readonly #parts: CreateParts;
  readonly #previous: Previous;
  #doneBytes = 0;
  #newObjects = 0;
  #newBytes = 0;
  #repairedPages = 0;

  constructor(parts: CreateParts, previous: Previous) {
    this.#parts = parts;
    this.#previous = previous;
    this.pieces = new Pieces(previous.segments);
  }

  /** @returns false when some of it has become another since it was counted */
  async all(missing: readonly SourcePiece[]): Promise<boolean> {
    const { signal } = this.#parts;
    const allBytes = this.#doneBytes + pagesOf(missing) * pageBytes;
    let isWhole = true;
    for (const piece of missing) {
      signal?.throwIfAborted();
      isWhole &&= await this.#one(piece, allBytes);
    }
    return isWhole;
  }

  async #one(piece: SourcePiece, allBytes: number): Promise<boolean> {
    const { clock, random } = this.#parts;
    const { segment, revision, first: firstPage, count: pages } = piece;
    const place = { kind: "segment", segment, firstPage } as const;
    const name = newObjectName(place, clock.nowMs(), random);
    try {
      const stored = await this.#put(name, this.#octets(piece, allBytes));
      this.pieces.add({ ...place, ...stored, name, revision, pages });
      return true;
    } catch (error) {
      if (error instanceof Moved) return false;
      throw error;
    }
  }

  async *#octets(piece: SourcePiece, allBytes: number): Octets {
    const { source, pace, signal, onProgress } = this.#parts;
    const onRepair = (): void => {
      this.#repairedPages += 1;
    };
    for await (const strip of source.pages(piece, onRepair)) {
      signal?.throwIfAborted();
      this.#doneBytes += strip.length;
      yield strip;
      onProgress?.(this.#doneBytes, allBytes);
      await pace.spend(strip.length);
    }
  }

  async #put(name: string, plain: Octets): Promise<Pick<KeysObject, "sizeBytes" | "sha256">> {
    const { target, to } = this.#parts;
    const { octets, measure } = measured(sealArchive(to.keys, name, plain));
    await target.put(name, octets);
    this.#newObjects += 1;
    this.#newBytes += measure().sizeBytes;
    return measure();
  }

  async finish(moment: LedgerMoment): Promise<Created> {
    const { source, target, to, clock, random, signHead } = this.#parts;
    const { lsn, generation, tree } = moment;
    const atMs = Math.max(clock.nowMs(), this.#previous.newestMs + 1);
    const name = newObjectName({ kind: "keys" }, clock.nowMs(), random);
    const plain = formatKeptKeys(moment.keys);
    const keys = { kind: "keys", name, ...(await this.#put(name, octetsOf(plain))) } as const;
    plain.fill(0);
    const segments = this.pieces.inOrder();
    const last = segments.at(-1) as SegmentObject;
    const head = await signHead?.(tree).catch(() => undefined);
    const counts = { newObjects: this.#newObjects, newBytes: this.#newBytes };
    const facts: Facts = {
      position: { lsn, generation, segment: last.segment, page: last.firstPage + last.pages },
      root: Buffer.from(tree.root).toString("hex"),
      ...(head !== undefined && { head }),
      counts: { ...counts, repairedPages: this.#repairedPages },
    };
    const { name: previous } = this.#previous;
    const manifest = formatManifest(
      to.keys,
      {
        storeId: source.storeId.toString("hex"),
        createdAtMs: atMs,
        recoveryKey: to.id,
        ...(previous !== undefined && { previous }),
        keys,
        segments,
      },
      facts,
    );
    await target.put(manifest.name, octetsOf(manifest.octets), manifest.octets.length);
    return {
      name: manifest.name,
      atMs,
      lsn,
      ...(previous !== undefined && { previous }),
      objects: segments.length + 1,
      ...counts,
      repairedPages: this.#repairedPages,
      isSigned: head !== undefined,
    };
  }
}

function pagesOf(pieces: readonly SourcePiece[]): number {
  return pieces.reduce((sum, { count }) => sum + count, 0);
}
