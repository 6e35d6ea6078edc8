/** Opening a store: lock, recovery, and the parts put together. */

import { hex } from "#base/bytes";
import type { Clock } from "#base/clock";
import { type Disk, realDisk } from "#base/disk";
import { type Log, silentLog } from "#base/log";
import type { Random } from "#base/random";
import type { Master } from "#contracts/keyring";
import type { Store, StoreStats } from "#contracts/store";
import type { Change, MessageId } from "#model/mailbox";
import { Acceptances } from "./accept.ts";
import { whereIs } from "./affected.ts";
import { applyRecord } from "./apply.ts";
import { wokenBy } from "./apply-queue.ts";
import { auditStore } from "./audit.ts";
import { type BackupActs, backupActs } from "./backup-acts.ts";
import { type BackupSource, backupSource } from "./backup-source.ts";
import type { Closing } from "./batch.ts";
import type { Cipher } from "./cipher.ts";
import {
  type CompactionOptions,
  type CompactionReport,
  Compactor,
  type CompactorParts,
} from "./compactor.ts";
import { contactStore } from "./contacts.ts";
import { Contents } from "./contents.ts";
import type { DamagePlace } from "./damage.ts";
import { entryActs } from "./entry-acts.ts";
import { Erasure, type ErasureReport } from "./erasure.ts";
import { noEvents, type StoreEvents } from "./events.ts";
import { type FactorStore, factorStore } from "./factors.ts";
import { Heads } from "./heads.ts";
import type { History } from "./history.ts";
import { Keeper, type StoreHealth, scrubBytesPerSecond } from "./keeper.ts";
import { Ledger } from "./ledger.ts";
import { type Lock, noLock, socketLock } from "./lock.ts";
import { mailboxActs } from "./mailbox-acts.ts";
import { mailboxReads } from "./mailbox-reads.ts";
import { messageReader } from "./messages.ts";
import { peopleStore } from "./people.ts";
import { type MessageProof, proveMessage } from "./prover.ts";
import { type QueueListeners, queueStore } from "./queue.ts";
import { RecordReader } from "./reader.ts";
import { draft, type Upkeep } from "./records.ts";
import { type Recovered, recover } from "./recover.ts";
import { restoreLost } from "./repair.ts";
import { lastRunAtMs, Retention, type RetentionReport, writeDown } from "./retention.ts";
import { retentionStore } from "./retention-acts.ts";
import type { ScrubResult } from "./scrub.ts";
import type { ScrubNowOptions } from "./scrubber.ts";
import { Segments } from "./segments.ts";
import { commitmentOf } from "./statement.ts";
import { queueHolder } from "./store-keys.ts";
import { Supply } from "./supply.ts";
import { traceStore } from "./traces.ts";
import { type NamedReport, verifySegments } from "./verify.ts";
import type { Views } from "./views.ts";

const mebibyte = 1024 * 1024;
const minFreeBytes = 256 * mebibyte;

export interface StoreOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  /** Where the segments lie. */
  readonly directory: string;
  /** Wraps the store's own key. */
  readonly master: Master;
  /** Another than AES-GCM only to measure what that costs. */
  readonly cipher?: Cipher;
  /** The views' database; never inside the simulated disk. */
  readonly indexPath: string;
  readonly log?: Log;
  readonly events?: StoreEvents;
  readonly segmentBytes?: number;
  /** Room in the last segment that only small acts may use. */
  readonly reserveBytes?: number;
  /** Of the background scrub, at most, unless a week would not do. */
  readonly scrubBytesPerSecond?: number;
  /** Left free on the disk for the views and everybody else. */
  readonly minFreeBytes?: number;
  /** From this size on a content is written in parts of this size while it comes. */
  readonly inlineBytes?: number;
  /** Against a second start; by default only where the disk is the machine's own. */
  readonly lock?: Lock;
}

export interface OpenStore extends Store {
  readonly factors: FactorStore;
  /** Resolves when the disk failed. Then nothing more is accepted, and the process must end. */
  readonly failed: Promise<Error>;
  /** In every page of it; sixteen hexadecimal digits. */
  readonly storeId: string;
  /** What the ledger has on a message, as leaves of the tree of that size; undefined for none. */
  prove(message: MessageId, size: number): Promise<MessageProof | undefined>;
  /** The tree over everything that happened. */
  readonly history: Pick<History, "head" | "consistency" | "inclusion" | "leaf">;
  /** Expunges what the rules let go, unless the clock has jumped. */
  retain(nowMs: number): Promise<RetentionReport>;
  /** Destroys the keys of all mail that no mailbox, no hold and no queue has any more. */
  erase(): Promise<ErasureReport>;
  /** Gives back the room of what was erased, as far as it is worth it. Runs after each erasure. */
  compact(options?: CompactionOptions): Promise<CompactionReport>;
  /** Reads everything, now, and repairs what it can; the results come segment by segment. */
  scrub(options?: ScrubNowOptions): AsyncGenerator<ScrubResult>;
  health(): Promise<StoreHealth>;
  /** When `retain` or `erase` last came to its end, in this process or an earlier one. */
  lastRunAtMs(work: Upkeep): number | undefined;
  /** Reads everything durable and checks it; writes nothing. */
  verify(): Promise<NamedReport>;
  /** Id of the master key under which the store's own key is wrapped. */
  readonly masterId: string;
  /** Wraps the store's key anew, under the master key that is the current one now. @returns its id */
  rekey(master: Master): Promise<string>;
  /** What a backup copies, and what is remembered of backups. */
  readonly backup: BackupSource & BackupActs;
}

/**
 * @throws Misconfigured when another process has the store open, Damaged when something that was
 *   durable cannot be read, Full or a disk's error when it cannot be written
 */
export async function openStore(options: StoreOptions): Promise<OpenStore> {
  const { disk, directory } = options;
  const lock = await (options.lock ?? (disk === realDisk ? socketLock : noLock))(directory);
  const segments = new Segments(disk, directory);
  try {
    const segmentBytes = options.segmentBytes ?? 64 * mebibyte;
    const { clock, log = silentLog, events = noEvents } = options;
    const keeper = new Keeper(segments, { clock, log, events });
    const makeRoom = { now: (): void => undefined };
    await restoreLost(segments, keeper.repair);
    const found = await recover(segments, { ...options, segmentBytes, log });
    const supply = await Supply.open(
      segments,
      options.clock,
      {
        segmentBytes,
        reserveBytes: options.reserveBytes ?? Math.min(4 * mebibyte, segmentBytes / 8),
        minFreeBytes: options.minFreeBytes ?? minFreeBytes,
        guard: keeper.guard(found),
        onFull: () => makeRoom.now(),
      },
      found,
    );
    return await assemble(options, { segments, supply, found, lock, keeper, makeRoom });
  } catch (error) {
    // A file that is left open ends the process when it is collected.
    await segments.close().catch(() => undefined);
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
  readonly keeper: Keeper;
  /** Called by the supply when the disk is full; set when there is somebody who can help. */
  readonly makeRoom: { now: () => void };
}

async function assemble(options: StoreOptions, opened: Opened): Promise<OpenStore> {
  const { clock, random, log = silentLog } = options;
  const { segments, supply, found, lock, keeper } = opened;
  const { views } = found;
  const listeners = new Set<(change: Change) => void>();
  const { events = noEvents } = options;
  const queueListeners: QueueListeners = new Set();
  const ledger = startLedger(opened, { listeners, queueListeners }, { clock, log, events });
  const heads = new Heads(views);
  const contents = new Contents(views, ledger, options.inlineBytes ?? 256 * 1024);
  if (found.isNew) {
    const made = draft({ kind: "made", atMs: clock.nowMs() });
    const queueKey = views.holders.make(queueHolder, random);
    await ledger.commit(0, false, () => ({ drafts: [made, queueKey], value: undefined }));
  }
  const erasure = new Erasure({ views, ledger, contents, clock, log });
  await erasure.finish();
  const compactor = compactorOf(options, { segments, views, contents, log, keeper });
  keeper.start({ ledger, views, supply }, options.scrubBytesPerSecond ?? scrubBytesPerSecond);
  const parts = { views, ledger, heads, clock, contents, random, log };
  const reader = new RecordReader(views, segments);
  const kept = { ...parts, segments, reader, listeners, queueListeners };
  const store = mailStore(kept);
  const retention = new Retention({ ...parts, expunge: store.mailboxes.expunge });
  opened.makeRoom.now = makingRoom(clock, async () => {
    await erasure.run();
    compactor.start({ force: true, wantedBytes: 4 * (options.segmentBytes ?? 64 * mebibyte) });
  });
  return {
    ...store,
    ...careOf(opened, kept),
    failed: ledger.failed,
    retain: (nowMs) => retention.run(nowMs),
    async erase() {
      const report = await erasure.run();
      await writeDown(ledger, "erasure", clock.nowMs());
      compactor.start();
      return report;
    },
    compact: (wanted) => compactor.run(wanted),
    async [Symbol.asyncDispose]() {
      await keeper.rest(); // a scrub at its slow pace has the turn of the upkeep
      await compactor.close();
      await ledger.close();
      await keeper.close();
      await segments.close();
      views.close();
      await lock[Symbol.asyncDispose]();
    },
  };
}

function startLedger(
  { supply, found }: Opened,
  { listeners, queueListeners }: Pick<Kept, "listeners" | "queueListeners">,
  {
    clock,
    log,
    events,
  }: { readonly clock: Clock; readonly log: Log; readonly events: StoreEvents },
): Ledger {
  const { views, history, storeId, keys } = found;
  const closing: Closing = { keys, commit: (record, lsn) => commitmentOf(keys, record, lsn) };
  const ledger = new Ledger(
    supply,
    clock,
    { ...found, closing, onFlush: events.flushed },
    (records, at, lsn) => {
      const changes: Change[] = [];
      const publish = listeners.size > 0 ? (change: Change) => changes.push(change) : undefined;
      views.transaction(() => {
        for (const one of records) applyRecord(views, one, publish as never);
        const tree = history.grow(records.map(({ leaf }) => leaf));
        views.setWatermark({ store: hex(storeId), ...at, lsn, tree });
      });
      for (const change of changes) for (const listener of listeners) tell(listener, change, log);
      if (queueListeners.size === 0) return;
      const woken = wokenBy(
        views,
        records.map(({ record }) => record),
      );
      for (const one of woken) for (const listener of queueListeners) tell(listener, one, log);
    },
  );
  void ledger.failed.then((error) =>
    log.write("error", "store.failed", { reason: String(error.cause) }),
  );
  return ledger;
}

/** What the parts of an open store share. */
interface Kept {
  readonly views: Views;
  readonly ledger: Ledger;
  readonly heads: Heads;
  readonly clock: Clock;
  readonly contents: Contents;
  readonly random: Random;
  readonly log: Log;
  readonly segments: Segments;
  readonly reader: RecordReader;
  readonly listeners: Set<(change: Change) => void>;
  readonly queueListeners: QueueListeners;
}

/** The mail: what doors, queue and directory ask for. */
function mailStore(
  kept: Kept,
): Omit<Store & Pick<OpenStore, "factors">, typeof Symbol.asyncDispose> {
  const { views, ledger, heads, contents, segments, reader, listeners } = kept;
  const acceptances = new Acceptances(views, ledger, heads, contents);
  const messages = messageReader(views, reader);
  return {
    messages,
    mailboxes: { ...mailboxReads(views), ...mailboxActs(kept), ...entryActs(kept) },
    queue: queueStore(views, ledger, kept.queueListeners),
    people: peopleStore(kept),
    factors: factorStore(kept),
    traces: traceStore(views, reader),
    retention: retentionStore(kept),
    audit: auditStore(kept, messages),
    contacts: contactStore(views),
    accept: (acceptance) => acceptances.accept(acceptance),
    isAccepted: async (id) => acceptances.isAccepted(id),
    refused: (refusal) => ledger.later(draft({ kind: "refused", refusal })),
    stage: () => contents.stage(),
    watch(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    stats: () => statsOf(views, ledger, segments),
  };
}

type Care = Pick<
  OpenStore,
  | "storeId"
  | "history"
  | "prove"
  | "scrub"
  | "health"
  | "lastRunAtMs"
  | "verify"
  | "masterId"
  | "rekey"
  | "backup"
>;

/** The store itself: its history, its health, its copies. */
function careOf({ found, keeper }: Opened, { views, ledger, segments, reader }: Kept): Care {
  const { history, storeId, keys } = found;
  const { maintenance } = keeper;
  return {
    storeId: hex(storeId),
    history,
    prove: (message, size) => proveMessage({ views, segments, history, reader }, message, size),
    scrub: (wanted) => keeper.scrub(wanted),
    health: () => keeper.health(views),
    lastRunAtMs: (work) => lastRunAtMs(views, work),
    verify: () =>
      maintenance.run(async () => {
        const report = await verifySegments(segments, keys, ledger.durableGeneration);
        return { ...report, mail: whereIs(views, report.damages.flatMap(messagesOf)) };
      }),
    get masterId() {
      return keys.file.masterId;
    },
    rekey: (master) => keys.file.rewrap(master),
    backup: {
      ...backupSource({ segments, views, history, keys: keys.file, maintenance }),
      ...backupActs(views, ledger),
    },
  };
}

const messagesOf = ({ messages }: DamagePlace): readonly MessageId[] => messages;

/** How often room is looked for on a disk that has none. */
const makeRoomMs = 60_000;

function makingRoom(clock: Clock, work: () => Promise<void>): () => void {
  let lastMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = clock.tickMs();
    if (nowMs - lastMs < makeRoomMs) return;
    lastMs = nowMs;
    void work().catch(() => undefined); // the next refusal asks again
  };
}

/** Whoever listens badly must not look like a disk that fails. */
function tell<What>(listener: (what: What) => void, change: What, log: Log): void {
  try {
    listener(change);
  } catch (error) {
    log.write("error", "store.listener-failed", { reason: String(error) });
  }
}

function compactorOf(
  options: StoreOptions,
  {
    keeper,
    ...parts
  }: Omit<CompactorParts, "spareBytes" | "alone" | "seal" | "maintenance"> & {
    readonly keeper: Keeper;
  },
): Compactor {
  return new Compactor({
    ...parts,
    maintenance: keeper.maintenance,
    // What it takes it gives back, so it may use most of what is kept free.
    spareBytes: (options.minFreeBytes ?? minFreeBytes) / 4,
    alone: (work) => keeper.repair.pause(work),
    seal: (segment, pages) => keeper.sealer.seal(segment, pages),
  });
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
