/** What comes next: moments with something to look at, the earliest first. A binary heap. */

export interface Moment<What> {
  readonly atMs: number;
  readonly what: What;
}

export class Agenda<What> {
  readonly #heap: Moment<What>[] = [];

  get nextAtMs(): number {
    return this.#heap[0]?.atMs ?? Number.POSITIVE_INFINITY;
  }

  add(atMs: number, what: What): void {
    const heap = this.#heap;
    let at = heap.push({ atMs, what }) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!this.#isBefore(at, above)) return;
      this.#swap(at, above);
      at = above;
    }
  }

  /** The first whose moment has come. */
  take(nowMs: number): Moment<What> | undefined {
    const heap = this.#heap;
    if (this.nextAtMs > nowMs) return undefined;
    const first = heap[0];
    const last = heap.pop();
    if (heap.length === 0 || last === undefined) return first;
    heap[0] = last;
    for (let at = 0; ; ) {
      let least = at;
      for (const below of [2 * at + 1, 2 * at + 2]) {
        if (below < heap.length && this.#isBefore(below, least)) least = below;
      }
      if (least === at) return first;
      this.#swap(at, least);
      at = least;
    }
  }

  #isBefore(one: number, other: number): boolean {
    return (this.#heap[one] as Moment<What>).atMs < (this.#heap[other] as Moment<What>).atMs;
  }

  #swap(one: number, other: number): void {
    const kept = this.#heap[one] as Moment<What>;
    this.#heap[one] = this.#heap[other] as Moment<What>;
    this.#heap[other] = kept;
  }
}
