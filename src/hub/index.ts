/** The hub: queue, store, directory and sessions; it dials the edges and nobody dials it from there. */

export { backupEvents } from "./backup-events.ts";
export { completeBackupSettings, startBackups } from "./backups.ts";
export {
  checkGateways,
  completeGateway,
  type GatewayValues,
  gatewayParameters,
} from "./gateway/settings.ts";
export { checkMtaSts, mtaStsParameters, ownStsPolicy } from "./mta-sts.ts";
export { type NamedFile, namedFiles } from "./named-files.ts";
export {
  checkPublishedHosts,
  completePublication,
  type Publication,
  publicationParameters,
} from "./publishing.ts";
export { checkDoors, lmtpDoorOf } from "./relay/settings.ts";
export { submissionParameters } from "./sending-limits.ts";
export {
  checkSendmail,
  localSocketOf,
  type SendmailSettings,
  sendmailParameters,
} from "./sendmail-settings.ts";
export type { HubSettings } from "./settings.ts";
export { startHub } from "./start.ts";
