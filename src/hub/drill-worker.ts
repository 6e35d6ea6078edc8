/** A drill on a thread of its own: making views keeps a processor busy, and mail must not wait for it. */

import { parentPort, workerData } from "node:worker_threads";
import { systemRandom } from "#base/random";
import { parseNoteKey } from "#formats/checkpoint";
import {
  drillBackup,
  recoveryPrivateKeyIn,
  sandboxIn,
  sweepSandboxes,
  type TargetText,
  targetOf,
} from "#store/backup";

export interface DrillJob {
  readonly target: TargetText;
  /** Of the manifest. */
  readonly name: string;
  readonly keyFile: string;
  /** Nothing else runs drills there. */
  readonly folder: string;
  readonly messages: number;
  /** Keys of the log, as notes write them. */
  readonly logKeys: readonly string[];
}

async function run({ target, keyFile, folder, logKeys, ...rest }: DrillJob): Promise<void> {
  sweepSandboxes(folder);
  const keys = logKeys.map(parseNoteKey).flatMap((key) => (key.ok ? [key.value] : []));
  const own = recoveryPrivateKeyIn(keyFile);
  const sandbox = sandboxIn(folder);
  const parts = { target: targetOf(target), own, sandbox, random: systemRandom };
  parentPort?.postMessage(await drillBackup({ ...rest, ...parts, logKeys: keys }));
}

if (parentPort !== null) await run(workerData as DrillJob);
