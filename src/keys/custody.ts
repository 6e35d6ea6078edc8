/** Custody of private keys: kept in a folder or on a token, used behind a socket, handed to nobody. */

export { type Custody, openCustody } from "./custody/dkim-custody.ts";
export { type MasterSettings, type OpenMaster, openMaster } from "./custody/master/masters.ts";
export type { TokenSettings } from "./custody/master/token-source.ts";
export { keyringParameters } from "./custody/parameters.ts";
export { readPrivateFile } from "./custody/private-file.ts";
export { type KeyringSettings, serveKeyring } from "./custody/serve.ts";
