/** Mail from our own people, whatever door it came through: submission, JMAP, later the API. */

import type { Connection } from "#model/connection";
import type { Envelope } from "#model/envelope";
import type { AccountId, MessageId } from "#model/mailbox";
import type { Reply } from "#model/reply";

export interface Submission {
  readonly id: MessageId;
  readonly account: AccountId;
  readonly connection: Connection;
  readonly envelope: Envelope;
  /** The message as composed, in pieces, CRLF line ends. */
  readonly octets: readonly Uint8Array[];
  readonly receivedAtMs: number;
}

/** Checks the sender, signs, delivers inside and queues the rest, in one commit. */
export type Submit = (submission: Submission) => Promise<Reply>;
