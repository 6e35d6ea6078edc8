/** The story of one message, from the edge to the mailbox or the remote server. */

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

export interface TraceSummary {
  readonly id: MessageId;
  readonly atMs: number;
  readonly direction: "inbound" | "submission" | "notice";
  readonly from: string;
  readonly to: readonly string[];
  readonly sizeBytes: number;
  /** accepted, refused. */
  readonly status: string;
  /** Message-ID of the header where it is known. */
  readonly messageIdHeader?: string;
}

export interface Trace extends TraceSummary {
  /** In order of time. */
  readonly steps: readonly TraceStep[];
}
