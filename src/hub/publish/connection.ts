/** One HTTP/1.1 connection to an application: one request at a time, its answer read strictly. */

import { Buffer } from "node:buffer";
import {
  ChunkedReader,
  chunkEnd,
  chunkHead,
  findHeadEnd,
  lastChunk,
  type ResponseHead,
  readResponseHead,
} from "#formats/http";
import type { Dialled } from "./dial.ts";

/** Why there is no answer, in words that may leave the inside; what is known besides is for our log. */
export type Why =
  | "no-connection"
  | "certificate"
  | "too-late"
  | "bad-answer"
  | "cut-off"
  | "too-busy";

/** Who asked; called in this order, and never after `failed`. */
export interface Asker {
  readonly method: string;
  /** How long it waits for an answer; undefined: as long as others do. */
  readonly answerTimeoutMs: number | undefined;
  /** @returns false to end the connection: the rest is not wanted */
  answered(head: ResponseHead): boolean;
  /** @returns false when no more is wanted for now: `resume()` says when */
  part(octets: Buffer): boolean;
  ended(): void;
  /** Asked now and then while the answer is under way. */
  isWanted(): boolean;
  /** @param isStale nothing came back, and the connection had been used before */
  failed(why: Why, detail: string, isStale: boolean): void;
}

export interface ConnectionPort {
  /** Called once, before it is ready for the first time. */
  opened(): void;
  /** It may be used: for the first time, or again. */
  ready(connection: Connection): void;
  /** It is gone; `failed` was called where somebody asked. */
  gone(connection: Connection): void;
  /** It never came about. */
  unreached(connection: Connection, why: Why, detail: string): void;
  nowMs(): number;
}

/** Ours: heads of honest applications are far smaller. */
const headMaxBytes = 65_536;
const headLimits = { headerMaxCount: 256 };
/** Interim answers to one request (RFC 9110 §15.2). */
const interimMaxCount = 16;
const keepAliveProbeMs = 60_000;

type Phase = "dialling" | "idle" | "head" | "body" | "raw" | "closed";

export class Connection {
  readonly #socket: Dialled["socket"];
  readonly #port: ConnectionPort;
  #phase: Phase = "dialling";
  #asker: Asker | undefined;
  #uses = 0;
  /** Of a head that is not whole yet, with room behind it. */
  #early: Buffer | undefined;
  #earlyBytes = 0;
  #interims = 0;
  #left: number | ChunkedReader | "until-close" = 0;
  #keeps = false;
  /** The whole request is written. */
  #requestSent = false;
  /** Octets of an answer have come. */
  #heard = false;
  #error: Error | undefined;
  #drain: PromiseWithResolvers<void> | undefined;
  /** Since it dials, is idle, or last wrote a part of a request. */
  #sinceMs: number;
  /** As the application said in Keep-Alive; the pool's own limit holds besides. */
  keepsForMs: number = Infinity;

  constructor({ socket, ready }: Dialled, port: ConnectionPort) {
    this.#socket = socket;
    this.#port = port;
    this.#sinceMs = port.nowMs();
    socket.setKeepAlive(true, keepAliveProbeMs);
    socket.once(ready, () => {
      this.#toIdle();
      port.opened();
      port.ready(this);
    });
    socket.on("data", (octets: Buffer) => this.#take(octets));
    socket.on("drain", () => {
      this.#drain?.resolve();
      this.#drain = undefined;
    });
    socket.on("end", () => this.#peerEnded());
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.on("close", () => this.#closed());
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Whether it can be asked: one that is being closed stays "idle" until "close". */
  get isFree(): boolean {
    return this.#phase === "idle" && !this.#socket.destroyed;
  }

  /** Whether an answer that was asked for so long ago should have begun. */
  isLate(ageMs: number, answerTimeoutMs: number): boolean {
    const mostMs = Math.max(answerTimeoutMs, this.#asker?.answerTimeoutMs ?? 0);
    return this.#phase === "head" && ageMs >= mostMs;
  }

  get sinceMs(): number {
    return this.#sinceMs;
  }

  // Outwards.

  begin(asker: Asker): void {
    this.#asker = asker;
    this.#phase = "head";
    this.#uses += 1;
    this.#interims = 0;
    this.#requestSent = false;
    this.#heard = false;
    this.#sinceMs = this.#port.nowMs();
  }

  /** A request without a body. */
  writeHead(head: string): void {
    this.#socket.write(head, "latin1");
    this.#requestSent = true;
  }

  /** @returns what to wait for before more is written, or nothing */
  writeBody(head: string, octets: Buffer, chunked: boolean): Promise<void> | undefined {
    const socket = this.#socket;
    this.#sinceMs = this.#port.nowMs();
    socket.cork();
    const lead = head + (chunked ? chunkHead(octets.length) : "");
    if (lead !== "") socket.write(lead, "latin1");
    let roomy = socket.write(octets);
    if (chunked) roomy = socket.write(chunkEnd, "latin1");
    socket.uncork();
    return this.#room(roomy);
  }

  writeRaw(octets: Buffer): Promise<void> | undefined {
    return this.#room(this.#socket.write(octets));
  }

  #room(roomy: boolean): Promise<void> | undefined {
    if (roomy || this.#phase === "closed") return undefined;
    this.#drain ??= Promise.withResolvers();
    return this.#drain.promise;
  }

  /** @param head where nothing of the request was written yet */
  endBody(head: string, chunked: boolean): void {
    const tail = head + (chunked ? lastChunk : "");
    if (tail !== "") this.#socket.write(tail, "latin1");
    this.#sinceMs = this.#port.nowMs();
    this.#requestSent = true;
  }

  endRaw(): void {
    this.#socket.end();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Nobody asks any more, or nobody waits. */
  destroy(): void {
    this.#asker = undefined;
    this.#socket.destroy();
  }

  /** Ends what is not wanted any more. */
  look(): void {
    if (this.#asker?.isWanted() === false) this.fail("cut-off", "the session is over");
  }

  /** Ends it and tells who asked. */
  fail(why: Why, detail: string): void {
    const asker = this.#asker;
    this.destroy();
    asker?.failed(why, detail, false);
  }

  // Inwards.

  #take(octets: Buffer): void {
    switch (this.#phase) {
      case "head":
        return this.#takeHead(octets);
      case "body":
        return this.#takeBody(octets);
      case "raw":
        if (this.#asker?.part(octets) === false) this.#socket.pause();
        return;
      case "dialling":
      case "idle": // an answer that nobody asked for
      case "closed":
        return this.destroy();
    }
  }

  #takeHead(octets: Buffer): void {
    this.#heard = true;
    let searchFrom = Math.max(0, this.#earlyBytes - 3);
    let held = this.#earlyBytes === 0 ? octets : this.#gathered(octets);
    this.#earlyBytes = 0;
    for (;;) {
      const end = findHeadEnd(held, searchFrom);
      if (end > headMaxBytes || (end < 0 && held.length > headMaxBytes)) {
        return this.fail("bad-answer", "head is too large");
      }
      if (end < 0) return void this.#gathered(held);
      const asker = this.#asker;
      if (asker === undefined) return this.destroy();
      const head = readResponseHead(held.subarray(0, end), asker, headLimits);
      if (!head.ok) return this.fail("bad-answer", `${head.fault} at ${head.at}`);
      held = held.subarray(end);
      searchFrom = 0;
      const isInterim = head.value.status < 200 && head.value.status !== 101;
      if (!isInterim) return this.#answered(asker, head.value, held);
      this.#interims += 1;
      if (this.#interims > interimMaxCount) return this.fail("bad-answer", "too many interim");
    }
  }

  /** Keeps octets behind those that were kept; room grows by halves, so copying stays linear. */
  #gathered(octets: Buffer): Buffer {
    const bytes = this.#earlyBytes + octets.length;
    let room = this.#early;
    if (room === undefined || room.length < bytes) {
      room = Buffer.allocUnsafe(Math.max(2 * bytes, 4096));
      this.#early?.copy(room, 0, 0, this.#earlyBytes);
      this.#early = room;
    }
    octets.copy(room, this.#earlyBytes);
    this.#earlyBytes = bytes;
    return room.subarray(0, bytes);
  }

  #answered(asker: Asker, head: ResponseHead, rest: Buffer): void {
    this.#phase = head.status === 101 ? "raw" : "body";
    this.#early = undefined;
    this.#keeps = head.keepAlive;
    this.#left = head.body === "chunked" ? new ChunkedReader() : head.body;
    this.#noteKeepAlive(head);
    if (!asker.answered(head)) return this.destroy();
    if (this.#phase === "raw") {
      if (rest.length > 0) this.#take(rest);
    } else if (head.body === 0) this.#finish(rest);
    else if (rest.length > 0) this.#takeBody(rest);
  }

  /** A second before the application closes it, or a request would meet the closing. */
  #noteKeepAlive({ headers }: ResponseHead): void {
    for (const [name, value] of headers) {
      if (name !== "keep-alive") continue;
      const seconds = /(?:^|,[\t ]?)timeout=(\d{1,5})/i.exec(value)?.[1];
      if (seconds !== undefined) this.keepsForMs = Math.max(0, Number(seconds) * 1000 - 1000);
    }
  }

  #takeBody(octets: Buffer): void {
    const left = this.#left;
    if (left === "until-close") return this.#part(octets);
    if (typeof left === "number") {
      if (octets.length < left) {
        this.#left = left - octets.length;
        return this.#part(octets);
      }
      this.#part(octets.length === left ? octets : octets.subarray(0, left));
      return this.#finish(octets.subarray(left));
    }
    const outcome = left.push(octets, (part) => this.#part(part));
    if (outcome === "fault") this.fail("bad-answer", "broken chunks");
    else if (outcome !== "more") this.#finish(outcome.rest);
  }

  #part(octets: Buffer): void {
    if (this.#asker?.part(octets) === false) this.#socket.pause();
  }

  /** @param rest octets behind the answer: nobody asked for what they may say */
  #finish(rest: Buffer): void {
    const asker = this.#asker;
    this.#asker = undefined;
    const isClean = rest.length === 0 && this.#requestSent && this.#keeps;
    if (isClean && !this.#socket.destroyed) this.#toIdle();
    else this.#socket.destroy();
    asker?.ended();
    if (this.#phase === "idle") this.#port.ready(this);
  }

  #toIdle(): void {
    this.#phase = "idle";
    this.#sinceMs = this.#port.nowMs();
    this.#socket.resume();
  }

  #peerEnded(): void {
    const asker = this.#asker;
    if (this.#phase === "raw") {
      this.#asker = undefined;
      asker?.ended();
    } else if (this.#phase === "body" && this.#left === "until-close") this.#finish(nothing);
    else if (this.#phase === "idle") this.#socket.destroy();
    // In the middle of an answer "close" follows, and tells.
  }

  #closed(): void {
    const { phase } = this;
    this.#phase = "closed";
    const asker = this.#asker;
    this.#asker = undefined;
    this.#drain?.resolve();
    this.#drain = undefined;
    const detail = this.#error?.message ?? "closed";
    if (phase === "dialling") return this.#port.unreached(this, this.#unreachedWhy(), detail);
    this.#port.gone(this);
    asker?.failed("cut-off", detail, !this.#heard && this.#uses > 1);
  }

  #unreachedWhy(): Why {
    const { authorizationError } = this.#socket as { readonly authorizationError?: unknown };
    return authorizationError ? "certificate" : "no-connection";
  }
}

const nothing = Buffer.alloc(0);
