/** Has a mail read on another thread, within a time. */

import { Worker } from "node:worker_threads";
import type { FoundReports } from "./read-reports.ts";

const patienceMs = 30_000;
const maxHeapMib = 768;

/** What takes too long, or too much memory, is a fault of the mail. */
export async function readAside(octets: Uint8Array): Promise<FoundReports> {
  const worker = new Worker(new URL("./read-worker.ts", import.meta.url), {
    workerData: octets,
    resourceLimits: { maxOldGenerationSizeMb: maxHeapMib },
  });
  const { promise, resolve } = Promise.withResolvers<FoundReports>();
  const given = (fault: string) => () =>
    resolve({ aggregates: [], feedbacks: [], tls: [], faults: [fault] });
  const timer = setTimeout(given("took-too-long"), patienceMs);
  worker.once("message", resolve);
  worker.once("error", given("not-readable"));
  worker.once("exit", given("not-readable"));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}
