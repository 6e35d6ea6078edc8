/** Starts drills on their thread. */

import { Worker } from "node:worker_threads";
import { Unavailable } from "#base/errors";
import type { Drilled } from "#store/backup";
import type { DrillJob } from "./drill-worker.ts";

/** @throws what the drill could not begin for; a drill that does not pass is a report */
export async function drillAside(job: DrillJob, signal: AbortSignal): Promise<Drilled> {
  signal.throwIfAborted();
  const worker = new Worker(new URL("./drill-worker.ts", import.meta.url), { workerData: job });
  const { promise, resolve, reject } = Promise.withResolvers<Drilled>();
  worker.once("message", resolve);
  worker.once("error", (cause: Error) => {
    reject(new Unavailable(`the drill could not be run: ${cause.message}`, { cause }));
  });
  worker.once("exit", () => reject(new Unavailable("the drill ended without a report")));
  const stop = (): void => void worker.terminate();
  signal.addEventListener("abort", stop);
  try {
    return await promise;
  } finally {
    signal.removeEventListener("abort", stop);
    await worker.terminate();
  }
}
