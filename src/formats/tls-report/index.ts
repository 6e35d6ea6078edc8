/** SMTP TLS reporting: who wants reports, what they say, how they are sent (RFC 8460). */

export {
  formatTlsReport,
  packTlsReport,
  sumsOf,
  type TlsReportMail,
  tlsReportFileName,
  tlsReportMail,
} from "./format.ts";
export { parseTlsReport, type TlsReportFault } from "./parse.ts";
export { parseTlsRptRecord, type TlsRptFault, type TlsRptRecord, tlsRptName } from "./record.ts";
export {
  policyTypes,
  type TlsFailure,
  type TlsPolicyType,
  type TlsReport,
  type TlsReportPolicy,
  type TlsResult,
  tlsResults,
} from "./report.ts";
