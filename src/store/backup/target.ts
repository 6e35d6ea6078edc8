/** Where backups are kept: names to octets, whole or not at all. */

/** Octets in order, in pieces of any size; each piece is the receiver's to keep. */
export type Octets = AsyncIterable<Uint8Array>;

export interface ByteRange {
  readonly offset: number;
  /** At least 1; to the end when absent. A range behind the end holds nothing. */
  readonly lengthBytes?: number;
}

export interface Stored {
  readonly name: string;
  readonly sizeBytes: number;
}

/**
 * A place that keeps objects. Every operation may reject with `Unavailable` (`Full` when there is no
 * room), for a later try, or with `Misconfigured`, whose message says what to do.
 */
export interface Target {
  /** What people call it: no credentials in it. */
  readonly title: string;
  /**
   * Durable and visible whole when this resolves; otherwise nothing is visible under the name that
   * was not before, unless just the last step failed, or its answer was lost: then the whole of it may
   * be. What the content throws is passed on as it is. An object of that name is replaced.
   *
   * @param name passes `isObjectName`
   * @param sizeBytes when known: a content of another length is then refused
   */
  put(name: string, content: Octets, sizeBytes?: number): Promise<void>;
  /**
   * Undefined when there is no such object. Pieces follow as they are asked for; a failure on the way
   * is thrown there.
   */
  get(name: string, range?: ByteRange): Promise<Octets | undefined>;
  /**
   * The objects whose names are the folder, "/" and one more word, in no order that can be relied
   * on; what is no object of ours is passed over.
   */
  list(folder: string): AsyncIterable<Stored>;
  /** Resolves too when there is none. */
  remove(name: string): Promise<void>;
  /**
   * Removes what a put that never ended left behind, once it is older.
   *
   * @returns how many were removed
   */
  sweep(olderThanMs: number): Promise<number>;
}

/** One or two words with "/" between: nothing that a file system or a server reads in its own way. */
const objectName = /^[a-z0-9][a-z0-9._-]{0,199}(?:\/[a-z0-9][a-z0-9._-]{0,199})?$/;

export function isObjectName(text: string): boolean {
  return objectName.test(text);
}
