/** A map that forgets what was not set for longest, once it is full. */

export class Recent<Value> implements Iterable<readonly [string, Value]> {
  readonly #most: number;
  readonly #values = new Map<string, Value>();
  /** Kept from one eviction to the next: a new one would walk over all that was deleted before. */
  readonly #oldest = this.#values.keys();

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#values.size;
  }

  get(key: string): Value | undefined {
    return this.#values.get(key);
  }

  set(key: string, value: Value): void {
    this.#values.delete(key);
    this.#values.set(key, value);
    if (this.#values.size <= this.#most) return;
    const { value: oldest } = this.#oldest.next();
    if (oldest !== undefined) this.#values.delete(oldest);
  }

  /** The oldest first. */
  [Symbol.iterator](): IterableIterator<[string, Value]> {
    return this.#values.entries();
  }
}
