/** One request of the edge and the application's answer; the slower side sets the pace. */

import type { Buffer } from "node:buffer";
import type { LinkStream } from "#contracts/link";
import type { WebRequest, WebResponse } from "#contracts/web";
import type { ResponseHead } from "#formats/http";
import type { Connection, Why } from "./connection.ts";
import { answerHeaders, isDownload } from "./headers.ts";
import type { Pool, Request } from "./pool.ts";
import type { CookieSeal } from "./session-cookies.ts";

/** What was decided before it may pass. */
export interface Pass {
  readonly pool: Pool;
  /** Of the request's share of the pool. */
  readonly owner: string;
  /** Of the request, with the blank line. */
  readonly head: string;
  /** The application's own name. */
  readonly upstreamHost: string;
  /** How long the answer may take to begin, where that is longer than elsewhere. */
  readonly answerTimeoutMs: number | undefined;
  /** The answer leaves nothing on the computer. */
  readonly publicComputer: boolean;
  readonly cookies: CookieSeal;
  readonly downloads: boolean;
  /** Whether who asked is still signed in; asking does not prolong it. */
  stillValid(): boolean;
  failed(why: Why, detail: string): void;
}

/** Asked once more where a kept connection turned out to be closed (RFC 9110 §9.2.2). */
const repeatable: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT"]);

/** Also the taker of what the edge sends: one object for each request. */
export class Passage implements Request {
  readonly #stream: LinkStream;
  readonly #ask: WebRequest;
  readonly #pass: Pass;
  readonly sinceMs: number;
  #connection: Connection | undefined;
  /** Written with the first octets of the body; "" once it is. */
  #head: string;
  /** Of an announced body. */
  #left: number;
  #bodyEnded: boolean;
  #isRaw = false;
  #isAnswered = false;
  #isOver = false;
  #isRepeated = false;
  /** Octets that came before there was a connection. */
  #early: { readonly octets: Buffer; readonly taken: () => void } | undefined;

  constructor(stream: LinkStream, ask: WebRequest, pass: Pass) {
    this.#stream = stream;
    this.#ask = ask;
    this.#pass = pass;
    this.#head = pass.head;
    this.#left = ask.body === "chunked" ? 0 : ask.body;
    this.#bodyEnded = ask.body === 0;
    this.sinceMs = pass.pool.nowMs();
  }

  start(): void {
    this.#pass.pool.ask(this);
    this.#stream.receive(this);
  }

  // Request.

  get answerTimeoutMs(): number | undefined {
    return this.#pass.answerTimeoutMs;
  }

  get owner(): string {
    return this.#pass.owner;
  }

  get method(): string {
    return this.#ask.method;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  begin(connection: Connection): void {
    this.#connection = connection;
    if (this.#ask.body === 0) return connection.writeHead(this.#head);
    const early = this.#early;
    this.#early = undefined;
    if (early !== undefined) {
      const room = this.#writeBody(connection, early.octets);
      if (room === undefined) early.taken();
      else void room.then(early.taken);
    }
    if (this.#bodyEnded) this.#endBody(connection);
  }

  isWanted(): boolean {
    return this.#pass.stillValid();
  }

  answered(head: ResponseHead): boolean {
    const { publicComputer, downloads, cookies, upstreamHost } = this.#pass;
    if (head.status === 101) {
      // Never without having been asked for, nor to anything else.
      if (this.#ask.upgrade === undefined || head.upgrade !== this.#ask.upgrade) {
        this.failed("bad-answer", "an upgrade that nobody asked for");
        return false;
      }
      this.#isRaw = true;
    }
    if (publicComputer && !downloads && isDownload(head.headers)) {
      this.#refuse({ refused: "not-allowed", why: "download" });
      return false;
    }
    this.#isAnswered = true;
    const bodyBytes = bodyBytesOf(head, this.#ask.method);
    this.#stream.answer({
      status: head.status,
      headers: cookies.sealed(answerHeaders(head, upstreamHost, publicComputer)),
      ...(bodyBytes !== undefined && { bodyBytes }),
    } satisfies WebResponse);
    return true;
  }

  part(octets: Buffer): boolean {
    const stream = this.#stream;
    if (stream.send(octets)) return true;
    // Where the stream is broken, `broken` has been called or will be.
    stream.drained().then(
      () => this.#connection?.resume(),
      () => {},
    );
    return false;
  }

  ended(): void {
    this.#connection = undefined;
    this.#isOver = true;
    this.#stream.end();
  }

  failed(why: Why, detail: string, isStale = false): void {
    if (this.#isOver) return;
    this.#connection = undefined;
    if (isStale && !this.#isRepeated && this.#ask.body === 0 && repeatable.has(this.#ask.method)) {
      this.#isRepeated = true;
      return this.#pass.pool.ask(this, true);
    }
    this.#pass.failed(why, detail);
    if (!this.#isAnswered) return this.#refuse({ refused: "unreachable", why });
    // Half an answer must not look whole.
    this.#isOver = true;
    this.#stream.abort(why);
  }

  #refuse(refusal: WebResponse): void {
    this.#isOver = true;
    this.#early?.taken();
    this.#stream.answer(refusal);
    this.#stream.end();
  }

  // What the edge sends.

  data(octets: Buffer): void | Promise<void> {
    if (this.#isOver) return; // the answer came before the end of the body
    const connection = this.#connection;
    if (this.#isRaw) return connection?.writeRaw(octets);
    if (this.#bodyEnded) return this.#broke("octets behind the body");
    if (connection !== undefined) return this.#writeBody(connection, octets);
    return new Promise((taken) => {
      this.#early = { octets, taken };
    });
  }

  #writeBody(connection: Connection, octets: Buffer): Promise<void> | undefined {
    const chunked = this.#ask.body === "chunked";
    if (!chunked) {
      if (octets.length > this.#left) {
        this.#broke("body is longer than announced");
        return undefined;
      }
      this.#left -= octets.length;
    }
    const head = this.#head;
    this.#head = "";
    return connection.writeBody(head, octets, chunked);
  }

  end(): void {
    if (this.#isOver) return;
    if (this.#ask.upgrade !== undefined) {
      if (this.#isRaw) this.#connection?.endRaw();
      return;
    }
    if (this.#bodyEnded) return;
    this.#bodyEnded = true;
    if (this.#connection !== undefined) this.#endBody(this.#connection);
  }

  #endBody(connection: Connection): void {
    if (this.#left > 0) return this.#broke("body is shorter than announced");
    connection.endBody(this.#head, this.#ask.body === "chunked");
    this.#head = "";
  }

  /** The client, or the edge, is gone. */
  broken(): void {
    this.#isOver = true;
    this.#early?.taken();
    this.#connection?.destroy();
    this.#connection = undefined;
  }

  /** The edge does not keep to what it said. */
  #broke(why: string): void {
    this.#stream.abort(why);
  }
}

/** Of HEAD, what a GET would have brought (RFC 9110 §8.6). */
function bodyBytesOf(head: ResponseHead, method: string): number | undefined {
  if (method !== "HEAD") return typeof head.body === "number" ? head.body : undefined;
  const length = head.headers.find(([name]) => name === "content-length")?.[1];
  return length === undefined ? undefined : Number(length);
}
