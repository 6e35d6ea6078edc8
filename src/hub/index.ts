/** The hub: queue, store, directory and sessions; it dials the edges and nobody dials it from there. */

export { backupEvents } from "./backup-events.ts";
export { completeBackupSettings, startBackups } from "./backups.ts";
export {
  checkPublishedHosts,
  completePublication,
  type Publication,
  publicationParameters,
} from "./publishing.ts";
export type { HubSettings } from "./settings.ts";
export { startHub } from "./start.ts";
