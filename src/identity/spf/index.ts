/**
 * SPF: may this client send mail for this domain? (RFC 7208; RFC 4406 for the records of Sender ID).
 * Pure; the DNS is an argument.
 */

export { checkHost, checkSpf, type HostQuestion, type SpfQuestion } from "./check.ts";
export { formatMacroString, type MacroString } from "./macro.ts";
export type { Scope } from "./policy.ts";
export {
  type Directive,
  isSpfRecord,
  type Mechanism,
  parseSpfRecord,
  type RecordFault,
  type SpfRecord,
  scopesOf,
} from "./record.ts";
