/**
 * Backups of the store: made while it is written, sealed to a recovery key whose private part the mail
 * system does not have, checked, restored and tried out.
 */

export { manifestNames, readManifest } from "./catalogue.ts";
export { backupReaching, namedBackup } from "./choose.ts";
export { type Created, createBackup } from "./create.ts";
export { type Drilled, type DrillStep, drillBackup } from "./drill.ts";
export { faultText } from "./faults.ts";
export { recoveryPrivateKeyIn, recoveryPublicKeyIn } from "./key-in.ts";
export { manifestTimeMs, openFacts } from "./manifest-octets.ts";
export { backupParameters } from "./parameters.ts";
export { type Pruned, prune } from "./prune.ts";
export {
  makeRecoveryKey,
  parseRecoveryPrivateKey,
  parseRecoveryPublicKey,
  type RecoveryKeyFault,
  type RecoveryPrivateKey,
  type RecoveryPublicKey,
} from "./recovery-key.ts";
export { type Restored, restoreBackup } from "./restore.ts";
export { sandboxIn, sweepSandboxes } from "./sandbox.ts";
export type { Target } from "./target.ts";
export { type TargetText, targetOf } from "./target-of.ts";
export { type VerifiedBackup, verifyBackup } from "./verify.ts";
