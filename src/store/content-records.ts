/** Records of contents and of the keys that open them. */

import type { ContentId } from "#model/mailbox";

/** A content's key and hash, sealed for one holder under the key of an epoch. */
export type SealedKey = readonly [holder: string, sealed: string];

interface WithKeys {
  readonly id: ContentId;
  readonly epoch: number;
  readonly keys: readonly SealedKey[];
}

/**
 * A content seen for the first time. The blob is its octets, unless parts before hold them. Its id
 * is a hash that only who has its key can make.
 */
export interface ContentRecord extends WithKeys {
  readonly kind: "content";
  readonly sizeBytes: number;
  readonly parts?: ContentParts;
}

/** Sequence numbers of the records with the octets, and how many each but the last holds. */
export interface ContentParts {
  readonly records: readonly number[];
  readonly bytes: number;
}

/** More holders for a content that is on its way to the disk. */
export interface ContentKeysRecord extends WithKeys {
  readonly kind: "content-keys";
}

/** A content entered again: for more holders, or because the epoch of its keys ends. */
export interface KeptRecord extends WithKeys {
  readonly kind: "kept";
  readonly sizeBytes: number;
  readonly parts: ContentParts;
}

/** A holder's own key, sealed under the key of an epoch. */
export interface HolderKeyRecord {
  readonly kind: "holder-key";
  readonly holder: string;
  readonly epoch: number;
  readonly sealed: string;
}

/** What lived of the epoch was entered again; its key is destroyed next. */
export interface EpochEndedRecord {
  readonly kind: "epoch-ended";
  readonly epoch: number;
  readonly atMs: number;
}

/** A piece of a large content, ahead of the record that names it. Nobody may ever name it. */
export interface ContentPartRecord {
  readonly kind: "content-part";
}
