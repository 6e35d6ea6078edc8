/** AWS Signature Version 4 in the Authorization header, as every S3-compatible service checks it. */

import { createHash, createHmac } from "node:crypto";

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

export interface ToSign {
  readonly method: string;
  /** As it is sent: each segment percent-encoded once. */
  readonly path: string;
  /** As it is sent: from `queryText`. */
  readonly query: string;
  /** Names in lower case, `host` among them. All are signed. */
  readonly headers: Readonly<Record<string, string>>;
  /** Of the body, hexadecimal. The service compares it with what arrives. */
  readonly payloadSha256: string;
}

const algorithm = "AWS4-HMAC-SHA256";

/** @returns the headers to send: those given, date, hash and signature */
export function signed(
  request: ToSign,
  { accessKeyId, secretAccessKey, region }: Credentials,
  nowMs: number,
): Readonly<Record<string, string>> {
  const time = new Date(nowMs).toISOString().replace(/[-:]|\.\d+/g, "");
  const day = time.slice(0, 8);
  const headers: Readonly<Record<string, string>> = {
    ...request.headers,
    "x-amz-content-sha256": request.payloadSha256,
    "x-amz-date": time,
  };
  const names = Object.keys(headers).sort();
  const canonical = [
    request.method,
    request.path,
    request.query,
    ...names.map((name) => `${name}:${headers[name]?.trim()}`),
    "",
    names.join(";"),
    request.payloadSha256,
  ].join("\n");
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = [algorithm, time, scope, sha256(canonical)].join("\n");
  const key = [day, region, "s3", "aws4_request"].reduce(
    (key: string | Buffer, part) => hmac(key, part).digest(),
    `AWS4${secretAccessKey}`,
  );
  const signature = hmac(key, text).digest("hex");
  const authorization = `${algorithm} Credential=${accessKeyId}/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
  return { ...headers, authorization };
}

/** A query string in the order and encoding that is signed. */
export function queryText(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]) => `${percentEncoded(name)}=${percentEncoded(value)}`)
    .sort()
    .join("&");
}

/** RFC 3986 §2.3: all but unreserved characters. */
export function percentEncoded(text: string): string {
  const hexOf = (character: string): string =>
    `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(text).replace(/[!'()*]/g, hexOf);
}

export function sha256(octets: string | Uint8Array): string {
  return createHash("sha256").update(octets).digest("hex");
}

function hmac(key: string | Buffer, text: string): ReturnType<typeof createHmac> {
  return createHmac("sha256", key).update(text);
}
