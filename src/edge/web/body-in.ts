/** A request body on its way to its taker, at the taker's pace. */

import type { Buffer } from "node:buffer";
import type { Incoming } from "./incoming.ts";

export type Taker = Parameters<Incoming["receive"]>[0];

export class BodyIn {
  readonly #hold: (held: boolean) => void;
  #parts: Buffer[] = [];
  #taker: Taker | undefined;
  #taking = false;
  #isHeld = false;
  #state: "open" | "ended" | "told" = "open";
  #broken: string | undefined;

  /** @param hold told true when the client has to wait, false when it may go on */
  constructor(hold: (held: boolean) => void) {
    this.#hold = hold;
  }

  get hasTaker(): boolean {
    return this.#taker !== undefined;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  receive(taker: Taker): void {
    this.#taker = taker;
    queueMicrotask(() => {
      if (this.#broken === undefined) this.#deliver();
      else taker.broken(this.#broken);
    });
  }

  push(part: Buffer): void {
    if (this.#broken !== undefined) return;
    this.#parts.push(part);
    this.#deliver();
  }

  end(): void {
    this.#state = "ended";
    this.#deliver();
  }

  /** Nothing more comes, and what came is not whole. */
  break(why: string): void {
    if (this.#broken !== undefined || this.#state === "told") return;
    this.#broken = why;
    this.#parts = [];
    this.#taker?.broken(why);
  }

  #deliver(): void {
    const taker = this.#taker;
    while (taker !== undefined && !this.#taking && this.#broken === undefined) {
      const part = this.#parts.shift();
      if (part === undefined) break;
      const taken = taker.data(part);
      if (taken === undefined) continue;
      this.#taking = true;
      const next = (): void => {
        this.#taking = false;
        this.#deliver();
      };
      taken.then(next, next);
    }
    const waits = this.#parts.length > 0 || this.#taking;
    if (waits !== this.#isHeld) {
      this.#isHeld = waits;
      this.#hold(waits);
    }
    if (taker === undefined || waits || this.#state !== "ended") return;
    this.#state = "told";
    taker.end();
  }
}
