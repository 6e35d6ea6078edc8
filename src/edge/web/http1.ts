/**
 * An HTTP/1.1 connection: heads cut out of what comes, one request at a time, answers in order
 * (RFC 9112 §9.3). Octets behind a request that was not understood are never read as another one.
 */

import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { findHeadEnd, type HttpFault, readRequestHead, responseHead } from "#formats/http";
import { errorPage, ownHeaders, pagePolicy } from "#proxy";
import type { Client, Front, Held } from "./front.ts";
import { type Http1Port, Http1Turn } from "./http1-turn.ts";

/** Octets that wait for the client before whoever writes has to wait. */
const backlogBytes = 128 * 1024;
/** Up to this much is joined into one write. */
const joinBytes = 64 * 1024;
/** A client gets this long to read the last answer and close; what it sends meanwhile is dropped. */
const lingerMs = 2_000;
const lingerMaxBytes = 1024 * 1024;

const statusOf: Partial<Record<HttpFault, number>> = {
  "bad-version": 505,
  "too-many-headers": 431,
  "bad-coding": 501,
  "bad-expectation": 417,
};

const nothing = Buffer.alloc(0);

export class Http1Connection implements Held, Http1Port {
  readonly front: Front;
  readonly client: Client;
  readonly #socket: Socket;
  #state: "open" | "raw" | "closing" | "gone" = "open";
  /** Octets not yet read as anything, and how far they were searched for the end of a head. */
  #held: Buffer = nothing;
  #searched = 0;
  #blankSkipped = false;
  #turn: Http1Turn | undefined;
  #isReading = false;
  #requestsLeft: number;

  #out: (Buffer | string)[] = [];
  #outBytes = 0;
  #willFlush = false;
  #sentBytes = 0;
  #waiting: (() => void)[] = [];

  /** Since when the connection is idle, a head is under way, or it is closing. */
  #sinceMs: number;
  #movedMs: number;
  #takenBytes = 0;
  #dropped = 0;

  constructor(socket: Socket, client: Client, front: Front) {
    this.#socket = socket;
    this.client = client;
    this.front = front;
    this.#requestsLeft = front.limits.requestsPerConnection;
    this.#sinceMs = front.now.tickMs;
    this.#movedMs = front.now.tickMs;
    socket.on("data", (octets: Buffer) => this.#heard(octets));
    socket.on("drain", () => this.#wake());
    socket.on("end", () => this.#ended());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#gone());
  }

  // Inwards.

  #heard(octets: Buffer): void {
    if (this.#state === "closing") {
      this.#dropped += octets.length;
      if (this.#dropped > lingerMaxBytes) this.destroy();
      return;
    }
    this.#movedMs = this.front.now.tickMs;
    let rest: Buffer | "fault" | undefined = octets;
    if (this.#turn?.takes === true) rest = this.#turn.push(octets);
    if (rest === "fault") return this.#bodyFault();
    if (rest === undefined) return;
    this.#held = this.#held.length === 0 ? rest : Buffer.concat([this.#held, rest]);
    if (this.#turn === undefined) this.#readAll();
    // Requests sent ahead wait in the client once a head's worth of them is here.
    else if (this.#held.length > this.front.limits.headerMaxBytes) this.#socket.pause();
  }

  /** In a loop, not from each answer: many requests at once must not nest. */
  #readAll(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    while (this.#state === "open" && this.#turn === undefined && this.#held.length > 0) {
      // Who sends ahead and reads nothing gets no further answers into our memory.
      if (this.#backlog() > backlogBytes || !this.#readOne()) break;
    }
    this.#isReading = false;
  }

  /** False when the head is not whole yet. */
  #readOne(): boolean {
    const { limits } = this.front;
    // RFC 9112 §2.2: one empty line may stand before a request.
    if (this.#searched === 0 && !this.#blankSkipped && this.#held[0] === 0x0d) {
      if (this.#held.length === 1) return false;
      if (this.#held[1] === 0x0a) {
        this.#blankSkipped = true;
        this.#held = this.#held.subarray(2);
        return this.#held.length > 0;
      }
    }
    const held = this.#held;
    if (this.#searched === 0) this.#sinceMs = this.front.now.tickMs;
    const end = findHeadEnd(held, this.#searched - 3);
    if ((end < 0 ? held.length : end) > limits.headerMaxBytes) {
      this.#refuse(431, "header-size");
      return false;
    }
    if (end < 0) {
      if (hasBareLineFeed(held, this.#searched)) this.#refuse(400, "bad-line-end");
      this.#searched = held.length;
      return false;
    }
    const read = readRequestHead(held.subarray(0, end), limits);
    if (!read.ok) {
      this.#refuse(statusOf[read.fault] ?? 400, read.fault);
      return false;
    }
    if (read.value.version !== "1.1") {
      this.#refuse(505, "version");
      return false;
    }
    this.#held = held.subarray(end);
    this.#searched = 0;
    this.#blankSkipped = false;
    this.#requestsLeft -= 1;
    this.#begin(new Http1Turn(this, read.value));
    return true;
  }

  #begin(turn: Http1Turn): void {
    this.#turn = turn;
    if (turn.takes && this.#held.length > 0) {
      const held = this.#held;
      this.#held = nothing;
      const rest = turn.push(held);
      if (rest === "fault") return this.#bodyFault();
      if (rest !== undefined) this.#held = rest;
    }
    this.front.onRequest(turn);
  }

  #bodyFault(): void {
    const turn = this.#turn;
    const answered = turn?.answered === true;
    turn?.fail("the framing of the body is broken");
    if (answered) this.destroy();
    else this.#refuse(400, "bad-chunk");
  }

  /** Answers what is no request; nothing that follows means anything. */
  #refuse(status: number, why: string): void {
    if (this.#state !== "open") return;
    this.front.events.refused(why, this.client.address);
    const page = Buffer.from(errorPage(status));
    const headers = ownHeaders([
      ["content-type", "text/html; charset=utf-8"],
      ["content-security-policy", pagePolicy],
      ["content-length", String(page.length)],
      ["connection", "close"],
    ]);
    this.send(responseHead(status, headers));
    this.send(page);
    this.#close();
  }

  // Http1Port.

  get isLast(): boolean {
    return this.#requestsLeft <= 0;
  }

  send(octets: Buffer | string): boolean {
    if (this.#state === "gone" || this.#state === "closing") return false;
    this.#out.push(octets);
    this.#outBytes += octets.length;
    if (!this.#willFlush) {
      this.#willFlush = true;
      process.nextTick(() => this.#flush());
    }
    return this.#backlog() < backlogBytes;
  }

  drained(): Promise<void> {
    if (this.#state === "gone" || this.#backlog() < backlogBytes) return Promise.resolve();
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  hold(held: boolean): void {
    if (held) this.#socket.pause();
    else this.#socket.resume();
  }

  finished(keepAlive: boolean): void {
    this.#turn = undefined;
    if (!keepAlive) return this.#close();
    this.#sinceMs = this.front.now.tickMs;
    if (this.#socket.isPaused()) this.#socket.resume();
    this.#readAll();
  }

  becameRaw(): void {
    this.#state = "raw";
    const held = this.#held;
    this.#held = nothing;
    if (held.length > 0) this.#turn?.push(held);
  }

  destroy(): void {
    this.#flush();
    this.#socket.destroy();
    this.#gone();
  }

  // Outwards.

  #backlog(): number {
    return this.#outBytes + this.#socket.writableLength;
  }

  #flush(): void {
    this.#willFlush = false;
    const out = this.#out;
    if (out.length === 0) return;
    const outBytes = this.#outBytes;
    this.#out = [];
    this.#outBytes = 0;
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    this.#sentBytes += outBytes;
    if (outBytes <= joinBytes) this.#socket.write(joined(out, outBytes));
    else {
      this.#socket.cork();
      for (const octets of out) this.#socket.write(octets, "latin1");
      this.#socket.uncork();
    }
  }

  #wake(): void {
    this.#movedMs = this.front.now.tickMs;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
    if (this.#turn === undefined && this.#held.length > 0) this.#readAll();
  }

  /** Ends our side; the client may read what was sent before the connection goes. */
  #close(): void {
    if (this.#state === "gone" || this.#state === "closing") return;
    this.#flush();
    this.#state = "closing";
    this.#sinceMs = this.front.now.tickMs;
    this.#held = nothing;
    this.#socket.end();
    this.#socket.resume();
  }

  #ended(): void {
    if (this.#state === "raw") this.#turn?.rawEnded();
  }

  #gone(): void {
    if (this.#state === "gone") return;
    this.#state = "gone";
    this.#held = nothing;
    this.#out = [];
    this.#turn?.fail("client went away");
    this.#turn = undefined;
    this.#wake();
  }

  // Time.

  sweep(): void {
    const nowMs = this.front.now.tickMs;
    const { limits } = this.front;
    const taken = this.#sentBytes - this.#socket.writableLength;
    if (taken !== this.#takenBytes) this.#movedMs = nowMs;
    this.#takenBytes = taken;
    const turn = this.#turn;
    const waitedMs = nowMs - this.#sinceMs;
    if (this.#state === "closing") {
      if (waitedMs > lingerMs && this.#socket.writableLength === 0) this.destroy();
    } else if (turn !== undefined) {
      const late = nowMs - turn.sinceMs > limits.requestTimeoutMs;
      if (!turn.bodyEnded && (late || turn.pace.isTooSlow(nowMs, turn.isHeld))) this.#tooSlow();
    } else if (this.#searched > 0) {
      if (waitedMs > limits.headerTimeoutMs) this.#refuse(408, "header-timeout");
    } else if (waitedMs > limits.keepAliveTimeoutMs) this.#close();
    // Also for who does not read what is sent.
    const isBusy = turn !== undefined || this.#socket.writableLength > 0;
    const patienceMs = this.#socket.writableLength > 0 ? 0 : (turn?.patienceMs ?? 0);
    const mostMs = Math.max(limits.idleTimeoutMs, patienceMs);
    if (isBusy && nowMs - this.#movedMs > mostMs) this.destroy();
  }

  #tooSlow(): void {
    const turn = this.#turn;
    if (turn === undefined) return;
    const answered = turn.answered;
    this.front.events.refused("body-timeout", this.client.address);
    turn.fail("the body came too slowly");
    if (answered) this.destroy();
    else this.#refuse(408, "body-timeout");
  }
}

/** Copied once, text as one octet per character. */
function joined(parts: readonly (Buffer | string)[], lengthBytes: number): Buffer {
  const [only] = parts;
  if (parts.length === 1 && typeof only === "object") return only;
  const octets = Buffer.allocUnsafe(lengthBytes);
  let at = 0;
  for (const part of parts) {
    at += typeof part === "string" ? octets.write(part, at, "latin1") : part.copy(octets, at);
  }
  return octets;
}

/** A head with one never ends as ours does; it is refused at once instead of waited for. */
function hasBareLineFeed(octets: Buffer, from: number): boolean {
  for (let at = octets.indexOf(0x0a, from); at >= 0; at = octets.indexOf(0x0a, at + 1)) {
    if (octets[at - 1] !== 0x0d) return true;
  }
  return false;
}
