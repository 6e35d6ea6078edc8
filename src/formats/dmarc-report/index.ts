/** DMARC aggregate reports as XML and as mail (RFC 9990; also read as RFC 7489 appendix C has them). */

export { formatAggregateReport } from "./format.ts";
export { type ReportMail, reportMail } from "./mail.ts";
export { type OpenFault, openReport } from "./open.ts";
export { type AggregateFault, parseAggregateReport } from "./parse.ts";
export type { AggregateReport, DkimEntry, ReportRecord, SpfEntry } from "./report.ts";
