/** One HTTP/2 request and its answer: a stream of node:http2 seen as any other (RFC 9113 §8). */

import type { Buffer } from "node:buffer";
import { constants, type ServerHttp2Stream } from "node:http2";
import type { HeaderList } from "#contracts/web";
import { BodyIn, type Taker } from "./body-in.ts";
import { BodyPace, Closing, type Front } from "./front.ts";
import type { Incoming, IncomingHead } from "./incoming.ts";

const { NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } =
  constants;

/** How long the body of a request may go on behind its answer. */
const lingerMs = 1_000;

/** Belong to a connection, of which HTTP/2 has its own idea (RFC 9113 §8.2.2), or are ours to set. */
const notHere = new Set([
  "connection",
  "content-length",
  "date",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);

export class Http2Turn implements Incoming {
  readonly head: IncomingHead;
  readonly upgradable = false;
  readonly #front: Front;
  readonly #stream: ServerHttp2Stream;
  readonly #body: BodyIn;
  readonly #pace: BodyPace;
  readonly #closing = new Closing();
  readonly #sinceMs: number;
  #bodyEnded: boolean;
  #status = 0;
  #octetsOut = 0;
  /** What is left of an announced length; -1 when there is none. */
  #outLeft = 0;
  #ended = false;
  #movedMs: number;
  #takenBytes = 0;
  #patienceMs = 0;

  constructor(front: Front, stream: ServerHttp2Stream, head: IncomingHead) {
    this.head = head;
    this.#front = front;
    this.#stream = stream;
    this.#bodyEnded = head.body === 0;
    this.#body = new BodyIn((held) => {
      if (held) stream.pause();
      else stream.resume();
    });
    this.#sinceMs = front.now.tickMs;
    this.#movedMs = this.#sinceMs;
    this.#pace = new BodyPace(this.#sinceMs);
    if (this.#bodyEnded) this.#body.end();
    stream.on("error", () => {}); // "close" follows
    stream.on("aborted", () => this.#fail("client went away"));
    stream.on("close", () => this.#fail("client went away"));
  }

  get answered(): boolean {
    return this.#status !== 0;
  }

  get open(): boolean {
    return !this.#ended && !this.#closing.isOver;
  }

  receive(taker: Taker): void {
    this.#body.receive(taker);
    if (this.#bodyEnded) return;
    this.proceed();
    this.#stream.on("data", (chunk: Buffer) => {
      this.#pace.came(chunk.length);
      if (!this.#ended) this.#movedMs = this.#front.now.tickMs;
      this.#body.push(chunk);
    });
    this.#stream.on("end", () => {
      this.#bodyEnded = true;
      this.#body.end();
    });
  }

  waits(mostMs: number): void {
    this.#patienceMs = mostMs;
  }

  proceed(): void {
    const waits = this.head.headers.some(([name]) => name === "expect");
    if (waits && !this.answered && !this.#stream.destroyed) {
      this.#stream.additionalHeaders({ ":status": 100 });
    }
  }

  answer(status: number, headers: HeaderList, bodyBytes?: number, last?: Uint8Array): void {
    if (this.answered || !this.open || this.#stream.destroyed) return;
    this.#status = status;
    const length = bodyBytes ?? last?.length;
    const isBare = status === 204 || status === 304 || this.head.method === "HEAD";
    const fields: string[] = [":status", String(status)];
    for (const [name, value] of headers) if (!notHere.has(name)) fields.push(name, value);
    fields.push("date", this.#front.now.date);
    if (length !== undefined && status !== 204 && status !== 304) {
      fields.push("content-length", String(length));
    }
    this.#outLeft = isBare ? 0 : (length ?? -1);
    this.#stream.respond(fields, { endStream: this.#outLeft === 0 });
    if (last === undefined) return;
    this.write(last);
    this.end();
  }

  write(chunk: Uint8Array): boolean {
    if (!this.answered || !this.open || this.#stream.destroyed) return false;
    if (chunk.length === 0 || this.#outLeft === 0) {
      if (chunk.length > 0 && this.head.method !== "HEAD") this.destroy("longer than announced");
      return true;
    }
    if (this.#outLeft > 0) {
      if (chunk.length > this.#outLeft) {
        this.destroy("longer than announced");
        return false;
      }
      this.#outLeft -= chunk.length;
    }
    this.#octetsOut += chunk.length;
    return this.#stream.write(chunk);
  }

  drained(): Promise<void> {
    const stream = this.#stream;
    if (stream.destroyed || !stream.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        stream.off("drain", done).off("close", done);
        resolve();
      };
      stream.on("drain", done).on("close", done);
    });
  }

  end(): void {
    if (!this.answered || this.#ended) return;
    if (this.#outLeft > 0) return this.destroy("shorter than announced");
    this.#ended = true;
    this.#stream.end();
    this.#movedMs = this.#front.now.tickMs;
    this.#body.break("answered");
    // What comes of the body meanwhile is dropped; see `sweep()`.
    if (!this.#bodyEnded) this.#stream.resume();
    this.#closing.close(this.#status, this.#octetsOut);
  }

  destroy(_why: string): void {
    if (this.open) this.#reset(NGHTTP2_INTERNAL_ERROR);
  }

  onClosed(listener: (status: number, octetsOut: number) => void): void {
    this.#closing.listen(listener);
  }

  /** Ends what has taken too long; false when nothing is left to look at. */
  sweep(): boolean {
    const stream = this.#stream;
    if (stream.destroyed) return false;
    const nowMs = this.#front.now.tickMs;
    const taken = this.#octetsOut - stream.writableLength;
    if (taken !== this.#takenBytes) this.#movedMs = nowMs;
    this.#takenBytes = taken;
    if (this.#ended && !this.#bodyEnded && stream.writableFinished) {
      // RFC 9113 §8.1: the answer is whole, so the rest of the body may stay where it is. Not at
      // once: nghttp2 sends a reset before the end of the answer.
      if (nowMs - this.#movedMs > lingerMs) stream.close(NGHTTP2_NO_ERROR);
      return true;
    }
    const { requestTimeoutMs, idleTimeoutMs } = this.#front.limits;
    const patienceMs = stream.writableLength > 0 ? 0 : this.#patienceMs;
    const idleMs = Math.max(idleTimeoutMs, patienceMs);
    const late = nowMs - this.#sinceMs > requestTimeoutMs;
    if (!this.#bodyEnded && (late || this.#pace.isTooSlow(nowMs, this.#body.isHeld))) {
      this.#front.events.refused("body-timeout", this.head.clientAddress);
      this.#reset(NGHTTP2_CANCEL);
    } else if (nowMs - this.#movedMs > idleMs) this.#reset(NGHTTP2_ENHANCE_YOUR_CALM);
    return true;
  }

  #reset(code: number): void {
    if (!this.#stream.destroyed) this.#stream.close(code);
    this.#fail("ended by us");
  }

  #fail(why: string): void {
    this.#body.break(why);
    this.#closing.close(this.#status, this.#octetsOut);
  }
}
