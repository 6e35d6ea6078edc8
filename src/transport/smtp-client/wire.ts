/** The stream to the server: replies in order, writes that wait for room, both with time-outs. */

import type { Duplex } from "node:stream";
import type { Clock } from "#base/clock";
import { ReplyParser } from "#formats/smtp";
import type { Reply } from "#model/reply";

export type WireFault = "timeout" | "closed" | "unreadable";

/** Replies nobody waited for yet: our limit is what a full pipeline may have outstanding. */
const maxUnread = 1100;

export class Wire {
  readonly #clock: Clock;
  #stream: Duplex;
  #parser = new ReplyParser();
  readonly #unread: Reply[] = [];
  #broken: WireFault | undefined;
  /** Woken by a reply, by room to write and by the end. */
  #wake: (() => void) | undefined;
  #deadlineMs = Number.POSITIVE_INFINITY;

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

  /** The next reply in order, or what came instead. */
  async reply(timeoutMs: number): Promise<Reply | WireFault> {
    await this.#until(() => this.#unread.length > 0, timeoutMs);
    return this.#unread.shift() ?? this.#broken ?? "closed";
  }

  /** Small things: commands. */
  write(text: string): void {
    if (this.#broken === undefined) this.#stream.write(text);
  }

  /** Resolves when there is room for more. */
  async send(chunk: Uint8Array, timeoutMs: number): Promise<WireFault | undefined> {
    if (chunk.length === 0 || this.#broken !== undefined) return this.#broken;
    if (this.#stream.write(chunk)) return undefined;
    await this.#until(() => !this.#stream.writableNeedDrain, timeoutMs);
    return this.#broken;
  }

  /** Lets go of the stream for the handshake; what the server said in the clear is forgotten. */
  release(): Duplex {
    this.#detach(this.#stream);
    this.#unread.length = 0;
    this.#parser = new ReplyParser();
    return this.#stream;
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
      this.#break("timeout");
      this.#stream.destroy();
    });
    while (!isDone() && this.#broken === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#wake = undefined;
    timer.cancel();
  }

  readonly #onData = (chunk: Buffer): void => {
    const parsed = this.#parser.push(chunk);
    if (parsed.ok && this.#unread.length + parsed.value.length <= maxUnread) {
      this.#unread.push(...parsed.value);
      this.#wake?.();
    } else {
      this.#break("unreadable");
      this.#stream.destroy();
    }
  };

  readonly #onDrain = (): void => this.#wake?.();
  readonly #onEnd = (): void => this.#break("closed");

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
