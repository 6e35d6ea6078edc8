/** What somebody still holds: what is only waiting for the collector is let go first. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Octets in buffers. */
export function heldBytes(): number {
  collect();
  return process.memoryUsage().arrayBuffers;
}

export function heldHeapBytes(): number {
  collect();
  return process.memoryUsage().heapUsed;
}
