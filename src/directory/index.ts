/** Who has an account here, what addresses lead to them, and whether a password is theirs. */

export {
  type AdminFault,
  type AdminOutcome,
  type DirectoryAdmin,
  type DirectoryDeps,
  openDirectory,
} from "./directory.ts";
export { type DirectoryLimits, directoryParameters } from "./parameters.ts";
