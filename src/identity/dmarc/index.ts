/** DMARC: does the domain of From stand behind a message? (RFC 9989). Pure; the DNS is an argument. */

export { checkDmarc, type DmarcQuestion } from "./check.ts";
export { type Destination, type Destinations, reportDestinations } from "./destinations.ts";
export { findPolicy, type PolicyFinding } from "./policy.ts";
export { type DmarcFault, type DmarcRecord, parseDmarcRecord } from "./record.ts";
export type { ReportUri } from "./uri.ts";
export type { DmarcQuery } from "./walk.ts";
