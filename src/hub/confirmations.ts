/** Confirmations of delivery into mailboxes here, where the sender asked (RFC 3461 §5.2.3). */

import { hash } from "node:crypto";
import type { Acceptance } from "#contracts/store";
import { formatDsn } from "#formats/dsn";
import type { Recipient } from "#model/envelope";
import { isSenderProven } from "./gateway/index.ts";
import type { Inside } from "./inside.ts";
import type { OwnMail } from "./outgoing.ts";

export interface ConfirmationPorts
  extends Pick<Inside, "directory" | "store" | "clock" | "log" | "settings"> {
  /** Commits a message of ours once. */
  readonly commit: (own: OwnMail) => Promise<void>;
  /** Something was queued for elsewhere. */
  readonly queued: () => void;
}

/** Our limit on what comes back of a message: its header section. */
const maxHeaderBytes = 65_536;

/**
 * Called once a message is committed, and not waited for: a crash in between costs the confirmation,
 * never the message.
 */
export function confirmDelivery(acceptance: Acceptance, ports: ConfirmationPorts): void {
  const confirmed = wishedFor(acceptance, ports);
  if (confirmed.length === 0) return;
  confirm(acceptance, confirmed, ports).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    ports.log.write("warn", "hub.not-confirmed", { id: acceptance.id, why });
  });
}

function wishedFor(
  { direction, envelope, verdicts }: Acceptance,
  { directory }: ConfirmationPorts,
): readonly Recipient[] {
  const { reversePath, recipients } = envelope;
  if (reversePath === "") return [];
  // Nobody may make us write to a third person. Who logged in at a door of ours was bound to this path.
  const isOurs = direction === "submission" && verdicts.some(({ method }) => method === "auth");
  if (!isOurs && !isSenderProven(reversePath, verdicts)) return [];
  return recipients.filter(({ path, notify }) => {
    if (notify?.includes("success") !== true) return false;
    // What leads elsewhere is the queue's to tell of.
    const destinations = directory.resolve(path);
    return destinations.length > 0 && destinations.every(({ kind }) => kind === "account");
  });
}

async function confirm(
  { id: about, envelope, acceptedAtMs }: Acceptance,
  recipients: readonly Recipient[],
  { store, settings, clock, commit, queued }: ConfirmationPorts,
): Promise<void> {
  const id = hash("sha256", `${about}\0delivered`).slice(0, 32);
  const start = await store.messages.read(about, 0, maxHeaderBytes);
  const end = start.indexOf("\r\n\r\n");
  const content = formatDsn({
    reportingHost: settings.hostname,
    to: envelope.reversePath,
    id,
    madeAtMs: clock.nowMs(),
    arrivedAtMs: acceptedAtMs,
    ...(envelope.envelopeId !== undefined && { envelopeId: envelope.envelopeId }),
    recipients: recipients.map(({ path, originalRecipient }) => ({
      recipient: path,
      ...(originalRecipient !== undefined && { originalRecipient }),
      action: "delivered",
      status: "2.0.0",
      diagnostic: "it is in the mailbox",
      isSmtp: false,
      lastAttemptAtMs: acceptedAtMs,
    })),
    original: end >= 0 ? start.subarray(0, end + 2) : start,
    originalIsWhole: false,
  });
  await commit({
    id,
    reversePath: "",
    recipients: [envelope.reversePath],
    sender: `mailer-daemon@${settings.hostname}`,
    content,
    step: { step: "confirmed", text: `delivery of ${about} confirmed, as its sender asked` },
    ...(envelope.requireTls === true && { requireTls: true }),
  });
  queued();
}
