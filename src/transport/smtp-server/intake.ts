/** One message on its way from the socket to the sink: counted, hashed, cut off when too large. */

import { createHash, type Hash, hash } from "node:crypto";
import type { Reply } from "#model/reply";
import * as replies from "./replies.ts";
import type { ContentFacts, ContentSink } from "./types.ts";

export class Intake {
  readonly #sink: ContentSink;
  readonly #maxBytes: number;
  #first: Buffer | undefined;
  #hash: Hash | undefined;
  #closed = false;
  sizeBytes = 0;
  /** Set when the message is read to its end only to be refused. */
  refusal: Reply | undefined;

  constructor(sink: ContentSink, maxBytes: number) {
    this.#sink = sink;
    this.#maxBytes = maxBytes;
  }

  /** @returns a promise when the sink needs time */
  take(piece: Buffer): void | Promise<void> {
    this.sizeBytes += piece.length;
    if (this.#closed) return;
    if (this.sizeBytes > this.#maxBytes) {
      this.refuse(replies.tooLarge, "too large"); // RFC 1870 §6.3
      return;
    }
    if (this.#hash !== undefined) this.#hash.update(piece);
    else if (this.#first === undefined) this.#first = piece;
    else this.#hash = createHash("sha256").update(this.#first).update(piece);
    return this.#sink.write(piece);
  }

  /** Only after everything was taken and nothing refused. */
  end(): ReturnType<ContentSink["end"]> {
    this.#closed = true;
    return this.#sink.end(this.#facts());
  }

  /** The rest is read to its end, and then this is said. */
  refuse(reply: Reply, why: string): void {
    this.refusal = reply;
    this.abort(why);
  }

  abort(why: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#first = undefined;
    this.#sink.abort(why);
  }

  /** A message of one piece is hashed by one call, which costs half. */
  #facts(): ContentFacts {
    const contentId =
      this.#hash === undefined
        ? hash("sha256", this.#first ?? "", "hex")
        : this.#hash.digest("hex");
    return { contentId, sizeBytes: this.sizeBytes };
  }
}
