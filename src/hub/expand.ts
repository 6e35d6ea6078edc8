/** From the recipients of a deposit to mailboxes here, and to queue items for elsewhere. */

import { hex } from "#base/bytes";
import type { Clock } from "#base/clock";
import type { Random } from "#base/random";
import type { Deposit } from "#contracts/deposit";
import type { Directory } from "#contracts/directory";
import type { Delivery, NewQueueItem } from "#contracts/store";
import type { Decision } from "#model/decision";
import type { Recipient } from "#model/envelope";
import type { Verdict } from "#model/verdict";
import { isSenderProven } from "./gateway/index.ts";

export interface ExpandPorts {
  readonly directory: Pick<Directory, "resolve">;
  readonly clock: Clock;
  readonly random: Random;
}

interface JudgedMail extends Deposit {
  readonly verdicts: readonly Verdict[];
}

export interface Expanded {
  readonly deliveries: readonly Delivery[];
  readonly queue: NewQueueItem[];
  /** They lead nowhere any more. */
  readonly nobody: readonly Recipient[];
}

export function expand(mail: JudgedMail, decision: Decision, ports: ExpandPorts): Expanded {
  const role = decision.disposition === "accept" ? "inbox" : "junk";
  const accounts = new Set<string>();
  const queue: NewQueueItem[] = [];
  const nobody: Recipient[] = [];
  for (const recipient of mail.envelope.recipients) {
    const destinations = ports.directory.resolve(recipient.path);
    if (destinations.length === 0) nobody.push(recipient);
    for (const destination of destinations) {
      if (destination.kind === "account") accounts.add(destination.account);
      else queue.push(queueItem(mail, recipient, destination.address, ports));
    }
  }
  const deliveries = [...accounts].map(
    (account) => ({ account, mailbox: role, flags: [] }) as const,
  );
  return { deliveries, queue, nobody };
}

export function queueItem(
  { envelope, verdicts }: JudgedMail,
  { path: _path, ...wishes }: Recipient,
  address: string,
  { clock, random }: Omit<ExpandPorts, "directory">,
): NewQueueItem {
  const nowMs = clock.nowMs();
  const { reversePath, dsnReturn, envelopeId } = envelope;
  const isUnproven = reversePath !== "" && !isSenderProven(reversePath, verdicts);
  return {
    id: hex(random.bytes(16)),
    reversePath,
    recipient: address,
    wishes,
    ...(dsnReturn && { dsnReturn }),
    ...(envelopeId !== undefined && { envelopeId }),
    utf8: envelope.utf8 === true,
    ...(envelope.requireTls && { requireTls: true }),
    ...(isUnproven && { unprovenSender: true }),
    queuedAtMs: nowMs,
    nextAttemptAtMs: nowMs,
  };
}
