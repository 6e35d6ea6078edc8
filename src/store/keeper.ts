/** Looking after what lies on the disk: repair, second copy, parity, scrub, and what is remembered of them. */

import type { Clock } from "#base/clock";
import type { Log } from "#base/log";
import { type AffectedMessage, affectedBy } from "./affected.ts";
import { Checkpoints } from "./checkpoints.ts";
import type { DamagePlace } from "./damage.ts";
import type { StoreEvents } from "./events.ts";
import type { Ledger } from "./ledger.ts";
import { Maintenance } from "./maintenance.ts";
import { payloadBytes } from "./pages.ts";
import { draft } from "./records.ts";
import { Repair, type Repaired } from "./repair.ts";
import type { ScrubResult } from "./scrub.ts";
import { Scrubber } from "./scrubber.ts";
import { Sealer } from "./sealer.ts";
import type { Segments } from "./segments.ts";
import type { Supply, SupplyGuard } from "./supply.ts";
import { TailCopy } from "./tail-copy.ts";
import type { Views } from "./views.ts";

const dayMs = 86_400_000;
/** DESIGN: the background scrub reads no faster, unless a week would not do. */
export const scrubBytesPerSecond: number = 5 * 1024 * 1024;

/** A finding of the scrub, with the mail on it. */
export interface Finding extends Omit<DamagePlace, "messages"> {
  readonly foundAtMs: number;
  readonly mail: readonly AffectedMessage[];
}

/** How the store's own octets do. */
export interface StoreHealth {
  /** Pages that were put right, since the beginning and in the last seven days. */
  readonly repaired: number;
  readonly repairedThisWeek: number;
  /** Since the beginning, by what they were made good from. */
  readonly repairedBy: Readonly<Record<Repaired["how"], number>>;
  /** The newest of them. */
  readonly repairs: readonly (Repaired & { readonly atMs: number })[];
  /** What this process found beyond repair. What an earlier one found is read again at once. */
  readonly damaged: readonly Finding[];
  readonly segments: number;
  /** Of those, read whole and found sound, or made so, within the last seven days. */
  readonly scrubbedThisWeek: number;
  /** When the segment that has waited longest was read; undefined while one never was. */
  readonly oldestScrubMs?: number;
  /** Segments that are no longer written and have no parity yet. */
  readonly withoutParity: number;
}

interface KeeperParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly events: StoreEvents;
}

interface Opened {
  readonly ledger: Ledger;
  readonly views: Views;
  readonly supply: Supply;
}

export class Keeper {
  readonly maintenance: Maintenance = new Maintenance();
  readonly repair: Repair;
  readonly #segments: Segments;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #events: StoreEvents;
  #sealer: Sealer | undefined;
  #scrubber: Scrubber | undefined;
  #checkpoints: Checkpoints | undefined;
  #opened: Opened | undefined;
  /** Put right before there was a ledger to say so in. */
  #early: Repaired[] = [];
  readonly #damaged = new Map<string, Finding>();

  constructor(segments: Segments, { clock, log, events }: KeeperParts) {
    this.#segments = segments;
    this.#clock = clock;
    this.#log = log;
    this.#events = events;
    this.repair = new Repair(segments, (repaired) => this.#repaired(repaired));
    segments.repair = this.repair;
  }

  /** For the supply, once it is known where writing goes on. */
  guard(at: { readonly segment: number; readonly generation: number }): SupplyGuard {
    const parts = { clock: this.#clock, log: this.#log };
    const segments = this.#segments;
    const sealer = new Sealer({ ...parts, segments, maintenance: this.maintenance }, at);
    this.#sealer = sealer;
    return {
      copy: (segment, pages) => new TailCopy(segments, parts, segment, pages),
      left: (segment, pages, copied) => sealer.seal(segment, pages, copied),
    };
  }

  get sealer(): Sealer {
    if (this.#sealer === undefined) throw new Error("the keeper guards nothing yet");
    return this.#sealer;
  }

  /** @param bytesPerSecond of the background scrub */
  start(opened: Opened, bytesPerSecond: number): void {
    this.#opened = opened;
    for (const one of this.#early.splice(0)) this.#writeDown(one);
    const { views, supply } = opened;
    this.#checkpoints = Checkpoints.of(views, this.#log);
    this.#scrubber = new Scrubber({
      segments: this.#segments,
      repair: this.repair,
      sealer: this.sealer,
      maintenance: this.maintenance,
      clock: this.#clock,
      log: this.#log,
      bytesPerSecond,
      open: () => ({ segment: supply.segment, pages: supply.page, copied: supply.copied }),
      lastScrubbedMs: (segment) =>
        views.get("SELECT at_ms FROM scrub WHERE segment = ?", segment)?.["at_ms"] as
          | number
          | undefined,
      finished: (result) => this.#finished(result),
    });
  }

  /** Everything now, without a limit unless one is given. */
  scrub(options: Parameters<Scrubber["scrubNow"]>[0]): AsyncGenerator<ScrubResult> {
    if (this.#scrubber === undefined) throw new Error("the store is not open yet");
    return this.#scrubber.scrubNow(options);
  }

  async health(views: Views): Promise<StoreHealth> {
    const since = this.#clock.nowMs() - 7 * dayMs;
    const count = (sql: string): number => views.get(sql, since)?.["rows"] as number;
    const segments = (await this.#segments.numbers()).filter(
      (number) => number <= (this.#opened?.supply.segment ?? 0),
    );
    const sealed = new Set(await this.#segments.numbers("parity"));
    const open = this.#opened?.supply.segment;
    const oldestMs = oldestOf(views, segments);
    return {
      repaired: views.get("SELECT count(*) AS rows FROM repair")?.["rows"] as number,
      repairedThisWeek: count("SELECT count(*) AS rows FROM repair WHERE at_ms >= ?"),
      repairedBy: repairedBy(views),
      repairs: views
        .all("SELECT * FROM repair ORDER BY seq DESC LIMIT 20")
        .map((row) => JSON.parse(row["json"] as string)),
      damaged: [...this.#damaged.values()],
      segments: segments.length,
      scrubbedThisWeek: count("SELECT count(*) AS rows FROM scrub WHERE at_ms >= ?"),
      ...(oldestMs !== undefined && { oldestScrubMs: oldestMs }),
      withoutParity: segments.filter((one) => one !== open && !sealed.has(one)).length,
    };
  }

  /** Ends the scrub; parity is still made of what is left. */
  async rest(): Promise<void> {
    await this.#scrubber?.close();
  }

  /** When nothing is written any more. */
  async close(): Promise<void> {
    await this.#sealer?.close();
    await this.#checkpoints?.[Symbol.asyncDispose]();
  }

  #repaired(one: Repaired): void {
    this.#log.write("warn", "store.repaired", { ...one });
    this.#events.repaired(one);
    if (this.#opened === undefined) this.#early.push(one);
    else this.#writeDown(one);
  }

  #writeDown(one: Repaired): void {
    this.#opened?.ledger.later(draft({ kind: "repaired", atMs: this.#clock.nowMs(), ...one }));
  }

  #finished({ segment, pages, repaired, damaged }: ScrubResult): void {
    const atMs = this.#clock.nowMs();
    const views = this.#opened?.views;
    for (const [key, { file }] of this.#damaged) {
      if (Number(file.slice(-8)) === segment) this.#damaged.delete(key);
    }
    for (const { messages: _none, ...place } of damaged) {
      const at = place.page * payloadBytes;
      const isSegment = place.file.startsWith("segment");
      const mail = isSegment && views ? affectedBy(views, segment, at, at + payloadBytes) : [];
      const finding = { ...place, foundAtMs: atMs, mail };
      this.#damaged.set(`${place.file} ${place.page}`, finding);
      const messages = mail.map((one) => one.message).join(" ");
      if (messages !== "") this.#log.write("error", "store.mail-damaged", { ...place, messages });
    }
    const counts = { pages, repaired: repaired.length, damaged: damaged.length };
    this.#log.write("info", "store.scrubbed", { segment, ...counts });
    this.#opened?.ledger.later(draft({ kind: "scrubbed", atMs, segment, ...counts }));
  }
}

function repairedBy(views: Views): StoreHealth["repairedBy"] {
  const sql =
    "SELECT json_extract(json, '$.how') AS how, count(*) AS rows FROM repair GROUP BY how";
  const rows = views.all(sql).map(({ how, rows: count }) => [how, count] as const);
  return { bit: 0, copy: 0, parity: 0, ...Object.fromEntries(rows) };
}

function oldestOf(views: Views, segments: readonly number[]): number | undefined {
  const times = new Map(
    views.all("SELECT * FROM scrub").map((row) => [row["segment"], row["at_ms"]]),
  );
  const found = segments.map((segment) => times.get(segment) as number | undefined);
  return found.includes(undefined) ? undefined : Math.min(...(found as number[]));
}
