/** Who wants reports on TLS to a domain: the TXT record at `_smtp._tls` (RFC 8460 §3). */

import { accept, type Result, refuse } from "#base/result";

export type TlsRptFault = "none" | "several" | "bad-record";

export interface TlsRptRecord {
  /** Addresses of mailto: and URLs of https:, in the order of the record. */
  readonly mail: readonly string[];
  readonly https: readonly string[];
}

/** Ours: no honest record is longer, or names more places. */
const maxRecord = 2048;
const maxPlaces = 5;

export function tlsRptName(domain: string): string {
  return `_smtp._tls.${domain}`;
}

/**
 * Exactly one record may begin with the version; more are as none.
 *
 * @param texts untrusted: the TXT records, their strings joined
 */
export function parseTlsRptRecord(texts: readonly string[]): Result<TlsRptRecord, TlsRptFault> {
  const [text, ...more] = texts.filter((one) => /^v=TLSRPTv1[ \t]*;/.test(one));
  if (text === undefined) return refuse("none");
  if (more.length > 0) return refuse("several");
  if (text.length > maxRecord) return refuse("bad-record", maxRecord);
  const fields = text.split(";").map((field) => field.trim());
  const rua = fields.find((field) => field.startsWith("rua="))?.slice("rua=".length);
  if (rua === undefined) return refuse("bad-record");
  const uris = rua.split(",", maxPlaces).map((uri) => uri.trim());
  const mail = uris.flatMap((uri) => {
    const address = /^mailto:([^?#]{1,320})$/i.exec(uri.replace(/\?.*$/, ""))?.[1];
    return address === undefined ? [] : [decoded(address)];
  });
  const https = uris.filter((uri) => /^https:\/\//i.test(uri) && URL.canParse(uri));
  if (mail.length + https.length === 0) return refuse("bad-record");
  return accept({ mail: mail.filter((one) => one !== ""), https });
}

/** RFC 3986 §2.1; "" where that is not possible, or no address comes of it. */
function decoded(text: string): string {
  try {
    const address = decodeURIComponent(text);
    return /^[^\s@<>"\p{Cc}]+@[^\s@<>"\p{Cc}]+$/u.test(address) ? address : "";
  } catch {
    return "";
  }
}
