/** What an S3 service means when it says no, and what to do about it. */

import { errorCode } from "#base/disk";
import { Full, Misconfigured, Unavailable } from "#base/errors";

/** The same request may work a little later. */
export class TryAgain extends Unavailable {
  /** What the service asks for; 0 when it says nothing. */
  readonly afterMs: number;

  constructor(message: string, afterMs: number, options?: ErrorOptions) {
    super(message, options);
    this.afterMs = afterMs;
  }
}

const passing: ReadonlySet<string> = new Set([
  "BadDigest",
  "IncompleteBody",
  "InternalError",
  "OperationAborted",
  "RequestTimeout",
  "ServiceUnavailable",
  "SlowDown",
  "Throttling",
  "ThrottlingException",
  "TooManyRequests",
  "XAmzContentSHA256Mismatch",
]);

const full: ReadonlySet<string> = new Set([
  "EntityTooLarge",
  "InsufficientCapacity",
  "QuotaExceeded",
  "ServiceQuotaExceededException",
  "XMinioStorageFull",
]);

const cures: Readonly<Record<string, string>> = {
  AccessDenied: "give this access key the rights to list, read, write and delete in the bucket",
  AuthorizationHeaderMalformed: "set the region that the bucket is in",
  InvalidAccessKeyId: "the access key id is not known there",
  NoSuchBucket: "make the bucket, or correct its name",
  PermanentRedirect: "set the region that the bucket is in, or its own endpoint",
  RequestTimeTooSkewed: "the clock of this machine or of the service is wrong",
  SignatureDoesNotMatch: "the secret access key or the region is not right",
  TemporaryRedirect: "set the region that the bucket is in, or its own endpoint",
};

const cureOfStatus: Readonly<Record<number, string>> = {
  301: "set the region that the bucket is in, or its own endpoint",
  307: "set the region that the bucket is in, or its own endpoint",
  401: "check the access key",
  403: "check access key, secret, region, the clock, and the rights of the key",
  404: "make the bucket, or correct its name",
};

/**
 * @param title of the target
 * @param status other than what was hoped for
 * @param code from the Error document, or ""
 * @param retryAfter header of RFC 9110 §10.2.3; only seconds are understood
 */
export function failureOf(
  title: string,
  status: number,
  code: string,
  retryAfter: string | undefined,
): Error {
  const what = `${title} answers ${status}${code === "" ? "" : ` ${code}`}`;
  if (status === 507 || full.has(code)) return new Full(`${what}: make room there`);
  if (passing.has(code) || status === 429 || (status >= 500 && status !== 501)) {
    const seconds = /^\d{1,4}$/.test(retryAfter ?? "") ? Number(retryAfter) : 0;
    return new TryAgain(what, seconds * 1000);
  }
  if (status === 412) return new Unavailable(`${what}: the object changed while it was read`);
  const cure = cures[code] ?? cureOfStatus[status] ?? "is this an S3 service?";
  return new Misconfigured(`${what}: ${cure}`);
}

/** OpenSSL and Node name these; no second try makes a certificate right. */
const tlsCode = /^(?:ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|EPROTO$)/;

/** @param cause what the connection failed with */
export function connectionFailure(title: string, cause: unknown): Error {
  const code = errorCode(cause) ?? "";
  if (tlsCode.test(code)) {
    const cure = "check endpoint and certificate, or name its authority";
    return new Misconfigured(`${title}: no TLS (${code}): ${cure}`, { cause });
  }
  return new TryAgain(`${title} does not answer${code === "" ? "" : ` (${code})`}`, 0, { cause });
}
