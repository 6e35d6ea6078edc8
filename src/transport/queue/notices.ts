/** What senders are told: failure, delay, and success where they asked for it (RFC 3461 §4.1, §5.2). */

import { createHash } from "node:crypto";
import { isIP } from "node:net";
import type { Messages } from "#contracts/store";
import { type DsnAction, formatDsn } from "#formats/dsn";
import type { MessageId } from "#model/mailbox";
import type { Attempt, QueueItem } from "#model/queue";

export type NoticeKind = "failure" | "delay" | "success";

export interface Notice {
  /** The same for the same item and kind, always: committing it twice does nothing. */
  readonly id: MessageId;
  readonly kind: NoticeKind;
  /** Its reverse path is null (RFC 3464 §2). */
  readonly to: string;
  readonly item: QueueItem;
  readonly content: Buffer;
}

export interface NoticeDeps {
  readonly messages: Pick<Messages, "read" | "sizeBytes">;
  readonly reportingHost: string;
  readonly giveUpS: number;
  /** Told instead of a sender who did not prove to be it. */
  readonly postmaster: string;
}

/** Our limits on what comes back of a message. */
const maxHeaderBytes = 65_536;
const maxWholeBytes = 262_144;

const actions: Readonly<Record<NoticeKind, DsnAction>> = {
  failure: "failed",
  delay: "delayed",
  success: "relayed",
};

/** A null reverse path never gets a notice: that is what stops them from going round for ever. */
export function isWanted(
  { reversePath, wishes, unprovenSender }: QueueItem,
  kind: NoticeKind,
): boolean {
  if (reversePath === "") return false;
  // Nobody may make us write to a third person. Our postmaster learns of what is lost, and of no more.
  if (unprovenSender === true) return kind === "failure";
  // RFC 3461 §4.1: without NOTIFY, failures and by our choice delays.
  return wishes.notify === undefined ? kind !== "success" : wishes.notify.includes(kind);
}

export async function noticeFor(
  item: QueueItem,
  attempt: Attempt,
  kind: NoticeKind,
  { messages, reportingHost, giveUpS, postmaster }: NoticeDeps,
): Promise<Notice> {
  const id = createHash("sha256").update(`${item.id}\0${kind}`).digest("hex").slice(0, 32);
  const sizeBytes = (await messages.sizeBytes(item.message)) ?? item.sizeBytes;
  // RFC 8689 §5: what had to be protected does not come back whole.
  const mayBeWhole = item.dsnReturn === "full" && item.requireTls !== true;
  const whole = mayBeWhole && sizeBytes <= maxWholeBytes && kind === "failure";
  const to = item.unprovenSender === true ? postmaster : item.reversePath;
  const start = await messages.read(item.message, 0, whole ? sizeBytes : maxHeaderBytes);
  const { text } = attempt.reply;
  const words = typeof text === "string" ? text : text.join(" ");
  const isSmtp = attempt.unanswered !== true;
  const content = formatDsn({
    reportingHost,
    to,
    id,
    madeAtMs: attempt.atMs + attempt.durationMs,
    arrivedAtMs: item.queuedAtMs,
    ...(item.envelopeId !== undefined && { envelopeId: item.envelopeId }),
    recipients: [
      {
        recipient: item.recipient,
        ...(item.wishes.originalRecipient && { originalRecipient: item.wishes.originalRecipient }),
        action: actions[kind],
        status: attempt.reply.status ?? (kind === "failure" ? "5.0.0" : "4.0.0"),
        ...(isSmtp && { remoteHost: hostOf(attempt.remote) }),
        diagnostic: isSmtp ? `${attempt.reply.code} ${attempt.reply.status ?? ""} ${words}` : words,
        isSmtp,
        lastAttemptAtMs: attempt.atMs,
        ...(kind === "delay" && { willRetryUntilMs: item.queuedAtMs + giveUpS * 1000 }),
      },
    ],
    original: whole ? start : headerOf(start),
    originalIsWhole: whole,
  });
  return { id, kind, to, item, content };
}

/** Of "host", "host [address]", each perhaps with ":port"; an address of IPv6 has colons of its own. */
function hostOf(remote: string): string {
  const [word = ""] = remote.split(" ", 1);
  if (isIP(word) !== 0) return word;
  const bracketed = /^\[([^\]]*)\]/.exec(word)?.[1];
  return bracketed ?? word.split(":", 1)[0] ?? "";
}

/** Up to the blank line; a header section longer than we read ends with its last whole line. */
function headerOf(start: Buffer): Buffer {
  const end = start.indexOf("\r\n\r\n");
  return end >= 0 ? start.subarray(0, end + 2) : start.subarray(0, start.lastIndexOf("\r\n") + 2);
}
