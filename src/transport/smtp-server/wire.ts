/** Octets of one connection: chunks in, replies out in one write per chunk, waiting without loss. */

import { Buffer, isUtf8 } from "node:buffer";
import type { Duplex } from "node:stream";

const none: Buffer = Buffer.alloc(0);
const beyondAscii = /[^\0-\x7f]/;
/** Our limit on replies that the client does not fetch, in octets. */
const maxUnsent = 262_144;

/**
 * Feeds step() as long as there is input and nobody is waited for. Listeners are shared functions
 * that find the wire by its stream, so an idle connection is this object and its socket.
 */
export abstract class Wire {
  protected stream: Duplex;
  protected input: Buffer = none;
  protected at = 0;
  protected closed = false;
  #out = "";
  #busy = false;
  #paused = false;
  #backlog: Buffer[] | undefined;

  constructor(stream: Duplex) {
    this.stream = stream;
  }

  /** Consumes input from `at` on. False: more octets are needed. */
  protected abstract step(): boolean;
  /** A handler threw, or its promise was rejected. */
  protected abstract failed(error: unknown): void;
  /** The connection is gone. Called once. */
  protected abstract lost(): void;

  protected get isBusy(): boolean {
    return this.#busy;
  }

  /** Whether octets wait behind those that step() is at. */
  get hasMore(): boolean {
    return this.at < this.input.length || this.#backlog !== undefined;
  }

  /** Octets that came and were not looked at. */
  get waitingBytes(): number {
    return this.input.length - this.at;
  }

  receive(chunk: Buffer): void {
    if (this.closed) return;
    if (this.#busy) {
      (this.#backlog ??= []).push(chunk);
      this.#pause();
      return;
    }
    const rest = this.input.length - this.at;
    this.input = rest === 0 ? chunk : Buffer.concat([this.input.subarray(this.at), chunk]);
    this.at = 0;
    this.run();
  }

  gone(): void {
    this.closed = true;
    this.dropInput();
    this.lost();
  }

  say(wire: string): void {
    this.#out += wire;
  }

  /** Goes on at once with a value, or later with what a promise brings; only then one is awaited. */
  whenReady<Value>(outcome: Value | Promise<Value>, then: (value: Value) => void): void {
    if (!(outcome instanceof Promise)) {
      then(outcome);
      return;
    }
    this.#busy = true;
    outcome.then(
      (value) => this.#settle(() => then(value)),
      (error: unknown) => this.#settle(() => this.failed(error)),
    );
  }

  /** As whenReady(), for long waits: reading stops at once, and the chunk is let go. */
  waitLong(until: Promise<void>, then: () => void): void {
    this.#pause();
    const rest = this.input.subarray(this.at);
    this.input = rest.length === 0 ? none : Buffer.from(rest);
    this.at = 0;
    this.whenReady(until, then);
  }

  /**
   * Takes one line; "\ufffd" stands for one that is not UTF-8.
   *
   * @param max octets, its end included
   */
  protected readLine(max: number): { readonly line: string } | "more" | "too-long" | "bad-end" {
    const end = this.input.indexOf(10, this.at);
    if ((end < 0 ? this.input.length : end + 1) - this.at > max) return "too-long";
    if (end < 0) return "more";
    const from = this.at;
    let line = this.input.toString("latin1", from, Math.max(from, end - 1));
    const isEnded = this.input[end - 1] === 13 && end > from;
    if (!isEnded || line.includes("\r") || line.includes("\0")) return "bad-end";
    if (beyondAscii.test(line)) {
      const octets = this.input.subarray(from, end - 1);
      line = isUtf8(octets) ? octets.toString("utf8") : "\ufffd";
    }
    this.at = end + 1;
    return { line };
  }

  protected run(): void {
    for (;;) {
      while (!this.#busy && !this.closed && this.at < this.input.length && this.#stepped());
      // While somebody is waited for, what was said so far stays, to go out with the next reply.
      if (this.#busy || this.closed) return;
      if (this.#backlog === undefined) break;
      this.input = Buffer.concat([this.input.subarray(this.at), ...this.#backlog]);
      this.at = 0;
      this.#backlog = undefined;
    }
    const rest = this.input.subarray(this.at);
    this.input = rest.length === 0 ? none : Buffer.from(rest); // lets go of the chunk
    this.at = 0;
    this.flush();
    if (!this.#paused) return;
    this.#paused = false;
    this.stream.resume();
  }

  #stepped(): boolean {
    try {
      return this.step();
    } catch (error) {
      this.failed(error);
      return true;
    }
  }

  protected flush(): void {
    if (this.#out === "") return;
    const out = this.#out;
    this.#out = "";
    if (this.stream.destroyed || this.stream.writableEnded) return;
    this.stream.write(out, "latin1");
    if (this.stream.writableLength > maxUnsent) this.stream.destroy();
  }

  /** Says the last words; what still comes in is thrown away unread. */
  protected finish(wire: string): void {
    if (this.closed) return;
    this.say(wire);
    this.flush();
    this.closed = true;
    this.dropInput();
    this.stream.end();
    this.stream.resume();
  }

  /** Ends without a word. */
  protected cut(): void {
    this.closed = true;
    this.dropInput();
    this.stream.destroy();
  }

  /** The same connection from now on speaks through another stream (TLS). */
  protected changeStream(stream: Duplex): void {
    this.stream = stream;
    this.#paused = false;
    this.dropInput();
  }

  protected dropInput(): void {
    this.input = none;
    this.at = 0;
    this.#backlog = undefined;
  }

  #settle(goOn: () => void): void {
    this.#busy = false;
    if (this.closed) return; // nobody is left to answer
    try {
      goOn();
    } catch (error) {
      this.failed(error);
    }
    this.run();
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.stream.pause();
  }
}
