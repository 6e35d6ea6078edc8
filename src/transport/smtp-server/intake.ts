/** One message on its way from the socket to the sink: counted, hashed, cut off when too large. */

import { createHash, type Hash, hash } from "node:crypto";
import type { Reply } from "#model/reply";
import { HeaderBound } from "./header-bound.ts";
import * as replies from "./replies.ts";
import { type MessageRoom, pieceBytes } from "./room.ts";
import type { ContentFacts, ContentSink } from "./types.ts";

export class Intake {
  readonly #sink: ContentSink;
  readonly #maxBytes: number;
  readonly #header = new HeaderBound();
  readonly #room: MessageRoom | undefined;
  #heldBytes = 0;
  #first: Buffer | undefined;
  #hash: Hash | undefined;
  #closed = false;
  sizeBytes = 0;
  /** Set when the message is read to its end only to be refused. */
  refusal: Reply | undefined;

  /** @param room absent: the sink sees to its own memory */
  constructor(sink: ContentSink, maxBytes: number, room?: MessageRoom) {
    this.#room = room;
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
    if (!this.#header.take(piece)) {
      this.refuse(replies.headerTooLarge, "header too large");
      return;
    }
    const heldBytes = piece.length + pieceBytes;
    if (this.#room?.hold(heldBytes) === false) {
      this.refuse(replies.noRoom, "no room");
      return;
    }
    this.#heldBytes += heldBytes;
    if (this.#hash !== undefined) this.#hash.update(piece);
    else if (this.#first === undefined) this.#first = piece;
    else this.#hash = createHash("sha256").update(this.#first).update(piece);
    return this.#sink.write(piece);
  }

  /** Only after everything was taken and nothing refused. */
  end(): ReturnType<ContentSink["end"]> {
    this.#closed = true;
    let outcome: ReturnType<ContentSink["end"]> | undefined;
    try {
      outcome = this.#sink.end(this.#facts());
      return outcome instanceof Promise ? outcome.finally(() => this.#letGo()) : outcome;
    } finally {
      if (!(outcome instanceof Promise)) this.#letGo();
    }
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
    this.#letGo();
    this.#sink.abort(why);
  }

  #letGo(): void {
    this.#room?.release(this.#heldBytes);
    this.#heldBytes = 0;
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
