/** What a spam filter is asked, and what it may answer. */

import type { Endpoint } from "#base/net";
import type { Path } from "#model/envelope";

export type SpamFilterName = "rspamd" | "spamassassin";

export interface SpamFilter {
  readonly kind: SpamFilterName;
  /** A text is the path of a Unix socket. The message goes there unencrypted. */
  readonly endpoint: Endpoint | string;
  /** For the whole question, from dialling to the last octet of the answer. */
  readonly timeoutMs: number;
  /** Larger messages are not asked about. */
  readonly maxBytes: number;
}

/** A message and where it came from; every text may be hostile. */
export interface SpamMail {
  /**
   * The message as the client sent it, without our own trace fields: `sizeBytes` octets, or nothing
   * at all when that is more than the filter takes.
   */
  readonly octets: readonly Uint8Array[];
  readonly sizeBytes: number;
  readonly clientAddress: string;
  /** Name of the client by reverse lookup, where one was done and confirmed. */
  readonly clientName?: string;
  readonly helo: string;
  readonly mailFrom: Path;
  readonly recipients: readonly Path[];
  readonly queueId: string;
  /** Our host name, as the client was greeted. */
  readonly receivedBy: string;
  /** Whoever logged in. */
  readonly authenticated?: string;
}

export interface SpamSymbol {
  /** The filter's name of a rule that fired: printable ASCII without spaces. */
  readonly name: string;
  /** SpamAssassin names its rules without their scores. */
  readonly score?: number;
}

export interface SpamScore {
  /** Finite; the higher, the more it is spam. */
  readonly score: number;
  /** From here on the filter takes it for spam; above 0. rspamd: where it would reject. */
  readonly required: number;
  /** rspamd's advice: "no action", "greylist", "add header", "reject" or one of the site's own. */
  readonly action?: string;
  readonly symbols: readonly SpamSymbol[];
}

export type SpamFilterFault =
  /** The message exceeds `maxBytes`: nobody was asked. */
  | "too-large"
  | "no-connection"
  | "timeout"
  /** More than we read of any answer. */
  | "answer-too-long"
  /** The connection ended before anything came. */
  | "no-answer"
  /** The filter said that it cannot: an HTTP status other than 200, an exit code other than 0. */
  | "refused"
  | "bad-head"
  /** The answer is shorter or longer than it says. */
  | "wrong-length"
  | "bad-body";

export type SpamAnswer =
  | ({ readonly kind: "score"; readonly name: SpamFilterName } & SpamScore)
  | { readonly kind: "unavailable"; readonly why: SpamFilterFault };
