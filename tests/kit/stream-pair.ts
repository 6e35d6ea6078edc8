/** Two ends of a connection in memory; like a network, what is written arrives a turn later. */

import { Duplex } from "node:stream";

class End extends Duplex {
  other: End | undefined;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    setImmediate(() => {
      if (this.other?.readableEnded === false && !this.other.destroyed) this.other.push(chunk);
      done();
    });
  }

  override _final(done: () => void): void {
    setImmediate(() => {
      this.#endOther();
      done();
    });
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    setImmediate(() => this.#endOther());
    done(error);
  }

  #ended = false;

  #endOther(): void {
    if (this.#ended || this.other === undefined || this.other.destroyed) return;
    this.#ended = true;
    this.other.push(null);
  }
}

export function streamPair(): readonly [Duplex, Duplex] {
  const [one, other] = [new End(), new End()];
  one.other = other;
  other.other = one;
  return [one, other];
}
