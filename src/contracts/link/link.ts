/** Streams over one connection, opened by either end, each bounded by its own window. */

/**
 * deposit: edge → hub, header Deposit, data, end DepositEnd; answer DepositOutcome.
 * sealed:  edge → hub, header {id}, data = a sealed message; answer DepositOutcome.
 * asked:   edge → hub, header {id}; answer {committed: boolean}: was this transaction committed?
 * refused: edge → hub, header {refusals: Refusal[]}; no answer.
 * login:   edge → hub, header WebLogin; answer WebLoginOutcome.
 * logout:  edge → hub, header {session}; no answer.
 * web:     edge → hub, header WebRequest, data = body; answer WebResponse, then data = body.
 * samples: edge → hub, header {samples: Sample[]}; no answer.
 * policy:  hub → edge, header {}, data = JSON {snapshot: string, signature: string} (a snapshot may be
 *          larger than a header); answer {version} that is in force now.
 * dial:    hub → edge, header {host, port, timeoutMs}; answer {address} or {refused}; then raw octets both ways.
 * resolve: hub → edge, header {name, type}; answer DnsAnswer.
 * witness: hub → edge, header WitnessRequest; answer WitnessAnswer (#contracts/witness).
 * certify: hub → edge, header CertifyRequest; answer CertifyAnswer (#contracts/certify).
 * tcp:     edge → hub, header TcpRequest; answer TcpAnswer; then raw octets both ways.
 * recipient: edge → hub, header {path}; answer {recipient: "known" | "unknown" | "later"}.
 *
 * Header, answer and trailer are at most 256 KiB as JSON. A direction that a kind leaves empty
 * ends by itself: nobody calls `end()` on a stream of kind asked, and `answer()` ends a deposit.
 */
export type StreamKind =
  | "deposit"
  | "sealed"
  | "asked"
  | "refused"
  | "login"
  | "logout"
  | "web"
  | "samples"
  | "policy"
  | "dial"
  | "resolve"
  | "witness"
  | "certify"
  | "tcp"
  | "recipient"
  | "authenticate";

export interface OpenOptions {
  /** Sent in the same write as the header. */
  readonly data?: Uint8Array;
  /** Ends our direction at once, with this trailer. */
  readonly end?: { readonly trailer?: unknown };
}

/**
 * One stream. Both ends see the same shape: what the opener says is header, data, trailer;
 * what the other end says is answer, data, trailer. Handlers are set synchronously after opening
 * or in `onStream`; data that came earlier is kept for them (within the window).
 */
export interface LinkStream {
  readonly kind: StreamKind;
  /** What the opener said: untrusted JSON on the accepting end, to be checked before use. */
  readonly header: unknown;
  /** Accepting end: sends the answer; at most once, before any data. */
  answer(value: unknown): void;
  /** Opening end: resolves with the answer; rejects with Unavailable when the stream or link breaks. */
  readonly answered: Promise<unknown>;
  /** False when the peer's window is used up: wait for `drained()` before more. */
  send(chunk: Uint8Array): boolean;
  /** Resolves when the window has room again; rejects with Unavailable when the stream broke. */
  drained(): Promise<void>;
  /** Ends our direction. */
  end(trailer?: unknown): void;
  /** Breaks both directions; the peer's calls reject. */
  abort(why: string): void;
  /**
   * Who takes what the peer sends. Credit returns to the peer when `data` returns, or when its
   * promise resolves: a slow taker slows the sender, memory stays within one window.
   */
  receive(taker: {
    data(chunk: Buffer): void | Promise<void>;
    end(trailer: unknown): void;
    broken(why: string): void;
  }): void;
}

export interface Link {
  /** Name of the peer from its pinned certificate: "edge-smtp". */
  readonly peer: string;
  /** Version that the peer speaks; it knows no kind that came later. */
  readonly version: number;
  /** @throws Unavailable when the link is down */
  open(kind: StreamKind, header: unknown, options?: OpenOptions): LinkStream;
  /** The handler answers or aborts; streams of kinds it does not know it aborts. */
  onStream(handler: (stream: LinkStream) => void): void;
  /** Resolves when the connection is gone, with the reason. */
  readonly closed: Promise<string>;
  close(why: string): void;
}
