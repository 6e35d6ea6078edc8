/** The story of one message, from the edge to the mailbox or the remote server. */

import type { Connection } from "#model/connection";
import type { MessageId } from "#model/mailbox";

/** One thing that happened. Written by the program that did it. */
export interface TraceStep {
  readonly atMs: number;
  /** "edge-smtp", "hub", "keyring". */
  readonly program: string;
  /** Stable word: connected, tls, helo, mail, recipient, content, checked, decided, deposited,
   * committed, delivered, queued, attempted, refused, bounced. */
  readonly step: string;
  /** One sentence for the administrator; no content of the message. */
  readonly text: string;
}

/** What has become of a message for all its recipients; with several, the first that fits:
 * refused: not accepted. waiting: somewhere in the queue, or held there. failed: somebody does not
 * get it. dropped: taken out of the queue by the administrator. delivered: nothing left to do. */
export type TraceStatus = "refused" | "waiting" | "failed" | "dropped" | "delivered";

export interface TraceSummary {
  readonly id: MessageId;
  readonly atMs: number;
  readonly direction: "inbound" | "submission" | "notice";
  readonly from: string;
  readonly to: readonly string[];
  readonly sizeBytes: number;
  readonly status: TraceStatus;
  /** Message-ID of the header where it is known. */
  readonly messageIdHeader?: string;
}

export interface Trace extends TraceSummary {
  /** By which it came. */
  readonly connection?: Connection;
  /** In order of time. */
  readonly steps: readonly TraceStep[];
}
