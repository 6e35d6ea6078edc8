/** DKIM: a domain takes responsibility for a message (RFC 6376). Pure; keys and DNS are arguments. */

export { BodyHash, CanonicalBody, hashBody } from "./body.ts";
export { type CheckedMessage, checkDkim, type DkimPorts } from "./check.ts";
export { coverageOf } from "./coverage.ts";
export { type BodyDigest, type BodyDigests, bodyDigests, maxInstances } from "./digests.ts";
export { type DkimRecord, dnsRecord } from "./dns-record.ts";
export { CanonicalHeader, relaxedField } from "./header.ts";
export {
  type DkimAlgorithm,
  type DkimOrder,
  dkimSignature,
  oversigned,
  seconds,
  signedFields,
  signedIfPresent,
  signField,
} from "./sign.ts";
export {
  isDomain,
  isExpired,
  type MessageSignature,
  readMessageSignature,
  readSignature,
  readTags,
  type Signature,
} from "./signature.ts";
export { checkSignature, type SignatureOutcome } from "./verify.ts";
