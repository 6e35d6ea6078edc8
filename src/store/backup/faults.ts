/** What can be wrong with a backup, as somebody else's octets may be. */

import type { LedgerFault } from "#store";
import type { ArchiveFault } from "./archive.ts";
import type { FactsFault, ManifestFault } from "./manifest.ts";

export type BackupFaultKind =
  | ManifestFault
  | FactsFault
  | ArchiveFault
  | LedgerFault
  | "missing"
  /** It has another length, or another hash, than the manifest says. */
  | "other-size"
  | "other-hash"
  /** The backup is sealed to another recovery key than the one given. */
  | "other-key"
  /** What should be the store's keys is not. */
  | "bad-keys"
  /** All pages are sound, but together they are not the history that the manifest ends with. */
  | "other-history"
  /** The signed head is of another history, or not signed by the keys of the log. */
  | "bad-head";

export interface BackupFault {
  /** Name on the target. */
  readonly object: string;
  readonly what: BackupFaultKind;
  /** In a segment, when it is about its pages. */
  readonly segment?: number;
  readonly page?: number;
}

export type BackupOutcome<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly fault: BackupFault };

export function unusable(fault: BackupFault): { readonly ok: false; readonly fault: BackupFault } {
  return { ok: false, fault };
}

const words: Readonly<Partial<Record<BackupFaultKind, string>>> = {
  missing: "is not there",
  "other-size": "has another length than the manifest says",
  "other-hash": "was altered: its hash is not the one in the manifest",
  "wrong-hash": "was altered: its hash is not the one in its name",
  "other-key": "is sealed to another recovery key",
  "wrong-key-or-altered": "is sealed to another recovery key, or was altered",
  altered: "was altered, cut, or stands under the name of another",
  "not-an-archive": "is no backup of ours, or one of a later version",
  "too-short": "is cut",
  future: "was made by a later version",
  "bad-keys": "does not hold the keys of a store",
  "other-history": "ends with another history than its pages make",
  "bad-head": "bears a head of another history, or one that the log did not sign",
  "out-of-order": "does not go on where the part before it ends",
};

/** For people. */
export function faultText({ object, what, segment, page }: BackupFault): string {
  const where = segment === undefined ? "" : ` (segment ${segment}, page ${page})`;
  return `${object} ${words[what] ?? `is damaged: ${what}`}${where}`;
}
