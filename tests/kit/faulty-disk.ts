/** A disk one of whose calls goes wrong, in one of the ways in which disks do. */

import type { Disk, DiskFile } from "#base/disk";
import type { SimulatedDisk } from "#base/disk-sim";

/**
 * An error code; EROFS stays, for whatever would change something, until the store is opened again.
 * "late": EIO, but the call was done all the same, a write in part. "hang": no answer ever.
 */
export const faultKinds = ["EIO", "ENOSPC", "EROFS", "EMFILE", "late", "hang"] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface Fault {
  /** Which call of the disk, counted from 1. */
  readonly at: number;
  readonly kind: FaultKind;
}

/** One for all the disks of a run. */
export interface Plan {
  readonly fault: Fault | undefined;
  /** Calls so far. */
  calls: number;
  /** The fault came in this life of the store. */
  hasStruck: boolean;
}

type Work<Value> = () => Promise<Value>;

interface Call<Value> {
  /** What a disk that may only be read refuses. */
  readonly changes: boolean;
  readonly work: Work<Value>;
  /** What is done of it all the same when it fails late; all of it by default. */
  readonly part?: Work<unknown>;
  /** Fails with the code, in the way this call does; by default without having done anything. */
  readonly fail?: (code: string) => Promise<never>;
}

export function faultyDisk(disk: SimulatedDisk, plan: Plan): Disk {
  const call = async <Value>({ changes, work, part = work, fail = refuse }: Call<Value>) => {
    plan.calls += 1;
    const { fault } = plan;
    const isIt = fault?.at === plan.calls;
    if (isIt) plan.hasStruck = true;
    if (fault === undefined || !(isIt || (changes && isReadOnly(plan)))) return work();
    if (fault.kind === "hang") return new Promise<never>(() => undefined);
    if (fault.kind !== "late") return fail(fault.kind);
    await part();
    return refuse("EIO");
  };
  const reading = <Value>(work: Work<Value>): Promise<Value> => call({ changes: false, work });
  const changing = <Value>(work: Work<Value>): Promise<Value> => call({ changes: true, work });

  const wrapped = (file: DiskFile): DiskFile => ({
    read: (into, offset) => reading(() => file.read(into, offset)),
    write(parts, offset) {
      const whole = Buffer.concat(parts);
      const half = whole.subarray(0, Math.floor(whole.length / 2));
      return call({
        changes: true,
        work: () => file.write([whole], offset),
        part: () => file.write([half], offset),
      });
    },
    sync: () =>
      call({
        changes: true,
        work: () => file.sync(),
        async fail(failCode) {
          // The disk itself knows what a failed sync leaves behind.
          disk.faults = { failAtOperation: disk.operations + 1, failCode };
          await file.sync();
          return refuse(failCode);
        },
      }),
    resize: (sizeBytes) => changing(() => file.resize(sizeBytes)),
    sizeBytes: () => reading(() => file.sizeBytes()),
    close: () => reading(() => file.close()),
  });
  return {
    async open(path, mode) {
      const open = async (): Promise<DiskFile> => wrapped(await disk.open(path, mode));
      return mode === "read" ? reading(open) : changing(open);
    },
    list: (path) => reading(() => disk.list(path)),
    sizeBytes: (path) => reading(() => disk.sizeBytes(path)),
    makeDirectory: (path) => changing(() => disk.makeDirectory(path)),
    rename: (from, to) => changing(() => disk.rename(from, to)),
    remove: (path) => changing(() => disk.remove(path)),
    syncDirectory: (path) => changing(() => disk.syncDirectory(path)),
    freeBytes: () => reading(async () => Number.MAX_SAFE_INTEGER),
  };
}

function isReadOnly({ fault, hasStruck }: Plan): boolean {
  return hasStruck && fault?.kind === "EROFS";
}

async function refuse(code: string): Promise<never> {
  throw Object.assign(new Error(`${code}: as planned`), { code });
}
