/** One request over the link and its answer back, with the slower side setting the pace. */

import type { Buffer } from "node:buffer";
import type { Clock } from "#base/clock";
import { Full, Unavailable } from "#base/errors";
import { TokenBucket } from "#base/limits";
import type { Link, LinkStream, StreamKind } from "#contracts/link";
import type { HeaderList, WebRefusal, WebRequest, WebResponse } from "#contracts/web";
import { type CheckedRequest, isNavigation, relayedHeaders } from "#proxy";
import { sendError } from "./answers.ts";
import type { Incoming } from "./incoming.ts";

/** The links that are up now; undefined when there is none for that kind. */
export interface EdgeLinks {
  forKind(kind: StreamKind): Link | undefined;
}

export interface RelayDeps {
  readonly links: EdgeLinks;
  readonly clock: Clock;
  readonly answerTimeoutMs: number;
  onLinkDown(): void;
  /** The inside is there and takes no further request now. */
  onLinkFull(): void;
  /** The inside gives no answer of an application; nothing was answered yet. */
  onRefused(request: CheckedRequest, incoming: Incoming, why: WebRefusal): void;
}

export interface Relay {
  pass(request: CheckedRequest, incoming: Incoming, ask: WebRequest): void;
  /** Called now and then: ends what the inside has not answered in time. */
  sweep(): void;
}

/**
 * Streams broken off because their client left: far below what the link takes for an attack, so
 * that no crowd of clients can have it cut for everybody.
 */
const abortsPerSecond = 200;
const abortsAtOnce = 1000;

export function makeRelay(deps: RelayDeps): Relay {
  return new LinkRelay(deps);
}

class LinkRelay implements Relay {
  readonly deps: RelayDeps;
  /** Without an answer yet. */
  readonly waiting = new Set<Passage>();
  readonly #aborts: TokenBucket;
  #toAbort: LinkStream[] = [];

  constructor(deps: RelayDeps) {
    this.deps = deps;
    this.#aborts = new TokenBucket(deps.clock, abortsPerSecond, abortsAtOnce);
  }

  pass(request: CheckedRequest, incoming: Incoming, ask: WebRequest): void {
    const sends = request.body !== 0 || request.upgrade !== undefined;
    let stream: LinkStream;
    try {
      const link = this.deps.links.forKind("web");
      if (link === undefined) throw new Unavailable("no link");
      stream = link.open("web", ask, sends ? {} : { end: {} });
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      if (error instanceof Full) this.deps.onLinkFull();
      else this.deps.onLinkDown();
      return this.outOfReach(request, incoming);
    }
    const passage = new Passage(this, request, incoming, stream);
    this.waiting.add(passage);
    passage.start(this.deps.answerTimeoutMs);
  }

  outOfReach(request: CheckedRequest, incoming: Incoming): void {
    sendError(incoming, 503, isNavigation(request), [["retry-after", "10"]]);
  }

  abort(stream: LinkStream): void {
    if (this.#toAbort.length === 0 && this.#aborts.take()) stream.abort("client went away");
    else this.#toAbort.push(stream);
  }

  sweep(): void {
    const nowMs = this.deps.clock.tickMs();
    for (const passage of this.waiting) if (passage.dueMs <= nowMs) passage.tooLate();
    let done = 0;
    while (done < this.#toAbort.length && this.#aborts.take()) done += 1;
    for (const stream of this.#toAbort.splice(0, done)) stream.abort("client went away");
  }
}

/** Also the taker of what the inside sends: one object for each request, and no chain of closures. */
class Passage {
  /** When the answer must have begun; the body of the request has a time of its own. */
  dueMs = 0;
  #answerWithinMs = 0;
  readonly #relay: LinkRelay;
  readonly #request: CheckedRequest;
  readonly #incoming: Incoming;
  readonly #stream: LinkStream;
  #isOver = false;
  /** Our direction is ended, so that nothing is left to abort behind a whole answer. */
  #isSent: boolean;
  #sentBytes = 0;

  constructor(relay: LinkRelay, request: CheckedRequest, incoming: Incoming, stream: LinkStream) {
    this.#relay = relay;
    this.#request = request;
    this.#incoming = incoming;
    this.#stream = stream;
    this.#isSent = request.body === 0 && request.upgrade === undefined;
  }

  start(answerTimeoutMs: number): void {
    const { route } = this.#request;
    const own = route.kind === "application" ? (route.rule.answerTimeoutMs ?? 0) : 0;
    this.#answerWithinMs = Math.max(own, answerTimeoutMs);
    this.#waitAnew();
    if (own > answerTimeoutMs) this.#incoming.waits(own);
    this.#stream.answered.then(
      (answer) => this.#answered(answer),
      () => this.#lost(),
    );
    this.#incoming.onClosed(() => this.#stop());
    if (this.#request.body !== 0) this.#takeBody();
  }

  #waitAnew(): void {
    this.dueMs = this.#relay.deps.clock.tickMs() + this.#answerWithinMs;
  }

  tooLate(): void {
    this.#stop();
    sendError(this.#incoming, 504, isNavigation(this.#request));
  }

  #answered(answer: unknown): void {
    this.#relay.waiting.delete(this);
    const [request, incoming, stream] = [this.#request, this.#incoming, this.#stream];
    if (!incoming.open || this.#isOver) return;
    const read = readAnswer(answer, request.upgrade !== undefined);
    if (read === undefined || "refused" in read) {
      this.#stop();
      if (read === undefined) sendError(incoming, 502, isNavigation(request));
      else this.#relay.deps.onRefused(request, incoming, read.refused);
      return;
    }
    incoming.answer(read.status, relayedHeaders(read.headers, request), read.bodyBytes);
    stream.receive(this);
    if (read.status === 101) this.#takeBody();
    else if (request.upgrade !== undefined) this.#sent();
  }

  /** The stream or the link broke before the answer. */
  #lost(): void {
    this.#relay.waiting.delete(this);
    if (this.#isOver || !this.#incoming.open || this.#incoming.answered) return;
    this.#isOver = true;
    this.#relay.deps.onLinkDown();
    this.#relay.outOfReach(this.#request, this.#incoming);
  }

  // What the inside sends.

  data(chunk: Buffer): void | Promise<void> {
    const incoming = this.#incoming;
    if (!incoming.write(chunk) && incoming.open) return incoming.drained();
  }

  end(): void {
    this.#isOver = this.#isSent;
    this.#incoming.end();
  }

  /** Half an answer must not look whole. */
  broken(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#incoming.destroy("the inside broke off");
  }

  // What the client sends.

  #takeBody(): void {
    const stream = this.#stream;
    this.#incoming.receive({
      data: (chunk) => {
        this.#sentBytes += chunk.length;
        this.#waitAnew();
        const { body, bodyMaxBytes } = this.#request;
        if (body === "chunked" && this.#sentBytes > bodyMaxBytes) return this.#tooLarge();
        // Where the stream is broken, what waits for its answer hears of it.
        if (!stream.send(chunk)) return stream.drained().catch(() => {});
      },
      end: () => this.#sent(),
      broken: () => this.#stop(),
    });
  }

  #sent(): void {
    this.#isSent = true;
    this.#stream.end();
  }

  #tooLarge(): void {
    if (this.#isOver) return;
    this.#stop();
    if (this.#incoming.answered) this.#incoming.destroy("body too large");
    else sendError(this.#incoming, 413, isNavigation(this.#request), [["connection", "close"]]);
  }

  #stop(): void {
    this.#relay.waiting.delete(this);
    if (this.#isOver) return;
    this.#isOver = true;
    this.#relay.abort(this.#stream);
  }
}

const fieldName = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
/** Every octet that may stand in a value (RFC 9110 §5.5), and nothing that is no octet. */
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;

/** The inside is trusted, and still checked: a mistake there must not become a hole here. */
function readAnswer(answer: unknown, upgrades: boolean): WebResponse | undefined {
  if (typeof answer !== "object" || answer === null) return undefined;
  const { status, headers, bodyBytes, refused } = answer as Readonly<Record<string, unknown>>;
  if (typeof refused === "string") return { refused: refused as WebRefusal };
  if (!Number.isInteger(status) || !Array.isArray(headers)) return undefined;
  const code = status as number;
  if (!(code >= 200 && code <= 599) && !(code === 101 && upgrades)) return undefined;
  for (const field of headers as readonly unknown[]) {
    if (!Array.isArray(field)) return undefined;
    const [name, value] = field as readonly unknown[];
    if (typeof name !== "string" || typeof value !== "string") return undefined;
    if (!fieldName.test(name) || !fieldValue.test(value)) return undefined;
  }
  const given = { status: code, headers: headers as unknown as HeaderList };
  if (bodyBytes === undefined) return given;
  const isLength = Number.isSafeInteger(bodyBytes) && (bodyBytes as number) >= 0;
  return isLength ? { ...given, bodyBytes: bodyBytes as number } : undefined;
}
