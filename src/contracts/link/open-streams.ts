/** The open streams of a link: how many of each sort there may be, and what waits in all of them. */

import { kindRules } from "./kinds.ts";
import type { StreamKind } from "./link.ts";
import type { MuxStream } from "./stream.ts";

export type Side = "ours" | "theirs";

export interface StreamLimits {
  /** Of each opener; the same on both ends. */
  readonly maxStreams: number;
  /** The same for kinds that last long, which the others do not count. */
  readonly maxLongStreams: number;
  /** Octets of all streams that wait here: for their taker, or for credit of the peer. */
  readonly maxHeldBytes: number;
}

export class OpenStreams {
  readonly ours: Map<number, MuxStream> = new Map<number, MuxStream>();
  readonly theirs: Map<number, MuxStream> = new Map<number, MuxStream>();
  /** Those that somebody waits to send on; idle ones cost nothing when the connection drains. */
  readonly waiting: Set<MuxStream> = new Set<MuxStream>();
  readonly #limits: StreamLimits;
  /** Of the two, those that last long. */
  readonly #long: Record<Side, number> = { ours: 0, theirs: 0 };
  #heldBytes = 0;

  constructor(limits: StreamLimits) {
    this.#limits = limits;
  }

  *all(): Iterable<MuxStream> {
    yield* this.ours.values();
    yield* this.theirs.values();
  }

  /** A sixteenth below what is agreed: what is over here may still be read at the other end. */
  mayOpen(kind: StreamKind): boolean {
    const most = this.#mostOf(kind);
    return this.#count("ours", kind) < most - (most >> 4);
  }

  mayTake(kind: StreamKind): boolean {
    return this.#count("theirs", kind) < this.#mostOf(kind);
  }

  #mostOf(kind: StreamKind): number {
    const { maxStreams, maxLongStreams } = this.#limits;
    return kindRules[kind].lastsLong ? maxLongStreams : maxStreams;
  }

  #count(side: Side, kind: StreamKind): number {
    const long = this.#long[side];
    return kindRules[kind].lastsLong ? long : this[side].size - long;
  }

  keep(side: Side, stream: MuxStream): void {
    this[side].set(stream.id, stream);
    if (kindRules[stream.kind].lastsLong) this.#long[side] += 1;
  }

  over(stream: MuxStream): void {
    this.waiting.delete(stream);
    const side = this.ours.get(stream.id) === stream ? "ours" : "theirs";
    if (!this[side].delete(stream.id)) return;
    if (kindRules[stream.kind].lastsLong) this.#long[side] -= 1;
  }

  /** So many octets more wait, or fewer; may break a stream. */
  hold(lengthBytes: number): void {
    this.#heldBytes += lengthBytes;
    if (lengthBytes <= 0 || this.#heldBytes <= this.#limits.maxHeldBytes) return;
    // Who has the most waiting gives way: it is read, or reads, too slowly.
    let greatest: MuxStream | undefined;
    for (const stream of this.all()) {
      if (stream.heldBytes > (greatest?.heldBytes ?? 0)) greatest = stream;
    }
    greatest?.abort("too much waits on this link");
  }
}
