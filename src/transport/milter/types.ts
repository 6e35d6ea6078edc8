/** What a milter is asked, and what it may answer (docs/decisions/0033). */

import type { Endpoint } from "#base/net";
import type { Connection } from "#model/connection";
import type { Envelope } from "#model/envelope";

export interface Milter {
  /** As the administrator wrote it: "inet:8891@127.0.0.1". */
  readonly name: string;
  /** A text is the path of a Unix socket. The message goes there unencrypted. */
  readonly endpoint: Endpoint | string;
  /** For the whole conversation, from dialling to the last answer. */
  readonly timeoutMs: number;
  /** Larger messages are not sent. */
  readonly maxBytes: number;
}

/** A message and where it came from; every text may be hostile. */
export interface MilterMail {
  /** Macro {i}. */
  readonly id: string;
  readonly connection: Connection;
  readonly envelope: Envelope;
  /** Our host name, as the client was greeted: macro {j}. */
  readonly receivedBy: string;
  /** The whole message as the client sent it; less when it is larger than any milter takes. */
  readonly octets: Uint8Array;
  readonly sizeBytes: number;
}

/** A header field that a milter wants on the message: checked, lines end in CRLF and a space or tab. */
export interface MilterField {
  readonly name: string;
  /** Behind the colon, with its first space; without the last line end. */
  readonly value: string;
}

export type MilterVerdict =
  | { readonly kind: "accept" }
  /** Into Junk; also what becomes of "discard": accepted mail is never thrown away. */
  | { readonly kind: "quarantine"; readonly why: string }
  | { readonly kind: "defer"; readonly why: string }
  | { readonly kind: "reject"; readonly why: string };

export type MilterFault =
  /** The message exceeds `maxBytes`, or a header field what the protocol carries: nothing was sent. */
  | "too-large"
  | "no-connection"
  | "timeout"
  /** The connection ended before the verdict. */
  | "cut-off"
  /** It speaks another version of the protocol, or wants steps that we do not offer. */
  | "no-agreement"
  /** More than we read of any milter. */
  | "answer-too-long"
  | "bad-answer";

export type MilterAnswer =
  | {
      readonly kind: "judged";
      readonly verdict: MilterVerdict;
      readonly fields: readonly MilterField[];
      /** Changes that it asked for and did not get, in words. */
      readonly refused: readonly string[];
    }
  | { readonly kind: "unavailable"; readonly why: MilterFault };
