/**
 * The log of the views' database is written back into it on a thread of its own: two flushes and
 * thousands of writes take tens of milliseconds, for which nobody else would be answered.
 */

import { Worker } from "node:worker_threads";
import type { Log } from "#base/log";
import type { Views } from "./views.ts";

/** Of the log, from which on it is written back: 16 MiB. */
const logPages = 4000;
/** The thread does not keep up: whoever commits writes so many back, and waits. */
const mostLogPages = 16_000;
/** The log begins anew when nothing was committed while its last pages were written back. */
const mostRounds = 4;

export class Checkpoints implements AsyncDisposable {
  readonly #views: Views;
  readonly #path: string;
  readonly #log: Log;
  #worker: Worker | undefined;
  #roundsLeft = 0;

  private constructor(views: Views, path: string, log: Log) {
    this.#views = views;
    this.#path = path;
    this.#log = log;
    views.checkpointAt(mostLogPages, () => this.#committed());
  }

  /** @returns undefined for views in memory, which have no log */
  static of(views: Views, log: Log): Checkpoints | undefined {
    const path = views.db.location();
    return path === null ? undefined : new Checkpoints(views, path, log);
  }

  /** Before the views are closed: whoever closes them last removes the log. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#views.checkpointAt(logPages);
    await this.#worker?.terminate();
  }

  #committed(): void {
    if (this.#roundsLeft > 0) return;
    this.#orGiveUp(() => {
      if (this.#views.logPages() < logPages) return;
      this.#roundsLeft = mostRounds;
      this.#worker ??= this.#start();
      this.#worker.postMessage(undefined);
    });
  }

  #written(): void {
    this.#orGiveUp(() => {
      this.#roundsLeft = this.#views.logPages() > 0 ? this.#roundsLeft - 1 : 0;
      if (this.#roundsLeft > 0) this.#worker?.postMessage(undefined);
    });
  }

  /** No thread is to be had, say: what was committed stands. */
  #orGiveUp(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #giveUp(error: unknown): void {
    this.#log.write("warn", "store.checkpoint-failed", { reason: String(error) });
    this.#views.checkpointAt(logPages);
  }

  #start(): Worker {
    const worker = new Worker(new URL("./checkpoint-worker.ts", import.meta.url), {
      workerData: this.#path,
    });
    worker.unref();
    worker.on("message", () => this.#written());
    worker.on("error", (error) => this.#giveUp(error));
    return worker;
  }
}
