/** Who has an account here, what addresses lead to them, and whether a password is theirs. */

export { makeAppPassword } from "./app-passwords.ts";
export {
  type AdminFault,
  type AdminOutcome,
  type CodeOutcome,
  type DirectoryAdmin,
  type DirectoryDeps,
  type DirectoryFactors,
  type OpenDirectory,
  openDirectory,
} from "./directory.ts";
export {
  type Factor,
  hasSecondFactor,
  type PasskeyFactor,
  type TotpFactor,
  withoutFactor,
} from "./factors.ts";
export { type DirectoryLimits, directoryParameters } from "./parameters.ts";
export { Guard, type Try } from "./slow-down.ts";
