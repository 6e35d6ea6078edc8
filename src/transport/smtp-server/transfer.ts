/** One transaction of a session: its envelope, and its message while that comes in (RFC 5321 §3.3). */

import type { Envelope, Recipient } from "#model/envelope";
import type { Reply } from "#model/reply";
import { ContentScanner } from "./content-scanner.ts";
import { Intake } from "./intake.ts";
import type { ContentSink, SmtpServerOptions } from "./types.ts";

/** What is said at the end of a message: once, or for LMTP to each recipient (RFC 2033 §4.2). */
export function finalReplies(
  { recipients, chunkIsLast }: Transfer,
  outcome: Reply | readonly Reply[],
  protocol: "smtp" | "lmtp" = "smtp",
): readonly Reply[] {
  if (isSeveral(outcome)) return outcome;
  return protocol === "lmtp" && chunkIsLast ? recipients.map(() => outcome) : [outcome];
}

/** Of a message that some recipients have: that somebody has it. */
export function bestOf(replies: readonly Reply[]): Reply {
  return replies.reduce((best, one) => (one.code < best.code ? one : best));
}

function isSeveral(outcome: Reply | readonly Reply[]): outcome is readonly Reply[] {
  return Array.isArray(outcome);
}

/** Rate is not looked at before a message has had so long. */
const graceMs = 60_000;

export class Transfer {
  readonly envelope: Envelope;
  readonly declaredBytes: number;
  readonly recipients: Recipient[] = [];
  scanner: ContentScanner | undefined;
  intake: Intake | undefined;
  /** Octets of the present BDAT chunk that are still to come. */
  chunkLeft = 0;
  chunkBytes = 0;
  /** What comes by DATA is the last, too. */
  chunkIsLast = true;
  #startedMs = 0;
  #waitingSinceMs = 0;

  /** @param declaredBytes as SIZE said (RFC 1870 §6.1) */
  constructor(wishes: Omit<Envelope, "recipients">, declaredBytes = 0) {
    this.declaredBytes = declaredBytes;
    this.envelope = { ...wishes, recipients: this.recipients };
  }

  /** @param dotted DATA, not BDAT */
  open(
    sink: ContentSink,
    dotted: boolean,
    { limits, room }: Pick<SmtpServerOptions, "limits" | "room">,
    nowMs: number,
  ): void {
    this.intake = new Intake(sink, limits.maxMessageBytes, room);
    this.scanner = new ContentScanner(dotted, limits.maxTextLineBytes);
    this.#startedMs = nowMs;
  }

  /** The time that the sink takes is not the client's. */
  waiting(nowMs: number): void {
    this.#waitingSinceMs = nowMs;
  }

  goesOn(nowMs: number): void {
    this.#startedMs += nowMs - this.#waitingSinceMs;
  }

  isTooSlow(nowMs: number, bytesPerSecond: number): boolean {
    const spentMs = nowMs - this.#startedMs;
    return spentMs > graceMs && (this.intake?.sizeBytes ?? 0) * 1000 < bytesPerSecond * spentMs;
  }
}
