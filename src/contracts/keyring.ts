/** The keyring, the process that holds the private keys: what to ask, how to reach it. */

export { connectKeyring, type KeyringAccess } from "./keyring-client.ts";
export type { Keyring, SigningKey } from "./keyring-port.ts";
export {
  type Frame,
  FrameReader,
  formatFrame,
  isProof,
  nonceLength,
  proofOf,
  readKeyringSecret,
} from "./keyring-wire.ts";
