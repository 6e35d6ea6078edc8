/** How an edge hands a message in, and what the inside tells the edge beforehand. */

import type { Connection, Source } from "#model/connection";
import type { InboundConnector } from "#model/connector";
import type { Decision, SenderRules } from "#model/decision";
import type { Envelope } from "#model/envelope";
import type { ContentId, MessageId } from "#model/mailbox";
import type { Reply } from "#model/reply";
import type { TraceStep } from "#model/trace";
import type { Verdict } from "#model/verdict";

/** Header of the deposit; the octets follow as the stream's data. */
export interface Deposit {
  /** Also the transaction id: the same id is never committed twice. */
  readonly id: MessageId;
  /** Host name that the edge greeted with, for the Received field. */
  readonly receivedBy: string;
  readonly connection: Connection;
  readonly envelope: Envelope;
  readonly receivedAtMs: number;
  readonly steps: readonly TraceStep[];
}

/** Ends the octets, and says what was found out while they passed. */
export interface DepositEnd {
  /** Counted and hashed at the socket: guards the whole way. */
  readonly contentId: ContentId;
  readonly sizeBytes: number;
  readonly verdicts: readonly Verdict[];
  readonly decision: Decision;
  /** Where it came from behind relays of our own. */
  readonly source: Source;
  readonly steps: readonly TraceStep[];
}

/** The inside's answer, sent after the commit; `committed` is the only ground for a 250. */
export type DepositOutcome =
  | { readonly committed: true; readonly repeated: boolean }
  | { readonly committed: false; readonly reply: Reply };

/** Pushed to the edge, signed; a lower version than the one held is refused. */
export interface PolicySnapshot {
  readonly version: number;
  readonly madeAtMs: number;
  /** Base64 of 32 random octets, per edge. */
  readonly salt: string;
  /** Base64url of HMAC-SHA-256(salt, address in lower case), one per deliverable address. */
  readonly recipients: readonly string[];
  /** The same for the domains: tells "no such user here" from "relaying denied". */
  readonly domains: readonly string[];
  /** The same for those of the domains whose other recipients the edge must ask about. */
  readonly askedDomains?: readonly string[];
  /** Networks of own relays and managed providers, as "192.0.2.0/24". */
  readonly ownRelays: readonly string[];
  /** d= of ARC sealers whose word counts. */
  readonly trustedSealers: readonly string[];
  readonly praMode: "rfc4407" | "mail-from-fallback";
  readonly rules: SenderRules;
  readonly maxMessageBytes: number;
  /** Raw X25519 and ML-KEM-768 public keys, base64: to seal what must wait in the DMZ. */
  readonly sealTo?: { readonly x25519: string; readonly mlKem768: string };
  /** Those of the door "edge". */
  readonly inbound?: readonly InboundConnector[];
  /** Verifier keys of the log whose heads the edge cosigns (#formats/checkpoint), a line each. */
  readonly logKeys?: readonly string[];
}
