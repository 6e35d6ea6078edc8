/** Opening a store: lock, recovery, and the parts put together. */

import { hex } from "#base/bytes";
import type { Clock } from "#base/clock";
import { type Disk, realDisk } from "#base/disk";
import { type Log, silentLog } from "#base/log";
import type { Random } from "#base/random";
import type { Store, StoreStats } from "#contracts/store";
import type { Change } from "#model/mailbox";
import { Acceptances } from "./accept.ts";
import { applyRecord } from "./apply.ts";
import { Contents } from "./contents.ts";
import { entryActs } from "./entry-acts.ts";
import { Heads } from "./heads.ts";
import { Ledger } from "./ledger.ts";
import { type Lock, noLock, socketLock } from "./lock.ts";
import { mailboxActs } from "./mailbox-acts.ts";
import { mailboxReads } from "./mailbox-reads.ts";
import { messageReader } from "./messages.ts";
import { peopleStore } from "./people.ts";
import { queueStore } from "./queue.ts";
import { draft } from "./records.ts";
import { type Recovered, recover } from "./recover.ts";
import { Segments } from "./segments.ts";
import { Supply } from "./supply.ts";
import { traceStore } from "./traces.ts";
import { type VerifyReport, verifySegments } from "./verify.ts";
import type { Views } from "./views.ts";

const mebibyte = 1024 * 1024;

export interface StoreOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  /** Where the segments lie. */
  readonly directory: string;
  /** The views' database; never inside the simulated disk. */
  readonly indexPath: string;
  readonly log?: Log;
  readonly segmentBytes?: number;
  /** Room in the last segment that only small acts may use. */
  readonly reserveBytes?: number;
  /** Left free on the disk for the views and everybody else. */
  readonly minFreeBytes?: number;
  /** From this size on a content is written in parts of this size while it comes. */
  readonly inlineBytes?: number;
  /** Against a second start; by default only where the disk is the machine's own. */
  readonly lock?: Lock;
}

export interface OpenStore extends Store {
  /** Resolves when the disk failed. Then nothing more is accepted, and the process must end. */
  readonly failed: Promise<Error>;
  /** Reads everything durable and checks it; writes nothing. */
  verify(): Promise<VerifyReport>;
}

/**
 * @throws Misconfigured when another process has the store open, Damaged when something that was
 *   durable cannot be read, Full or a disk's error when it cannot be written
 */
export async function openStore(options: StoreOptions): Promise<OpenStore> {
  const { disk, directory } = options;
  const lock = await (options.lock ?? (disk === realDisk ? socketLock : noLock))(directory);
  try {
    const segments = new Segments(disk, directory);
    const segmentBytes = options.segmentBytes ?? 64 * mebibyte;
    const { random, indexPath, log = silentLog } = options;
    const found = await recover(segments, { indexPath, segmentBytes, random, log });
    const supply = await Supply.open(
      segments,
      options.clock,
      {
        segmentBytes,
        reserveBytes: options.reserveBytes ?? Math.min(4 * mebibyte, segmentBytes / 8),
        minFreeBytes: options.minFreeBytes ?? 256 * mebibyte,
      },
      found,
    );
    return await assemble(options, { segments, supply, found, lock });
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw error;
  }
}

/** What opening made, and closing gives back. */
interface Opened {
  readonly segments: Segments;
  readonly supply: Supply;
  readonly found: Recovered;
  readonly lock: AsyncDisposable;
}

async function assemble(
  options: StoreOptions,
  { segments, supply, found, lock }: Opened,
): Promise<OpenStore> {
  const { clock, random, log = silentLog } = options;
  const { views, storeId } = found;
  const listeners = new Set<(change: Change) => void>();
  const heads = new Heads(views);
  const ledger = new Ledger(supply, clock, found, (records, at, lsn) => {
    const changes: Change[] = [];
    const publish = listeners.size > 0 ? (change: Change) => changes.push(change) : undefined;
    views.transaction(() => {
      for (const one of records) applyRecord(views, one, publish as never);
      views.setWatermark({ store: hex(storeId), ...at, lsn });
    });
    for (const change of changes) for (const listener of listeners) listener(change);
  });
  void ledger.failed.then((error) =>
    log.write("error", "store.failed", { reason: String(error.cause) }),
  );
  const contents = new Contents(views, ledger, options.inlineBytes ?? 256 * 1024);
  const parts = { views, ledger, heads, clock, contents, random };
  const acceptances = new Acceptances(views, ledger, heads, contents);
  if (found.isNew) {
    const made = draft({ kind: "made", atMs: clock.nowMs() });
    await ledger.commit(0, false, () => ({ drafts: [made], value: undefined }));
  }
  return {
    failed: ledger.failed,
    messages: messageReader(views, segments),
    mailboxes: {
      ...mailboxReads(views),
      ...mailboxActs(parts),
      ...entryActs(parts),
    },
    queue: queueStore(views, ledger),
    people: peopleStore(parts),
    traces: traceStore(views, segments),
    accept: (acceptance) => acceptances.accept(acceptance),
    isAccepted: async (id) => acceptances.isAccepted(id),
    refused: (refusal) => ledger.later(draft({ kind: "refused", refusal })),
    stage: () => contents.stage(),
    watch(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    stats: () => statsOf(views, ledger, segments),
    verify: () => verifySegments(segments, ledger.durableGeneration),
    async [Symbol.asyncDispose]() {
      await ledger.close();
      await segments.close();
      views.close();
      await lock[Symbol.asyncDispose]();
    },
  };
}

async function statsOf(views: Views, ledger: Ledger, segments: Segments): Promise<StoreStats> {
  const count = (from: string): number =>
    views.get(`SELECT count(*) AS rows FROM ${from}`)?.["rows"] as number;
  return {
    records: ledger.records,
    segments: (await segments.numbers()).length,
    sizeBytes: await segments.sizeBytes(),
    messages: count("message WHERE status <> 'refused'"),
    contents: count("content"),
    accounts: count("account"),
    queued: count("queue WHERE state IN ('waiting', 'held')"),
    flushes: ledger.flushes,
    recordsPerFlush: ledger.recordsPerFlush,
  };
}
