/** DKIM: a domain takes responsibility for a message (RFC 6376). Pure; the key is an argument. */

export { hashBody } from "./body.ts";
export { type DkimRecord, dnsRecord } from "./dns-record.ts";
export { type DkimAlgorithm, type DkimOrder, dkimSignature } from "./sign.ts";
