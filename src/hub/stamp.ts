/** The trace fields that stand before a message's own octets (RFC 5321 §4.4, RFC 8601). */

import type { Deposit } from "#contracts/deposit";
import type { Submission } from "#contracts/submission";
import { formatAuthResults } from "#formats/auth-results";
import { formatReceived, formatReturnPath } from "#formats/received";
import type { Verdict } from "#model/verdict";

/** Return-Path, Authentication-Results and Received of mail from outside. */
export function inboundHead(
  deposit: Deposit,
  verdicts: readonly Verdict[],
  authservId: string,
): Buffer {
  const { connection, envelope, receivedBy, id, receivedAtMs } = deposit;
  const only = envelope.recipients.length === 1 ? envelope.recipients[0]?.path : undefined;
  const received = formatReceived({
    connection,
    receivedBy,
    id,
    ...(only !== undefined && { recipient: only }),
    utf8: envelope.utf8 === true,
    receivedAtMs,
  });
  const results = formatAuthResults(authservId, verdicts);
  return Buffer.from(formatReturnPath(envelope.reversePath) + results + received, "utf8");
}

/** The login's address stays out: the world need not know it. */
export function submissionReceived(
  submission: Omit<Submission, "account" | "octets">,
  hostname: string,
): string {
  const { connection, envelope, id, receivedAtMs } = submission;
  return formatReceived({
    connection,
    receivedBy: hostname,
    id,
    utf8: envelope.utf8 === true,
    receivedAtMs,
  });
}
