/** Upkeep of the store takes turns: scrub, backup, compaction and sealing read whole segments. */

/** One lock for a store. */
export class Maintenance {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs when whoever came before has ended, well or not. */
  run<Value>(work: () => Promise<Value>): Promise<Value> {
    const run = this.#last.then(work);
    this.#last = run.catch(() => undefined);
    return run;
  }
}
