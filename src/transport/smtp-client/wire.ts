/** The stream to the server: replies in order, writes that wait for room, both with time-outs. */

import type { Duplex } from "node:stream";
import type { Clock } from "#base/clock";
import { ReplyParser } from "#formats/smtp";
import type { Reply } from "#model/reply";

export type WireFault = "timeout" | "closed" | "unreadable" | "early";

/** Who is told for how long the other side lets us wait. */
export interface Watch {
  /**
   * A reply, or room to write, is waited for.
   *
   * @param breakOff absent: the end of a message may have arrived, and to send it again would double it
   */
  waits(breakOff?: () => void): void;
  /** It is there, or will never be. */
  goesOn(): void;
}

/** Our limit: replies that nobody asked for, before the connection is given up at once. */
const maxUnasked = 8;
/** Room is waited for so often that a line which is slow does not look like somebody who is silent. */
const sliceBytes = 65_536;

export class Wire {
  readonly #clock: Clock;
  #stream: Duplex;
  #parser = new ReplyParser();
  readonly #unread: Reply[] = [];
  /** Replies that are still to come: the greeting first. */
  #awaited = 1;
  #broken: WireFault | undefined;
  /** Woken by a reply, by room to write and by the end. */
  #wake: (() => void) | undefined;
  #deadlineMs = Number.POSITIVE_INFINITY;
  #watch: Watch | undefined;
  #mayBreak = true;

  constructor(stream: Duplex, clock: Clock) {
    this.#clock = clock;
    this.#stream = stream;
    this.#attach(stream);
  }

  get stream(): Duplex {
    return this.#stream;
  }

  get broken(): WireFault | undefined {
    return this.#broken;
  }

  /** True when the server said something that was not waited for. */
  get hasReply(): boolean {
    return this.#unread.length > 0;
  }

  /** Whatever happens, it is over after this long. */
  limit(totalMs: number): void {
    this.#deadlineMs = this.#clock.tickMs() + totalMs;
  }

  /** Of one message, which has not been sent yet; undefined: nobody wants to know. */
  watch(watch: Watch | undefined): void {
    this.#watch = watch;
    this.#mayBreak = true;
  }

  /** The end of the message is sent now. */
  commit(): void {
    this.#mayBreak = false;
  }

  /** The next reply in order, or what came instead. */
  async reply(timeoutMs: number): Promise<Reply | WireFault> {
    await this.#until(() => this.#unread.length > 0, timeoutMs);
    this.#awaited = Math.max(0, this.#awaited - 1);
    return this.#unread.shift() ?? this.#broken ?? "closed";
  }

  /**
   * Commands, and how many replies they bring. A reply that is there before its command would be
   * taken for the answer to it, and each later one for the next: the connection is given up. But a
   * server may say 421 whenever it likes (RFC 5321 §3.8).
   */
  write(text: string, replies = 1): void {
    this.expect(replies);
    if (this.#broken === undefined) this.#stream.write(text);
  }

  /** Of content that is sent now. */
  expect(replies: number): void {
    const [early] = this.#unread;
    if (this.#awaited === 0 && early?.code !== 421 && (early || this.#parser.inReply)) {
      this.#giveUp("early");
    }
    this.#awaited += replies;
  }

  /** Resolves when there is room for more. */
  async send(chunk: Uint8Array, timeoutMs: number): Promise<WireFault | undefined> {
    for (let from = 0; from < chunk.length; from += sliceBytes) {
      if (this.#broken !== undefined) break;
      if (this.#stream.write(chunk.subarray(from, from + sliceBytes))) continue;
      await this.#until(() => !this.#stream.writableNeedDrain, timeoutMs);
    }
    return this.#broken;
  }

  /** Lets go of the stream for the handshake; undefined when something was said that nobody asked for. */
  release(): Duplex | undefined {
    this.#detach(this.#stream);
    const isClean = !this.hasReply && !this.#parser.inReply && this.#stream.readableLength === 0;
    return isClean && this.#broken === undefined ? this.#stream : undefined;
  }

  /** Goes on over the protected stream. */
  adopt(stream: Duplex): void {
    this.#stream = stream;
    this.#attach(stream);
  }

  destroy(): void {
    this.#break("closed");
    this.#stream.destroy();
  }

  /** Sends what is written and closes in order. */
  end(): void {
    this.#break("closed");
    this.#stream.end();
    this.#stream.resume();
    // A peer that never closes its side gets no more of our time.
    this.#clock.after(5000, () => this.#stream.destroy());
  }

  async #until(isDone: () => boolean, timeoutMs: number): Promise<void> {
    if (isDone() || this.#broken !== undefined) return;
    const left = Math.max(0, this.#deadlineMs - this.#clock.tickMs());
    const timer = this.#clock.after(Math.min(timeoutMs, left), () => {
      this.#giveUp("timeout");
    });
    this.#watch?.waits(this.#mayBreak ? () => this.destroy() : undefined);
    while (!isDone() && this.#broken === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#wake = undefined;
    this.#watch?.goesOn();
    timer.cancel();
  }

  readonly #onData = (chunk: Buffer): void => {
    const parsed = this.#parser.push(chunk);
    if (parsed.ok) {
      this.#unread.push(...parsed.value);
      this.#wake?.();
    }
    if (!parsed.ok || this.#unread.length > this.#awaited + maxUnasked) this.#giveUp("unreadable");
  };

  readonly #onDrain = (): void => this.#wake?.();
  readonly #onEnd = (): void => this.#break("closed");

  /** What was read so far is no answer to anything any more. */
  #giveUp(fault: WireFault): void {
    this.#unread.length = 0;
    this.#break(fault);
    this.#stream.destroy();
  }

  #break(fault: WireFault): void {
    this.#broken ??= fault;
    this.#wake?.();
  }

  #attach(stream: Duplex): void {
    stream.on("data", this.#onData);
    stream.on("drain", this.#onDrain);
    stream.on("end", this.#onEnd);
    stream.on("close", this.#onEnd);
    stream.on("error", this.#onEnd);
  }

  /** The error handler stays: an error after we let go must not end the process. */
  #detach(stream: Duplex): void {
    stream.pause();
    stream.off("data", this.#onData);
    stream.off("drain", this.#onDrain);
    stream.off("end", this.#onEnd);
    stream.off("close", this.#onEnd);
    stream.off("error", this.#onEnd);
    stream.on("error", () => {});
  }
}
