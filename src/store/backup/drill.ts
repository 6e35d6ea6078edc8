/** A drill: the backup is restored on the side, read, and thrown away. Only that shows that it can be. */

import type { Disk } from "#base/disk";
import { Misconfigured, Unavailable } from "#base/errors";
import type { Random } from "#base/random";
import type { NoteKey } from "#formats/checkpoint";
import { examineStore, memoryMaster } from "#store";
import { faultText } from "./faults.ts";
import type { RecoveryPrivateKey } from "./recovery-key.ts";
import { restoreBackup } from "./restore.ts";
import type { Target } from "./target.ts";

/** A place of its own, empty, with as much room as the store and its views take. */
export interface Sandbox {
  readonly disk: Disk;
  readonly directory: string;
  readonly indexPath: string;
  /** Takes all of it away. */
  remove(): Promise<void>;
}

export interface DrillParts {
  readonly target: Target;
  /** Of the manifest. */
  readonly name: string;
  readonly own: RecoveryPrivateKey;
  readonly sandbox: Sandbox;
  readonly random: Random;
  /** So many are read and compared, or all when there are fewer. */
  readonly messages: number;
  readonly logKeys?: readonly NoteKey[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** @param step that begins */
  readonly onStep?: ((step: DrillStep) => void) | undefined;
  readonly onProgress?: ((doneBytes: number, allBytes: number) => void) | undefined;
}

export type DrillStep = "restore" | "rebuild";

export interface Drilled {
  readonly ok: boolean;
  /** Of the manifest. */
  readonly backup: string;
  readonly seconds: {
    readonly restore: number;
    readonly rebuild: number;
    readonly read: number;
    readonly all: number;
  };
  /** Read and compared with what the history says of them. */
  readonly messages: number;
  readonly lsn?: number;
  /** Why it did not pass. Names nobody. */
  readonly reason?: string;
}

/**
 * What is restored is sealed under a master key that this process alone has, so that nobody can read
 * what a cut leaves behind.
 *
 * @throws the signal's reason; everything else is a drill that did not pass
 */
export async function drillBackup(parts: DrillParts): Promise<Drilled> {
  const { name: backup, sandbox, signal } = parts;
  const startedMs = performance.now();
  const seconds = { restore: 0, rebuild: 0, read: 0 };
  const all = (): number => tenths(performance.now() - startedMs);
  try {
    const outcome = await run(parts, seconds);
    const ok = outcome.reason === undefined;
    return { ok, backup, seconds: { ...seconds, all: all() }, ...outcome };
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof Unavailable || error instanceof Misconfigured)) throw error;
    const reason = error.message;
    return { ok: false, backup, seconds: { ...seconds, all: all() }, messages: 0, reason };
  } finally {
    await sandbox.remove();
  }
}

async function run(
  parts: DrillParts,
  seconds: { restore: number; rebuild: number; read: number },
): Promise<Pick<Drilled, "messages" | "lsn" | "reason">> {
  const { sandbox, random, messages, signal, onStep, ...rest } = parts;
  const { disk, directory, indexPath } = sandbox;
  const master = memoryMaster(random);
  onStep?.("restore");
  const startedMs = performance.now();
  const into = { disk, directory, master, random, until: undefined };
  const restored = await restoreBackup({ ...rest, ...into, signal });
  seconds.restore = tenths(performance.now() - startedMs);
  if (!restored.ok) return { messages: 0, reason: faultText(restored.fault) };
  onStep?.("rebuild");
  const found = await examineStore({ ...into, indexPath, messages, signal });
  seconds.rebuild = tenths(found.rebuildMs);
  seconds.read = tenths(found.readMs);
  const { lsn, root } = restored.value.of;
  const wrong = found.wrong.length;
  const isSame = found.tree.size === lsn && found.tree.root.toString("hex") === root;
  const reason =
    wrong > 0
      ? `${wrong} of ${found.messages} messages are not as they were`
      : isSame
        ? undefined
        : "the views were made from another history";
  return { messages: found.messages, lsn, ...(reason !== undefined && { reason }) };
}

function tenths(ms: number): number {
  return Math.round(ms / 100) / 10;
}
