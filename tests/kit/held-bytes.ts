/** Octets in buffers that somebody still holds: what is only waiting for the collector is let go first. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

export function heldBytes(): number {
  collect();
  return process.memoryUsage().arrayBuffers;
}
