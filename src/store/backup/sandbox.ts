/** Places of their own for drills, on the machine's disk. */

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { errorCode, realDisk } from "#base/disk";
import { Misconfigured } from "#base/errors";
import type { Sandbox } from "./drill.ts";

const prefix = "postern-drill-";

/**
 * @param folder where there is room; it has to be there
 * @throws Misconfigured when nothing can be made in it
 */
export function sandboxIn(folder: string): Sandbox {
  let own: string;
  try {
    own = mkdtempSync(join(folder, prefix));
  } catch (cause) {
    const code = errorCode(cause) ?? "error";
    throw new Misconfigured(`${folder}: no drill can be run there (${code})`, { cause });
  }
  return {
    disk: realDisk,
    directory: join(own, "store"),
    indexPath: join(own, "index.sqlite"),
    remove: async () => rmSync(own, { recursive: true, force: true }),
  };
}

/** What drills left behind that were cut off; only while none runs there. */
export function sweepSandboxes(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (name.startsWith(prefix)) rmSync(join(folder, name), { recursive: true, force: true });
  }
}
