/**
 * The store: an append-only ledger of 8 KiB pages that holds everything durable, and views made
 * from it. Terms, octets and legal states: docs/store-format.md.
 */

export type { BackupAct } from "./act-records.ts";
export { type AffectedMessage, DamagedMail, nameMail } from "./affected.ts";
export type { BackupActs } from "./backup-acts.ts";
export {
  type BackupSource,
  type LedgerMoment,
  Moved,
  type SourcePiece,
  type SourceSegment,
} from "./backup-source.ts";
export { type Cipher, noCipher } from "./cipher.ts";
export { Damaged, type DamageKind, type DamagePlace } from "./damage.ts";
export type { StoreEvents } from "./events.ts";
export { type Examined, type ExamineParts, examineStore } from "./examine.ts";
export type { FactorStore } from "./factors.ts";
export type { Finding, StoreHealth } from "./keeper.ts";
export type { KeptKeys } from "./key-file.ts";
export { LedgerCheck, type LedgerFault } from "./ledger-check.ts";
export { type Lock, noLock, socketLock } from "./lock.ts";
export { memoryMaster } from "./memory-master.ts";
export { type OpenStore, openStore, type StoreOptions } from "./open.ts";
export { Pace } from "./pace.ts";
export { storeParameters } from "./parameters.ts";
export { rebuildIndex } from "./rebuild.ts";
export { type RestoredTo, Restoring, type RestoringParts, type Until } from "./restoring.ts";
export {
  openSalvage,
  type Salvaged,
  type SalvagePlace,
  type SalvageSource,
  salvage,
} from "./salvage.ts";
export type { ScrubResult } from "./scrub.ts";
export {
  type ScrubReport,
  type ScrubTold,
  type StoppedParts,
  scrubAll,
  scrubFiles,
} from "./scrub-all.ts";
export { type NamedReport, type VerifyReport, verifyStore } from "./verify.ts";
