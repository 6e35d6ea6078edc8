/** Everything that says who sent a message, found out together (RFC 7208, 4407, 6376, 8617, 9989). */

export {
  type CheckPorts,
  type Delivered,
  earlySpf,
  type Findings,
  type IdentityRules,
  identityRules,
  MessageChecks,
} from "./checks.ts";
export { identityParameters } from "./parameters.ts";
