/** TLS between servers: what one hop demands (DANE, MTA-STS, the connector), and how it went. */

export { connectorDemand } from "./connector-demand.ts";
export { type DaneFinding, findDane } from "./dane.ts";
export { decide, type Findings, type StsFinding } from "./decide.ts";
export { type TlsEvidence, tlsaText } from "./evidence.ts";
export type { Hop, HopAnswer } from "./hop.ts";
export { type HttpsPorts, withHttps } from "./https.ts";
export { createTlsPolicies, type TlsPolicies, type TlsPolicyDeps } from "./policies.ts";
export { type Fetched, fetchPolicy } from "./sts-fetch.ts";
