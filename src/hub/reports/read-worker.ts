/** Reads one mail on a thread of its own: strangers send it, and it may take seconds. */

import { parentPort, workerData } from "node:worker_threads";
import { readReports } from "./read-reports.ts";

parentPort?.postMessage(readReports(workerData as Uint8Array));
