/** Custody of private keys: kept in a folder, used behind a socket, handed to nobody. */

export { type Custody, openCustody } from "./custody/key-folder.ts";
export { type KeyringSettings, serveKeyring } from "./custody/serve.ts";
