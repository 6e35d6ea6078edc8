/** Octets of one connection: chunks in, replies out in one write per chunk, waiting without loss. */

import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";

const none: Buffer = Buffer.alloc(0);
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
