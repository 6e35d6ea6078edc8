/** Backups by themselves and on demand, one at a time, and drills; the ledger remembers each. */

import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { type Clock, sleep, type Timer } from "#base/clock";
import { Misconfigured, Unavailable } from "#base/errors";
import type { Values } from "#base/parameters";
import type { Random } from "#base/random";
import { formatHead, formatNote, formatNoteKey } from "#formats/checkpoint";
import { type BackupAct, type OpenStore, Pace } from "#store";
import {
  type backupParameters,
  type Created,
  createBackup,
  type Drilled,
  type Pruned,
  prune,
  recoveryPublicKeyIn,
  targetOf,
} from "#store/backup";
import type { BackupEvents } from "./backup-events.ts";
import { drillAside } from "./drills.ts";
import type { LogSigner } from "./log-signer.ts";

export type BackupSettings = Values<typeof backupParameters>;

export interface BackupPorts {
  readonly store: Pick<OpenStore, "backup" | "storeId">;
  readonly signer: Pick<LogSigner, "origin" | "keys" | "sign">;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: BackupEvents;
  /** With `recoveryKey` and `drillFolder` set. */
  readonly settings: BackupSettings;
}

export interface BackupWish {
  /** Another target than the one that is set. */
  readonly to?: string | undefined;
  readonly onProgress?: ((doneBytes: number, allBytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface BackupState {
  /** Where to; undefined when none are made by themselves. */
  readonly target?: string;
  readonly everyHours: number;
  readonly drillDays: number;
  readonly drillsByItself: boolean;
  readonly isRunning: boolean;
  readonly lastBackup?: BackupAct;
  readonly lastGoodBackup?: BackupAct;
  readonly lastDrill?: BackupAct;
  readonly lastGoodDrill?: BackupAct;
}

export interface Backups extends AsyncDisposable {
  state(): BackupState;
  /** @throws what `createBackup` throws; that it failed is remembered too */
  create(by: string, wish?: BackupWish): Promise<Created>;
  /** @throws Misconfigured without a target, or when a manifest that is to be kept cannot be read */
  prune(): Promise<Pruned>;
  /** Remembers a drill that somebody ran elsewhere. */
  drilled(report: Drilled, by: string): Promise<void>;
}

const lookMs = 600_000;
/** People come first after a start. */
const firstLookMs = 300_000;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const mebibyte = 1_048_576;
const drillMessages = 1000;
const maxReason = 500;
const stopPatienceMs = 5000;

export function startBackups(ports: BackupPorts): Backups {
  return new Round(ports);
}

class Round implements Backups {
  readonly #ports: BackupPorts;
  readonly #stop = new AbortController();
  #last: Promise<unknown> = Promise.resolve();
  #running = 0;
  #timer: Timer;
  /** Of this process: what failed is not tried again at once. */
  readonly #tried = new Map<"backup" | "drill", number>();

  constructor(ports: BackupPorts) {
    this.#ports = ports;
    const { backup } = ports.store;
    for (const act of [backup.lastBackup("good"), backup.lastDrill("good")]) {
      if (act !== undefined) ports.events.remembered(act);
    }
    this.#timer = ports.clock.after(firstLookMs, () => void this.#look());
  }

  state(): BackupState {
    const { settings, store } = this.#ports;
    const { target, everyHours, drillDays, drillKeyFile } = settings;
    const { backup } = store;
    const acts = {
      lastBackup: backup.lastBackup("any"),
      lastGoodBackup: backup.lastBackup("good"),
      lastDrill: backup.lastDrill("any"),
      lastGoodDrill: backup.lastDrill("good"),
    };
    const known = Object.entries(acts).filter(([, act]) => act !== undefined);
    return {
      ...(target !== "" && { target }),
      everyHours,
      drillDays,
      drillsByItself: target !== "" && drillKeyFile !== "",
      isRunning: this.#running > 0,
      ...Object.fromEntries(known),
    };
  }

  create(by: string, wish: BackupWish = {}): Promise<Created> {
    return this.#inTurn(() => this.#create(by, wish));
  }

  prune(): Promise<Pruned> {
    return this.#inTurn(() => this.#prune());
  }

  drilled(report: Drilled, by: string): Promise<void> {
    const { ok, backup, seconds, messages, reason } = report;
    const what = { ok, backup, seconds: seconds.all, messages };
    return this.#remember({ kind: "drilled", by, ...what, ...reasonOf(reason) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer.cancel();
    this.#stop.abort(new Unavailable("the hub stops"));
    // A target that does not answer must not keep everything else from stopping.
    await Promise.race([this.#last, sleep(this.#ports.clock, stopPatienceMs)]);
  }

  #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    this.#running += 1;
    const result = this.#last.then(work).finally(() => {
      this.#running -= 1;
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #create(by: string, { to, onProgress, signal }: BackupWish): Promise<Created> {
    const { store, clock, random, settings } = this.#ports;
    const startedMs = clock.tickMs();
    const seconds = (): number => Math.round((clock.tickMs() - startedMs) / 100) / 10;
    const given = { ...settings, target: to ?? settings.target };
    if (given.target === "") {
      throw new Misconfigured("nobody says where backups go: set backup.target, or use --to");
    }
    const about = { kind: "backed-up", by, target: given.target } as const;
    try {
      const created = await createBackup({
        source: store.backup,
        target: targetOf(given),
        to: recoveryPublicKeyIn(settings.recoveryKey),
        clock,
        random,
        pace: new Pace(clock, settings.mibPerSecond * mebibyte),
        signHead: (tree) => this.#signed(tree),
        signal: AbortSignal.any([this.#stop.signal, ...(signal === undefined ? [] : [signal])]),
        onProgress,
      });
      const { name: backup, lsn, newBytes, repairedPages } = created;
      const facts = { backup, lsn, newBytes, repairedPages };
      await this.#remember({ ...about, ok: true, seconds: seconds(), ...facts });
      if (to === undefined) await this.#afterwards("prune", () => this.#prune());
      return created;
    } catch (error) {
      if (this.#stop.signal.aborted) throw error;
      const failed = { ...about, ok: false, seconds: seconds(), ...reasonOf(error) };
      await this.#afterwards("remember", () => this.#remember(failed));
      throw error;
    }
  }

  async #signed({ size, root }: { size: number; root: Buffer }): Promise<string> {
    const { store, signer, clock } = this.#ports;
    const facts = { size, root, timeMs: clock.nowMs(), storeId: store.storeId };
    const text = formatHead({ origin: signer.origin, ...facts });
    return formatNote({ text, signatures: await signer.sign(text) });
  }

  async #prune(): Promise<Pruned> {
    const { settings, clock, events } = this.#ports;
    const keep = { days: settings.keepDays, count: settings.keepCount };
    const target = targetOf(settings);
    const pruned = await prune(target, keep, clock.nowMs());
    if (!pruned.ok) {
      throw new Misconfigured(
        `${target.title}: a backup that is to be kept cannot be read (${pruned.fault}): postern backup verify`,
      );
    }
    events.pruned(pruned.value.removedManifests, pruned.value.removedObjects);
    return pruned.value;
  }

  /** In the ledger first: what cannot be written there is not known to have been. */
  async #remember(act: Omit<BackupAct, "atMs"> & Pick<BackupAct, "kind">): Promise<void> {
    const { store, clock, events } = this.#ports;
    const whole = { ...act, atMs: clock.nowMs() } as BackupAct;
    await store.backup.write(whole);
    events.acted(whole);
  }

  async #afterwards(what: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#ports.events.leftUndone(what, error);
    }
  }

  async #look(): Promise<void> {
    const { settings, store, clock } = this.#ports;
    const { backup } = store;
    if (settings.target !== "" && !this.#stop.signal.aborted) {
      if (this.#isDue("backup", backup.lastBackup("good"), settings.everyHours * hourMs)) {
        await this.create("schedule").catch(() => undefined); // it is remembered, and told
      }
      const last = backup.lastDrill("good");
      if (settings.drillKeyFile !== "" && this.#isDue("drill", last, settings.drillDays * dayMs)) {
        await this.#afterwards("drill", () => this.#drill());
      }
    }
    if (!this.#stop.signal.aborted) this.#timer = clock.after(lookMs, () => void this.#look());
  }

  /** A clock that was set back does not put it off. What failed waits a little longer than a look. */
  #isDue(what: "backup" | "drill", last: BackupAct | undefined, everyMs: number): boolean {
    const nowMs = this.#ports.clock.nowMs();
    const sinceMs = nowMs - (last?.atMs ?? Number.NEGATIVE_INFINITY);
    const triedMs = nowMs - (this.#tried.get(what) ?? Number.NEGATIVE_INFINITY);
    const againMs = what === "backup" ? hourMs : dayMs;
    const isDue = sinceMs < 0 || sinceMs >= everyMs;
    if (!isDue || (triedMs >= 0 && triedMs < Math.min(againMs, everyMs))) return false;
    this.#tried.set(what, nowMs);
    return true;
  }

  async #drill(): Promise<void> {
    const { settings, signer, store } = this.#ports;
    const name = store.backup.lastBackup("good")?.backup;
    if (name === undefined) return;
    mkdirSync(settings.drillFolder, { recursive: true, mode: 0o700 });
    const job = {
      target: settings,
      name,
      keyFile: settings.drillKeyFile,
      folder: settings.drillFolder,
      messages: drillMessages,
      logKeys: signer.keys.map(formatNoteKey),
    };
    const { signal } = this.#stop;
    const report = await drillAside(job, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      const seconds = { restore: 0, rebuild: 0, read: 0, all: 0 };
      return { ok: false, backup: name, seconds, messages: 0, ...reasonOf(error) };
    });
    await this.drilled(report, "schedule");
  }
}

/** For the ledger, which keeps it for ever: short, and without names. */
function reasonOf(error: unknown): { reason?: string } {
  if (error === undefined) return {};
  const text = error instanceof Error ? error.message : String(error);
  return { reason: text.slice(0, maxReason) };
}

/** Paths that are left out of the configuration, and those that begin in the hub's folder. */
export function completeBackupSettings(given: BackupSettings, hubFolder: string): BackupSettings {
  const inHub = (path: string): string => (path === "" ? "" : resolve(hubFolder, path));
  return {
    ...given,
    credentialsFile: inHub(given.credentialsFile),
    caFile: inHub(given.caFile),
    drillKeyFile: inHub(given.drillKeyFile),
    recoveryKey: inHub(given.recoveryKey || "recovery.pub"),
    drillFolder: inHub(given.drillFolder || "drills"),
  };
}
