/** Streams over any duplex connection: both ends open, answer and bound them in the same way. */

import { Buffer } from "node:buffer";
import { type Duplex, duplexPair } from "node:stream";
import { buffer } from "#base/bytes";
import { type Clock, systemClock, type Timer } from "#base/clock";
import { Full, Unavailable } from "#base/errors";
import { TokenBucket } from "#base/limits";
import {
  FrameReader,
  type FrameType,
  frameHead,
  frameTypes,
  maxJsonBytes,
  textFrame,
} from "./frames.ts";
import { linkVersion } from "./hello.ts";
import { kindOfNumber, kindRules } from "./kinds.ts";
import type { Link, LinkStream, OpenOptions, StreamKind } from "./link.ts";
import { OpenStreams, type StreamLimits } from "./open-streams.ts";
import { MuxStream, type StreamPort } from "./stream.ts";

/** Whose streams have odd numbers is agreed by who dialled: the dialling end is "opener-odd". */
export type MuxRole = "opener-odd" | "opener-even";

export interface MuxOptions extends Partial<StreamLimits> {
  /** Name of the peer. */
  readonly peer: string;
  /** As its hello says; ours when absent. */
  readonly version?: number;
  readonly clock?: Clock;
  /** Octets that may be under way or unread on a new stream and direction. Same on both ends. */
  readonly windowBytes?: number;
  /** Where the taker keeps up, its end lets the window grow so far. Same on both ends. */
  readonly maxWindowBytes?: number;
  readonly pingEveryMs?: number;
  readonly deadAfterMs?: number;
}

export const muxDefaults: Readonly<Required<Omit<MuxOptions, "peer" | "version" | "clock">>> = {
  windowBytes: 256 * 1024,
  maxWindowBytes: 1024 * 1024,
  maxStreams: 256,
  /** For 5,000 people with three pages open: each page waits for news on a stream of its own. */
  maxLongStreams: 16_384,
  /** What 512 stalled streams with full windows hold, one way. */
  maxHeldBytes: 128 * 1024 * 1024,
  pingEveryMs: 10_000,
  deadAfterMs: 30_000,
};

/** Above this the connection counts as congested and senders wait. */
const congestedBytes = 1024 * 1024;
/** A peer that reads nothing of this much is given up. */
const maxUnwrittenBytes = 256 * 1024 * 1024;
/** Up to this version a link took 256 streams of whatever kind, and windows did not grow. */
const lastNarrow = 2;
/** Numbers are never used again; a link that has used them all closes and is dialled anew. */
const lastStream = 0x7fffffff;
/** Resets by the peer: a client that hangs up causes one, so honest rates are far below. */
const resetsPerSecond = 500;
const resetsAtOnce = 5000;
/** Up to this much is copied into one buffer: cheaper than handing over many. */
const joinBelowBytes = 16 * 1024;

export function muxOver(duplex: Duplex, role: MuxRole, options: MuxOptions): Link {
  return new Mux(duplex, role, options);
}

/** Two ends in memory. */
export function linkPair(options: Partial<MuxOptions> = {}): readonly [Link, Link] {
  const [one, other] = duplexPair();
  return [
    muxOver(one, "opener-odd", { peer: "other", ...options }),
    muxOver(other, "opener-even", { peer: "one", ...options }),
  ];
}

class Mux implements Link {
  readonly peer: string;
  readonly version: number;
  readonly closed: Promise<string>;
  readonly #duplex: Duplex;
  readonly #clock: Clock;
  readonly #streams: OpenStreams;
  readonly #maxEarly: number;
  readonly #pingEveryMs: number;
  readonly #deadAfterMs: number;
  readonly #port: StreamPort;
  readonly #reader: FrameReader;
  readonly #resets: TokenBucket;
  readonly #resolveClosed: (why: string) => void;
  #handler: ((stream: LinkStream) => void) | undefined;
  #early: MuxStream[] = [];
  #nextOwn: number;
  #lastPeer: number;
  #down: string | undefined;
  #out: Uint8Array[] = [];
  #outBytes = 0;
  #scheduled = false;
  #pong: Buffer | undefined;
  #waitsForDrain = false;
  #heardAtMs: number;
  #timer: Timer;

  constructor(duplex: Duplex, role: MuxRole, options: MuxOptions) {
    this.peer = options.peer;
    this.version = options.version ?? linkVersion;
    this.#duplex = duplex;
    this.#clock = options.clock ?? systemClock;
    const { maxStreams, maxLongStreams, maxHeldBytes } = { ...muxDefaults, ...options };
    this.#maxEarly = maxStreams;
    this.#streams = new OpenStreams({
      maxStreams,
      maxLongStreams: this.version > lastNarrow ? maxLongStreams : maxStreams,
      maxHeldBytes,
    });
    this.#pingEveryMs = options.pingEveryMs ?? muxDefaults.pingEveryMs;
    this.#deadAfterMs = options.deadAfterMs ?? muxDefaults.deadAfterMs;
    this.#nextOwn = role === "opener-odd" ? 1 : 2;
    this.#lastPeer = role === "opener-odd" ? 0 : -1;
    const { windowBytes, maxWindowBytes } = { ...muxDefaults, ...options };
    this.#port = this.#portOf(
      windowBytes,
      this.version > lastNarrow ? Math.max(windowBytes, maxWindowBytes) : windowBytes,
    );
    this.#resets = new TokenBucket(this.#clock, resetsPerSecond, resetsAtOnce);
    this.#reader = new FrameReader({
      frame: (type, stream, payload) => this.#frame(type, stream, payload),
      dataBegins: (id, length) => {
        const stream = this.#find(id);
        return typeof stream === "string" ? stream : stream?.dataBegins(length);
      },
      data: (id, chunk) => {
        const stream = this.#find(id);
        if (typeof stream === "object") stream.data(chunk);
        return undefined;
      },
    });
    const gone = Promise.withResolvers<string>();
    this.closed = gone.promise;
    this.#resolveClosed = gone.resolve;
    this.#heardAtMs = this.#clock.tickMs();
    this.#timer = this.#clock.after(this.#pingEveryMs, () => this.#beat());
    duplex.on("data", (chunk: Uint8Array) => this.#heard(buffer(chunk)));
    duplex.on("drain", () => this.#drained());
    duplex.on("end", () => this.#fail("closed by the peer"));
    duplex.on("error", (error: Error) => this.#fail(error.message));
    duplex.on("close", () => this.#fail("connection gone"));
    duplex.resume();
  }

  open(kind: StreamKind, header: unknown, options: OpenOptions = {}): LinkStream {
    if (this.#down !== undefined) throw new Unavailable(`link is down: ${this.#down}`);
    if (!this.#streams.mayOpen(kind)) throw new Full("link has no free stream");
    if (this.#nextOwn > lastStream) {
      this.close("out of stream numbers");
      throw new Unavailable("link is down: out of stream numbers");
    }
    const text = jsonText(header);
    const id = this.#nextOwn;
    this.#nextOwn += 2;
    const stream = new MuxStream(this.#port, id, { kind, header }, true);
    this.#streams.keep("ours", stream);
    this.#write(textFrame(frameTypes.open, id, text, kindRules[kind].number));
    if (options.data !== undefined) stream.send(options.data);
    if (options.end !== undefined) stream.end(options.end.trailer);
    stream.settle();
    return stream;
  }

  onStream(handler: (stream: LinkStream) => void): void {
    this.#handler = handler;
    const early = this.#early;
    this.#early = [];
    for (const stream of early) handler(stream);
  }

  close(why: string): void {
    this.#fail(why);
  }

  #portOf(windowBytes: number, maxWindowBytes: number): StreamPort {
    return {
      windowBytes,
      maxWindowBytes,
      answer: (id, value) => this.#writeJson(frameTypes.answer, id, jsonText(value)),
      data: (id, chunk) => {
        this.#write(frameHead(frameTypes.data, id, chunk.length));
        this.#write(chunk);
      },
      end: (id, trailer) => {
        this.#writeJson(frameTypes.end, id, trailer === undefined ? "" : jsonText(trailer));
      },
      reset: (id, why) => this.#writeJson(frameTypes.reset, id, why.slice(0, 256)),
      window: (id, lengthBytes) => {
        const frame = Buffer.allocUnsafe(13);
        frameHead(frameTypes.window, id, 4).copy(frame);
        frame.writeUInt32BE(lengthBytes, 9);
        this.#write(frame);
      },
      congested: () => this.#duplex.writableLength + this.#outBytes > congestedBytes,
      waits: (stream) => void this.#streams.waiting.add(stream),
      holds: (lengthBytes) => this.#streams.hold(lengthBytes),
      over: (stream) => this.#streams.over(stream),
    };
  }

  // Inwards.

  #heard(chunk: Buffer): void {
    if (this.#down !== undefined) return;
    this.#heardAtMs = this.#clock.tickMs();
    const fault = this.#reader.push(chunk);
    if (fault !== undefined) this.#fail(`peer broke the protocol: ${fault}`);
  }

  /** A live stream, nothing for one that is over, or what is wrong with the number. */
  #find(id: number): MuxStream | string | undefined {
    if (id === 0) return "unknown stream";
    if ((id & 1) === (this.#nextOwn & 1)) {
      return this.#streams.ours.get(id) ?? (id < this.#nextOwn ? undefined : "unknown stream");
    }
    return this.#streams.theirs.get(id) ?? (id <= this.#lastPeer ? undefined : "unknown stream");
  }

  #frame(type: number, id: number, payload: Buffer): string | undefined {
    if (this.#down !== undefined) return undefined;
    if (type === frameTypes.open) return this.#opened(id, payload);
    if (type === frameTypes.ping || type === frameTypes.pong)
      return this.#pinged(type, id, payload);
    if (type === frameTypes.hello) return "second hello";
    const stream = this.#find(id);
    if (typeof stream === "string") return stream;
    switch (type) {
      case frameTypes.window:
        return stream?.credited(payload.readUInt32BE(0));
      case frameTypes.reset:
        if (!this.#resets.take()) return "too many resets";
        stream?.break(`reset by the peer: ${payload.toString("latin1")}`);
        return undefined;
      default:
        return this.#said(type, stream, payload);
    }
  }

  #said(type: number, stream: MuxStream | undefined, payload: Buffer): string | undefined {
    if (stream === undefined) return undefined;
    let value: unknown;
    if (payload.length > 0) {
      try {
        value = JSON.parse(payload.toString());
      } catch {
        return "not JSON";
      }
    }
    return type === frameTypes.answer ? stream.peerAnswered(value) : stream.peerEnded(value);
  }

  #opened(id: number, payload: Buffer): string | undefined {
    const kind = kindOfNumber(payload[0] ?? 0);
    if (kind === undefined) return "unknown kind of stream";
    if ((id & 1) === (this.#nextOwn & 1) || id <= this.#lastPeer || id > lastStream) {
      return "stream number out of order";
    }
    if (!this.#streams.mayTake(kind)) {
      // Costs that stream alone: a leak of one sort must not end what all others have under way.
      this.#lastPeer = id;
      this.#writeJson(frameTypes.reset, id, "too many streams");
      return undefined;
    }
    let header: unknown;
    try {
      header = JSON.parse(payload.toString("utf8", 1));
    } catch {
      return "not JSON";
    }
    this.#lastPeer = id;
    const stream = new MuxStream(this.#port, id, { kind, header }, false);
    this.#streams.keep("theirs", stream);
    stream.settle();
    stream.hold(payload.length);
    if (this.#handler !== undefined) this.#handler(stream);
    else if (this.#early.length < this.#maxEarly) this.#early.push(stream);
    else return "too many streams";
    return undefined;
  }

  #pinged(type: number, id: number, payload: Buffer): string | undefined {
    if (id !== 0) return "ping on a stream";
    if (type === frameTypes.pong) return undefined;
    // One answer stands for all that were asked meanwhile: a flood of pings costs nothing here.
    this.#pong = Buffer.from(payload);
    this.#schedule();
    return undefined;
  }

  // Outwards: everything of one turn of the event loop goes out in one write.

  #writeJson(type: FrameType, id: number, text: string): void {
    this.#write(textFrame(type, id, text));
  }

  #write(part: Uint8Array): void {
    if (this.#down !== undefined) return;
    this.#schedule();
    this.#out.push(part);
    this.#outBytes += part.length;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    if (this.#duplex.destroyed || this.#duplex.writableEnded) return;
    if (this.#pong !== undefined) {
      this.#out.push(frameHead(frameTypes.pong, 0, 8), this.#pong);
      this.#pong = undefined;
    }
    const parts = this.#out;
    if (parts.length === 0) return;
    this.#out = [];
    this.#outBytes = 0;
    let roomy = true;
    this.#duplex.cork();
    for (const part of joined(parts)) roomy = this.#duplex.write(part);
    this.#duplex.uncork();
    if (!roomy) this.#waitsForDrain = true;
    if (this.#duplex.writableLength > maxUnwrittenBytes) this.#fail("peer does not read");
  }

  #drained(): void {
    if (!this.#waitsForDrain) return;
    this.#waitsForDrain = false;
    const { waiting } = this.#streams;
    for (const stream of waiting) if (stream.resume()) waiting.delete(stream);
  }

  #beat(): void {
    const silentMs = this.#clock.tickMs() - this.#heardAtMs;
    if (silentMs >= this.#deadAfterMs) {
      this.#fail("peer is silent");
      return;
    }
    const frame = Buffer.concat([frameHead(frameTypes.ping, 0, 8), Buffer.alloc(8)]);
    this.#write(frame);
    this.#timer = this.#clock.after(this.#pingEveryMs, () => this.#beat());
  }

  #fail(why: string): void {
    if (this.#down !== undefined) return;
    this.#flush();
    this.#down = why;
    this.#timer.cancel();
    this.#duplex.end();
    // What was written gets a moment to leave; a peer that does not close in turn is cut off.
    this.#clock.after(1000, () => void this.#duplex.destroy());
    for (const stream of [...this.#streams.all()]) stream.break(why);
    this.#resolveClosed(why);
  }
}

function jsonText(value: unknown): string {
  const text = JSON.stringify(value) ?? "null";
  // Checked in octets only where it can matter.
  if (text.length * 3 > maxJsonBytes && Buffer.byteLength(text) > maxJsonBytes) {
    throw new RangeError("header, answer or trailer is larger than the link takes");
  }
  return text;
}

/** Neighbouring small parts become one buffer; large ones stay as they are. */
function joined(parts: readonly Uint8Array[]): readonly Uint8Array[] {
  const result: Uint8Array[] = [];
  let run: Uint8Array[] = [];
  const close = (): void => {
    const [first] = run;
    if (first !== undefined) result.push(run.length === 1 ? first : Buffer.concat(run));
    run = [];
  };
  for (const part of parts) {
    if (part.length < joinBelowBytes) run.push(part);
    else {
      close();
      result.push(part);
    }
  }
  close();
  return result;
}
