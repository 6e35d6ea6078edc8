/** SASL mechanisms as messages and values, of both sides, whatever carries them (RFC 4422). */

export { decodeBase64, encodeBase64 } from "./base64.ts";
export { formatOAuthBearer, oauthDummyResponse, readOAuthError } from "./oauth-bearer.ts";
export { formatPlain, type PlainCredentials, readPlain } from "./plain.ts";
export { prepareSecret } from "./prepare.ts";
export {
  type ScramFault,
  type ScramHash,
  type ScramKeys,
  type ScramMechanism,
  scramMechanism,
  scramNonce,
} from "./scram.ts";
export {
  answerScram,
  beginScram,
  type ScramAnswer,
  type ScramStart,
  verifyScram,
} from "./scram-client.ts";
export {
  judgeScram,
  offerScram,
  readScramFirst,
  type ScramFirst,
  type ScramOffer,
} from "./scram-server.ts";
export {
  makeScramVerifier,
  type ScramVerifier,
  scramSalt,
} from "./scram-verifier.ts";
