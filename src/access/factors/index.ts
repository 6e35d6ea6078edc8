/** What proves who somebody is besides the password: codes, recovery codes, passkeys. */

export { type LoginSettings, loginParameters } from "./parameters.ts";
export {
  checkAssertion,
  checkRegistration,
  claimedBy,
  maxCredentialLength,
  type PasskeyFacts,
  type PasskeyPerson,
  type PasskeyPlace,
  registrationOptions,
  requestOptions,
  rpIdOf,
} from "./passkeys.ts";
export { makeRecoveryCodes, recoveryCodeCount, recoveryDigest } from "./recovery.ts";
export { base32, checkTotp, otpauthUri, totpCode, totpSecretBytes, totpStep } from "./totp.ts";
