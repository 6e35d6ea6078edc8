/** Work that waits its turn: one piece at a time, and a failure of one does not stop the next. */

export class OneByOne<Piece> {
  readonly #work: (piece: Piece) => Promise<void>;
  readonly #failed: (error: unknown) => void;
  readonly #waiting: Piece[] = [];
  #running: Promise<void> = Promise.resolve();
  #isRunning = false;
  #isStopped = false;

  constructor(work: (piece: Piece) => Promise<void>, failed: (error: unknown) => void) {
    this.#work = work;
    this.#failed = failed;
  }

  /** Without the piece that is worked on. */
  get waiting(): number {
    return this.#waiting.length;
  }

  add(piece: Piece): void {
    this.#waiting.push(piece);
    if (!this.#isRunning) this.#running = this.#run();
  }

  /** Resolves when the piece that is worked on is done; those that wait are let go. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (this.#isStopped) break;
      await this.#work(next).catch(this.#failed);
    }
    this.#isRunning = false; // in the same step as the last look: nobody is left waiting
  }
}
