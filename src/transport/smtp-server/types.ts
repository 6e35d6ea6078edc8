/** What the SMTP server asks of the tier that it serves. */

import type { SecureContext } from "node:tls";
import type { Clock } from "#base/clock";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { Net } from "#base/net";
import type { Values } from "#base/parameters";
import type { Random } from "#base/random";
import type { Connection, LoginMark, TlsProofKind } from "#model/connection";
import type { Envelope, Path } from "#model/envelope";
import type { ContentId, MessageId } from "#model/mailbox";
import type { Reply } from "#model/reply";
import type { TlsVersion } from "#model/tls-policy";
import type { smtpParameters } from "./parameters.ts";
import type { MessageRoom } from "./room.ts";
import type { TarpitOptions } from "./tarpit.ts";

export type SmtpLimits = Values<typeof smtpParameters>;

export type SmtpAuthOutcome =
  | { readonly ok: true; readonly address: string; readonly login?: LoginMark }
  | { readonly ok: false; readonly reason: "refused" | "slow-down" | "busy" };

/** Mechanisms PLAIN and LOGIN, inside TLS only (RFC 4954). */
export interface SmtpAuth {
  /** @param from address of the client */
  verify(name: string, password: string, from: string): Promise<SmtpAuthOutcome>;
  /** No mail without login. */
  readonly required: boolean;
}

/** One login, step by step (RFC 4422 §3). */
export interface SaslDialogue {
  /** Said to who brings no initial response; nothing when absent. */
  readonly prompt?: Uint8Array;
  /** @param response decoded, untrusted */
  next(response: Buffer): Later<SaslStep>;
}

export type SaslStep = { readonly challenge: Uint8Array } | SmtpAuthOutcome | "bad-response";

/** Logins on a port that strangers use, too; inside TLS only (RFC 4954). */
export interface SaslPort {
  /** What this client is offered; empty: no login at all. */
  mechanisms(connection: Connection): readonly string[];
  /** @param mechanism one of those */
  begin(
    mechanism: string,
    connection: Connection,
    binding: ChannelBinding | undefined,
  ): SaslDialogue;
}

/** SHA-256, lower-case hexadecimal, of what a client showed in its handshake. */
export interface ShownCertificate {
  readonly sha256: string;
  readonly keySha256: string;
}

/** What is known of a client so far, and therefore demanded of it. */
export interface PeerRules {
  /** Name of the inbound connector that it came by. */
  readonly connector?: string;
  /** It logged in as a partner that does not come this way: as good as a wrong password. */
  readonly isLoginUnfit?: true;
  /** What its certificate stood against. */
  readonly proof?: TlsProofKind;
  /** 530 to whatever needs TLS first (RFC 3207 §4). */
  readonly requireTls?: boolean;
  /** Whose demands its handshake has to meet; for the log when it fails. */
  readonly floor?: { readonly connector: string; readonly minVersion: TlsVersion };
}

/** Tells clients apart. */
export interface PeerPort {
  /** Asked when a client comes, after TLS, and after its login. */
  rules(connection: Connection, shown: ShownCertificate | undefined): PeerRules;
  /** Is it asked for a certificate? It may go without one. */
  asksCertificate(connection: Connection): boolean;
}

export interface SmtpServerOptions {
  /** Name in the configuration: "smtp", "submission". */
  readonly listener: string;
  /** In the greeting and behind "by" of Received. */
  readonly hostname: string;
  /** Domain of a bare `<Postmaster>`; without it, the host name. */
  readonly postmasterDomain?: string;
  /** Asked at each handshake: a renewed certificate is served from then on. */
  readonly tls?: (connection: Connection) => SecureContext;
  /** lmtp: LHLO, and at the end of a message one reply for each recipient (RFC 2033). Absent: smtp. */
  readonly protocol?: "smtp" | "lmtp";
  /** TLS from the first octet (RFC 8314 §3.3) instead of STARTTLS. */
  readonly implicitTls: boolean;
  readonly limits: SmtpLimits;
  readonly auth?: SmtpAuth;
  /** How slowly refused recipients and logins are answered; absent: at once. */
  readonly tarpit?: TarpitOptions;
  /** Instead of `auth`. */
  readonly sasl?: SaslPort;
  readonly peers?: PeerPort;
  /** Where messages count while they come in and are kept; absent: the handler sees to its memory. */
  readonly room?: MessageRoom;
  /** Networks ("192.0.2.0/24") whose connections must begin with a PROXY header. */
  readonly proxyTrusted: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly registry: Registry;
  /** Where listen() opens its port; the machine's network when absent. */
  readonly net?: Net;
}

/** A session as handlers see it; the same object for the life of the connection. */
export interface SmtpSession {
  readonly connection: Connection;
  /** From MAIL to the end of the transaction. */
  readonly envelope: Envelope | undefined;
}

/** RFC 9266 §4. */
export interface ChannelBinding {
  readonly type: "tls-exporter";
  readonly data: Buffer;
}

export interface Transaction {
  /** 32 hexadecimal digits. */
  readonly id: MessageId;
  readonly connection: Connection;
  readonly envelope: Envelope;
  readonly receivedAtMs: number;
}

/**
 * Takes the octets of one message: dots unstuffed, every line end CRLF, no NUL. Exactly one of end()
 * and abort() is called, once.
 */
export interface ContentSink {
  /**
   * A promise stops the client until it is fulfilled. The octets may be kept, but not changed: they
   * are still to be hashed.
   */
  write(chunk: Buffer): void | Promise<void>;
  /**
   * A positive reply says that the message is kept. Several, for LMTP only, are those of the
   * recipients in their order; one is for all of them.
   */
  end(facts: ContentFacts): Later<Reply | readonly Reply[]>;
  /** Connection lost, too large, malformed: nothing of the message counts. */
  abort(why: string): void;
}

export interface ContentFacts {
  readonly contentId: ContentId;
  readonly sizeBytes: number;
}

type Later<Value> = Value | Promise<Value>;

/**
 * Undefined accepts. A reply of code 421 also ends the session (RFC 5321 §3.8). Errors thrown become
 * 4xx replies; their words stay inside.
 */
export interface SmtpHandler {
  /** Before the greeting; a reply refuses the client. */
  connected?(connection: Connection): Later<Reply | undefined>;
  /** The envelope has no recipients yet. */
  mail?(session: SmtpSession, envelope: Envelope): Later<Reply | undefined>;
  recipient(session: SmtpSession, path: Path): Later<Reply | undefined>;
  /** Called with at least one recipient, before 354 or the first chunk. */
  begin(transaction: Transaction): ContentSink;
}
