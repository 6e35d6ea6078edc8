/** One HTTP/1.1 request and its answer on a connection that carries one at a time (RFC 9112). */

import { Buffer } from "node:buffer";
import type { HeaderList } from "#contracts/web";
import {
  ChunkedReader,
  chunkEnd,
  chunkHead,
  lastChunk,
  type RequestHead,
  responseHead,
} from "#formats/http";
import { BodyIn, type Taker } from "./body-in.ts";
import { BodyPace, type Client, Closing, type Front } from "./front.ts";
import type { Incoming, IncomingHead } from "./incoming.ts";

/** What a turn asks of its connection. */
export interface Http1Port {
  readonly front: Front;
  readonly client: Client;
  /** No further request is taken on this connection. */
  readonly isLast: boolean;
  /** Hands octets on (text: one per character), one write for all of one turn of the event loop; false: wait for `drained`. */
  send(octets: Buffer | string): boolean;
  drained(): Promise<void>;
  hold(held: boolean): void;
  /** The answer is whole. */
  finished(keepAlive: boolean): void;
  /** From here on octets mean nothing to us. */
  becameRaw(): void;
  destroy(): void;
}

const continues = "HTTP/1.1 100 Continue\r\n\r\n";
const closes: readonly [string, string] = ["connection", "close"];
const chunks: readonly [string, string] = ["transfer-encoding", "chunked"];

/** Fields of framing and connection: ours alone to set. */
const framing = new Set([
  "connection",
  "content-length",
  "date",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

export class Http1Turn implements Incoming {
  readonly head: IncomingHead;
  readonly pace: BodyPace;
  readonly sinceMs: number;
  #patienceMs = 0;
  readonly #port: Http1Port;
  readonly #request: RequestHead;
  readonly #body: BodyIn;
  readonly #closing = new Closing();
  /** Octets of the body still to come, or who cuts them out of chunks. */
  #left: number | ChunkedReader;
  #bodyEnded: boolean;
  #continued = false;
  #status = 0;
  #octetsOut = 0;
  /** What is left of an announced length; -1 in chunks; -2 raw. */
  #outLeft = 0;
  #keepAlive = false;
  #ended = false;

  constructor(port: Http1Port, request: RequestHead) {
    const { method, target, headers, body } = request;
    this.head = {
      version: "1.1",
      method,
      target,
      headers,
      body,
      serverName: port.client.serverName,
      clientAddress: port.client.address,
    };
    this.#port = port;
    this.#request = request;
    this.#left = body === "chunked" ? new ChunkedReader() : body;
    this.#bodyEnded = body === 0;
    this.#body = new BodyIn((held) => port.hold(held));
    if (this.#bodyEnded && request.upgrade === undefined) this.#body.end();
    this.sinceMs = port.front.now.tickMs;
    this.pace = new BodyPace(this.sinceMs);
  }

  // What the connection calls.

  /** Whether octets that come belong to this request. */
  get takes(): boolean {
    return !this.#bodyEnded || this.#outLeft === -2;
  }

  get bodyEnded(): boolean {
    return this.#bodyEnded;
  }

  /** How long the client may be kept waiting, if longer than otherwise. */
  get patienceMs(): number {
    return this.#patienceMs;
  }

  get isHeld(): boolean {
    return this.#body.isHeld;
  }

  /** @returns octets behind the body, or that the framing is broken */
  push(octets: Buffer): Buffer | "fault" | undefined {
    if (this.#outLeft === -2) {
      this.#body.push(octets);
      return undefined;
    }
    this.pace.came(octets.length);
    this.#continued = true;
    return typeof this.#left === "number" ? this.#counted(octets) : this.#chunked(octets);
  }

  #counted(octets: Buffer): Buffer | undefined {
    const left = this.#left as number;
    if (octets.length < left) {
      this.#left = left - octets.length;
      this.#body.push(octets);
      return undefined;
    }
    this.#left = 0;
    this.#bodyEnded = true;
    this.#body.push(octets.length === left ? octets : octets.subarray(0, left));
    this.#body.end();
    return octets.length === left ? undefined : octets.subarray(left);
  }

  #chunked(octets: Buffer): Buffer | "fault" | undefined {
    const outcome = (this.#left as ChunkedReader).push(octets, (part) => this.#body.push(part));
    if (outcome === "more") return undefined;
    if (outcome === "fault") return "fault";
    this.#bodyEnded = true;
    this.#body.end();
    return outcome.rest.length === 0 ? undefined : outcome.rest;
  }

  /** The client ended its side of raw octets. */
  rawEnded(): void {
    this.#body.end();
  }

  /** The connection is gone, or what comes on it cannot be trusted any more. */
  fail(why: string): void {
    this.#ended = true;
    this.#body.break(why);
    this.#closing.close(this.#status, this.#octetsOut);
  }

  // Incoming.

  get upgradable(): boolean {
    return this.#request.upgrade !== undefined;
  }

  get answered(): boolean {
    return this.#status !== 0;
  }

  get open(): boolean {
    return !this.#ended;
  }

  receive(taker: Taker): void {
    this.proceed();
    this.#body.receive(taker);
  }

  waits(mostMs: number): void {
    this.#patienceMs = mostMs;
  }

  proceed(): void {
    if (!this.#request.expectsContinue || this.#continued || this.answered || this.#ended) return;
    this.#continued = true;
    this.#port.send(continues);
  }

  answer(status: number, headers: HeaderList, bodyBytes?: number, last?: Uint8Array): void {
    if (this.answered || this.#ended) return;
    this.#status = status;
    if (status === 101) return this.#becomeRaw(headers);
    const length = bodyBytes ?? last?.length;
    const isBare = status === 204 || status === 304 || this.head.method === "HEAD";
    // Octets that nobody takes would stand before the next request (RFC 9112 §9.3).
    this.#keepAlive =
      this.#request.keepAlive && !this.#port.isLast && (this.#bodyEnded || this.#body.hasTaker);
    const fields: (readonly [string, string])[] = [];
    for (const field of headers) {
      if (!framing.has(field[0])) fields.push(field);
      else if (field[0] === "connection" && field[1] === "close") this.#keepAlive = false;
    }
    fields.push(["date", this.#port.front.now.date]);
    if (length !== undefined && status !== 204 && status !== 304) {
      fields.push(["content-length", String(length)]);
    } else if (length === undefined && !isBare) fields.push(chunks);
    if (!this.#keepAlive) fields.push(closes);
    this.#outLeft = isBare ? 0 : (length ?? -1);
    this.#port.send(responseHead(status, fields));
    if (last === undefined) return;
    this.write(last);
    this.end();
  }

  #becomeRaw(headers: HeaderList): void {
    const fields = headers.filter(([name]) => !framing.has(name));
    const upgrade = this.#request.upgrade ?? "";
    this.#outLeft = -2;
    this.#port.send(
      responseHead(101, [...fields, ["connection", "upgrade"], ["upgrade", upgrade]]),
    );
    this.#port.becameRaw();
  }

  write(chunk: Uint8Array): boolean {
    if (!this.answered || this.#ended) return false;
    if (chunk.length === 0 || this.#outLeft === 0) {
      if (chunk.length > 0 && this.head.method !== "HEAD") this.destroy("longer than announced");
      return true;
    }
    const octets = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#octetsOut += octets.length;
    if (this.#outLeft === -1) {
      this.#port.send(chunkHead(octets.length));
      this.#port.send(octets);
      return this.#port.send(chunkEnd);
    }
    if (this.#outLeft > 0) {
      // One octet too many would be read as the next answer.
      if (octets.length > this.#outLeft) {
        this.destroy("longer than announced");
        return false;
      }
      this.#outLeft -= octets.length;
    }
    return this.#port.send(octets);
  }

  drained(): Promise<void> {
    return this.#ended ? Promise.resolve() : this.#port.drained();
  }

  end(): void {
    if (!this.answered || this.#ended) return;
    if (this.#outLeft > 0) return this.destroy("shorter than announced");
    if (this.#outLeft === -1) this.#port.send(lastChunk);
    this.#ended = true;
    if (this.#outLeft === -2 || !this.#bodyEnded) this.#keepAlive = false;
    this.#body.break("answered");
    this.#closing.close(this.#status, this.#octetsOut);
    this.#port.finished(this.#keepAlive);
  }

  destroy(why: string): void {
    if (this.#ended) return;
    this.#port.destroy();
    this.fail(why);
  }

  onClosed(listener: (status: number, octetsOut: number) => void): void {
    this.#closing.listen(listener);
  }
}
