/** The keyring, the process that holds the private keys: what to ask, how to reach it. */

export { connectKeyring } from "./keyring-client.ts";
export type { KeyringAccess } from "./keyring-connection.ts";
export { faultOf } from "./keyring-faults.ts";
export {
  type HeadSignatures,
  type KeptKey,
  type Keyring,
  type LogKeys,
  type Master,
  type MasterIds,
  type SigningKey,
  signatureValidMs,
  UnknownMaster,
  WrapDamaged,
  type WrappedKey,
} from "./keyring-port.ts";
export {
  type Frame,
  FrameReader,
  formatFrame,
  isProof,
  nonceLength,
  proofOf,
  readKeyringSecret,
} from "./keyring-wire.ts";
