/** One stream of a link: what it may send, and what waits for its taker. */

import { Buffer } from "node:buffer";
import { Unavailable } from "#base/errors";
import { type KindRules, kindRules } from "./kinds.ts";
import type { LinkStream, StreamKind } from "./link.ts";

/** What a stream asks of its link. */
export interface StreamPort {
  readonly windowBytes: number;
  /** To which a window grows while its taker keeps up. */
  readonly maxWindowBytes: number;
  answer(stream: number, value: unknown): void;
  data(stream: number, chunk: Uint8Array): void;
  end(stream: number, trailer: unknown): void;
  reset(stream: number, why: string): void;
  window(stream: number, lengthBytes: number): void;
  /** True while the connection takes nothing more. */
  congested(): boolean;
  /** Somebody waits for the connection, or for credit; `resume()` is called when it takes more. */
  waits(stream: MuxStream): void;
  /** So many octets more wait here, or fewer; may break a stream, this one too. */
  holds(lengthBytes: number): void;
  /** Both directions are over and nothing waits: the link forgets the stream. */
  over(stream: MuxStream): void;
}

type Opened = Pick<LinkStream, "kind" | "header">;

export type Taker = Parameters<LinkStream["receive"]>[0];

/** Many small pieces are joined: a peer must not make us keep an object for each octet. */
const maxPieces = 64;

export class MuxStream implements LinkStream {
  readonly id: number;
  readonly kind: StreamKind;
  readonly header: unknown;
  readonly #port: StreamPort;
  readonly #rules: KindRules;
  readonly #opener: boolean;

  // Outwards.
  #credit: number;
  #unsent: Uint8Array[] = [];
  /** "ending": the end waits behind unsent data. */
  #out: "open" | "ending" | "ended" = "open";
  #trailer: unknown;
  #drain: PromiseWithResolvers<void> | undefined;

  // Inwards.
  #allowance: number;
  #windowBytes: number;
  #consumed = 0;
  #pieces: Buffer[] = [];
  #taker: Taker | undefined;
  #taking = false;
  #in: "open" | "ended" | "told" = "open";
  #peerTrailer: unknown;

  #answerState: "none" | "given" = "none";
  #answerValue: unknown;
  #answered: PromiseWithResolvers<unknown> | undefined;
  #broken: string | undefined;
  #heldBytes = 0;
  #isForgotten = false;

  constructor(port: StreamPort, id: number, opened: Opened, opener: boolean) {
    this.id = id;
    this.kind = opened.kind;
    this.header = opened.header;
    this.#port = port;
    this.#rules = kindRules[opened.kind];
    this.#opener = opener;
    this.#credit = port.windowBytes;
    this.#allowance = port.windowBytes;
    this.#windowBytes = port.windowBytes;
    if (!this.#mayData(opener)) this.#out = opener || !this.#answers() ? "ended" : "open";
    if (!this.#mayData(!opener)) this.#in = opener && this.#answers() ? "open" : "told";
  }

  /** What of it waits here: its header, what the peer was told to send, and what has no credit. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  hold(lengthBytes: number): void {
    if (this.#isForgotten || lengthBytes === 0) return;
    this.#heldBytes += lengthBytes;
    this.#port.holds(lengthBytes);
  }

  #forget(): void {
    this.hold(-this.#heldBytes);
    this.#isForgotten = true;
    this.#port.over(this);
  }

  #answers(): boolean {
    return this.#rules.comesBack !== "nothing";
  }

  #mustAnswerFirst(): boolean {
    return !this.#opener && this.#answerState === "none";
  }

  #mayData(byOpener: boolean): boolean {
    return byOpener ? this.#rules.openerSends : this.#rules.comesBack === "data";
  }

  get answered(): Promise<unknown> {
    if (this.#answered === undefined) {
      this.#answered = quiet();
      if (this.#answerState === "given") this.#answered.resolve(this.#answerValue);
      else if (this.#broken !== undefined) this.#answered.reject(new Unavailable(this.#broken));
    }
    return this.#answered.promise;
  }

  answer(value: unknown): void {
    if (this.#opener || !this.#answers()) throw new TypeError(`no answer to give: ${this.kind}`);
    if (this.#broken !== undefined || this.#answerState === "given") return;
    this.#answerState = "given";
    this.#port.answer(this.id, value);
    if (!this.#mayData(false)) {
      this.#out = "ended";
      this.settle();
    }
  }

  send(chunk: Uint8Array): boolean {
    if (this.#broken !== undefined || this.#out !== "open") return false;
    if (!this.#mayData(this.#opener)) throw new TypeError(`no data on ${this.kind}`);
    if (this.#mustAnswerFirst()) throw new TypeError("data before the answer");
    if (chunk.length > 0) {
      if (this.#unsent.length === 0) this.#sendWithinCredit(chunk);
      else {
        this.#unsent.push(chunk);
        this.hold(chunk.length);
      }
    }
    return this.#roomy();
  }

  #sendWithinCredit(chunk: Uint8Array): void {
    const now = Math.min(this.#credit, chunk.length);
    if (now > 0) this.#port.data(this.id, now === chunk.length ? chunk : chunk.subarray(0, now));
    this.#credit -= now;
    if (now === chunk.length) return;
    this.#unsent.unshift(chunk.subarray(now));
    this.hold(chunk.length - now);
  }

  #roomy(): boolean {
    return this.#unsent.length === 0 && this.#credit > 0 && !this.#port.congested();
  }

  drained(): Promise<void> {
    if (this.#broken !== undefined) return Promise.reject(new Unavailable(this.#broken));
    if (this.#roomy()) return Promise.resolve();
    this.#drain ??= quiet();
    this.#port.waits(this);
    return this.#drain.promise;
  }

  /**
   * The connection takes data again, or credit came.
   *
   * @returns false while somebody still waits
   */
  resume(): boolean {
    if (this.#drain === undefined) return true;
    if (!this.#roomy()) return false;
    this.#drain.resolve();
    this.#drain = undefined;
    return true;
  }

  end(trailer?: unknown): void {
    if (this.#broken !== undefined || this.#out !== "open") return;
    if (!this.#mayData(this.#opener)) return; // `answer()` is the end of such a direction
    if (this.#mustAnswerFirst()) return this.abort("ended without an answer");
    this.#trailer = trailer;
    this.#out = "ending";
    this.#endWhenSent();
  }

  #endWhenSent(): void {
    if (this.#out !== "ending" || this.#unsent.length > 0) return;
    this.#out = "ended";
    this.#port.end(this.id, this.#trailer);
    this.settle();
  }

  abort(why: string): void {
    if (this.#broken !== undefined || this.#over()) return;
    this.#port.reset(this.id, why);
    this.break(why);
  }

  receive(taker: Taker): void {
    this.#taker = taker;
    if (this.#broken !== undefined) queueMicrotask(() => taker.broken(this.#broken ?? ""));
    else queueMicrotask(() => this.#deliver());
  }

  // What the link calls. A returned string is a violation by the peer.

  credited(lengthBytes: number): string | undefined {
    this.#credit += lengthBytes;
    if (lengthBytes === 0 || this.#credit > this.#port.maxWindowBytes) return "credit overflow";
    while (this.#credit > 0) {
      const next = this.#unsent.shift();
      if (next === undefined) break;
      this.hold(-next.length);
      this.#sendWithinCredit(next);
    }
    this.#endWhenSent();
    this.resume();
    return undefined;
  }

  peerAnswered(value: unknown): string | undefined {
    if (!this.#opener || !this.#answers() || this.#answerState === "given") return "stray answer";
    this.#answerState = "given";
    this.#answerValue = value;
    this.#answered?.resolve(value);
    if (!this.#mayData(false)) {
      this.#in = "told";
      this.#stopSending();
      this.settle();
    }
    return undefined;
  }

  /** The outcome is known: what is still unsent has no reader. */
  #stopSending(): void {
    if (this.#out === "ended") return;
    this.#port.reset(this.id, "answered early");
    this.#out = "ended";
    for (const { length } of this.#unsent) this.hold(-length);
    this.#unsent = [];
    this.#drain?.resolve();
    this.#drain = undefined;
  }

  /** A data frame of this length begins. */
  dataBegins(lengthBytes: number): string | undefined {
    if (!this.#mayData(!this.#opener) || this.#in !== "open") return "stray data";
    if (this.#opener && this.#answerState === "none") return "data before the answer";
    if (lengthBytes > this.#allowance) return "window overrun";
    this.#allowance -= lengthBytes;
    this.hold(lengthBytes);
    return undefined;
  }

  data(chunk: Buffer): void {
    if (this.#broken !== undefined) return;
    if (this.#taker !== undefined && !this.#taking && this.#pieces.length === 0) this.#take(chunk);
    else {
      this.#pieces.push(chunk);
      if (this.#pieces.length > maxPieces) this.#join();
    }
  }

  /** Joins runs of small pieces; a piece is copied a bounded number of times. */
  #join(): void {
    const joined: Buffer[] = [];
    let run: Buffer[] = [];
    let runBytes = 0;
    for (const piece of this.#pieces) {
      run.push(piece);
      runBytes += piece.length;
      if (runBytes < 8192) continue;
      joined.push(run.length === 1 ? piece : Buffer.concat(run));
      run = [];
      runBytes = 0;
    }
    if (run.length > 0) joined.push(Buffer.concat(run));
    this.#pieces = joined;
  }

  peerEnded(trailer: unknown): string | undefined {
    if (!this.#mayData(!this.#opener) || this.#in !== "open") return "stray end";
    if (this.#opener && this.#answerState === "none") return "end before the answer";
    this.#in = "ended";
    this.#peerTrailer = trailer;
    this.#deliver();
    return undefined;
  }

  /** Reset by the peer, aborted here, or the link is gone. */
  break(why: string): void {
    if (this.#broken !== undefined) return;
    this.#broken = why;
    this.#pieces = [];
    this.#unsent = [];
    if (this.#answerState === "none") this.#answered?.reject(new Unavailable(why));
    this.#drain?.reject(new Unavailable(why));
    this.#forget();
    this.#taker?.broken(why);
  }

  #deliver(): void {
    if (this.#taker === undefined) {
      this.settle();
      return;
    }
    while (!this.#taking && this.#broken === undefined) {
      const next = this.#pieces.shift();
      if (next === undefined) break;
      this.#take(next);
    }
    if (this.#taking || this.#broken !== undefined || this.#pieces.length > 0) return;
    if (this.#in === "ended") {
      this.#in = "told";
      this.#taker.end(this.#peerTrailer);
    }
    this.settle();
  }

  #take(chunk: Buffer): void {
    try {
      const taken = this.#taker?.data(chunk);
      if (taken === undefined) {
        this.#consume(chunk.length);
        return;
      }
      this.#taking = true;
      taken.then(
        () => {
          this.#taking = false;
          this.#consume(chunk.length);
          this.#deliver();
        },
        (error: unknown) => this.#takerFailed(error),
      );
    } catch (error) {
      this.#takerFailed(error);
    }
  }

  /** Its own reasons stay here; the peer learns only that the stream is broken. */
  #takerFailed(error: unknown): void {
    if (this.#broken !== undefined) return;
    this.#port.reset(this.id, "taker failed");
    this.break(error instanceof Error ? error.message : "taker failed");
  }

  /** Credit goes back in halves of the window: a frame of credit for each chunk would be waste. */
  #consume(lengthBytes: number): void {
    this.hold(-lengthBytes);
    this.#consumed += lengthBytes;
    if (this.#broken !== undefined || this.#in !== "open") return;
    if (this.#consumed * 2 < this.#windowBytes) return;
    const before = this.#windowBytes;
    // One that is waited for keeps its window: what is granted may come to wait here.
    if (this.#pieces.length === 0)
      this.#windowBytes = Math.min(2 * before, this.#port.maxWindowBytes);
    const credit = this.#consumed + this.#windowBytes - before;
    this.#allowance += credit;
    this.#port.window(this.id, credit);
    this.#consumed = 0;
  }

  #over(): boolean {
    if (this.#out !== "ended" || this.#in === "open") return false;
    return this.#in === "told" || this.#taker === undefined;
  }

  /** Tells the link once nothing more can happen here. */
  settle(): void {
    if (!this.#over() || this.#taking || this.#broken !== undefined || this.#isForgotten) return;
    this.#forget();
  }
}

/** A promise that may reject unheard: whoever waits for it hears, and nobody has to. */
function quiet<Value>(): PromiseWithResolvers<Value> {
  const made = Promise.withResolvers<Value>();
  made.promise.catch(() => {});
  return made;
}
