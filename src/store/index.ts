/**
 * The store: an append-only ledger of 8 KiB pages that holds everything durable, and views made
 * from it. Terms, octets and legal states: docs/store-format.md.
 */

export { Damaged, type DamageKind, type DamagePlace } from "./damage.ts";
export { type Lock, noLock, socketLock } from "./lock.ts";
export { type OpenStore, openStore, type StoreOptions } from "./open.ts";
export { rebuildIndex } from "./rebuild.ts";
export { type VerifyReport, verifyStore } from "./verify.ts";
