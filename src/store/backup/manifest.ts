/**
 * The manifest: one for each backup, which names all that belongs to it.
 *
 * A JSON object. What whoever keeps, checks or thins out the backups must see is open: objects with
 * lengths and hashes of their sealed octets. What tells about the mail (position, signed head,
 * counts) is sealed to the recovery key. The manifest's own name holds the SHA-256 of its octets.
 */

/** A stored object as the manifest knows it: of its sealed octets. */
interface StoredObject {
  readonly name: string;
  readonly sizeBytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** The store's keys, as a restore needs them. */
export interface KeysObject extends StoredObject {
  readonly kind: "keys";
}

/** Pages of one segment that follow each other. */
export interface SegmentObject extends StoredObject {
  readonly kind: "segment";
  readonly segment: number;
  /** How often the segment had been compacted. */
  readonly revision: number;
  readonly firstPage: number;
  /** At least one. */
  readonly pages: number;
}

export interface Manifest {
  readonly format: 1;
  /** 8 octets, hexadecimal. */
  readonly storeId: string;
  readonly createdAtMs: number;
  /** Id of the key that all objects and the facts are sealed to. */
  readonly recoveryKey: string;
  /** The manifest before this one; it may have been pruned since. */
  readonly previous?: string;
  readonly keys: KeysObject;
  /**
   * In order of segment and page. Those of one segment are of one revision and follow each other from
   * page 0 without gaps.
   */
  readonly segments: readonly SegmentObject[];
  /** The facts, in base64. */
  readonly sealed: string;
}

/** Where in the ledger a backup ends: all up to there is in it. */
export interface Position {
  /** The last record. */
  readonly lsn: number;
  /** The last batch; it may be a mark, without records. */
  readonly generation: number;
  readonly segment: number;
  /** Behind the last page of that batch. */
  readonly page: number;
}

export interface Facts {
  readonly position: Position;
  /** Root of the tree of all records up to there, hexadecimal. */
  readonly root: string;
  /** Signed note of the tree's head at the position, as the witness knows it. */
  readonly head?: string;
  readonly counts: {
    readonly newObjects: number;
    readonly newBytes: number;
    /** Pages of the source that were repaired while they were copied. */
    readonly repairedPages: number;
  };
}

export type ManifestFault =
  | "too-long"
  | "bad-name"
  /** The octets do not have the hash that is in the name. */
  | "wrong-hash"
  | "not-json"
  /** Made by a later version. */
  | "future"
  /** A field is missing, unknown or out of range, or objects do not follow each other. */
  | "bad-shape";

export type FactsFault =
  /** Sealed to another recovery key, or altered. */
  | "wrong-key-or-altered"
  | "bad-shape"
  /** The position is not where the objects end. */
  | "other-position";
