/** Writes the log of a database back into it, each time it is asked to. */

import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";

const database = new DatabaseSync(workerData as string);
// Whoever commits meanwhile does not wait, and what he commits is left in the log.
const checkpoint = database.prepare("PRAGMA wal_checkpoint(PASSIVE)");
parentPort?.on("message", () => parentPort?.postMessage(checkpoint.get()?.["checkpointed"]));
