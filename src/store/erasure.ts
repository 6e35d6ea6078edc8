/** Erasing what nobody holds any more: what lives of an epoch is entered again, then its key goes. */

import type { Clock } from "#base/clock";
import type { Log } from "#base/log";
import { goneHolder } from "./apply-contents.ts";
import type { Contents } from "./contents.ts";
import type { Ledger } from "./ledger.ts";
import { type Draft, draft, draftBytes } from "./records.ts";
import { type Holder, queueHolder } from "./store-keys.ts";
import type { Row, Views } from "./views.ts";

/** Rows looked at before others get their turn. */
const sliceRows = 500;
/** Octets of drafts in one commit. */
const commitBytes = 256 * 1024;

export interface ErasureReport {
  /** Epochs whose keys were destroyed. */
  readonly epochs: number;
  /** Contents that nobody can read any more. */
  readonly contents: number;
  /** Contents that were entered again, because they shared an epoch with one that went. */
  readonly kept: number;
}

interface Parts {
  readonly views: Views;
  readonly ledger: Ledger;
  readonly contents: Contents;
  readonly clock: Clock;
  readonly log: Log;
}

export class Erasure {
  readonly #parts: Parts;
  #running: Promise<ErasureReport> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Destroys the keys of all that no mailbox and no queue holds. One run at a time. */
  run(): Promise<ErasureReport> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** A stop between the last record of an epoch and the end of its key is made up for. */
  async finish(): Promise<void> {
    const { views } = this.#parts;
    for (const { epoch } of views.all("SELECT epoch FROM ended_epoch")) {
      await views.keys.file.destroy(epoch as number);
    }
  }

  async #run(): Promise<ErasureReport> {
    const { views, ledger, contents, clock, log } = this.#parts;
    const { file } = views.keys;
    const before = await this.#withDeadKeys();
    if (before.length === 0) return { epochs: 0, contents: 0, kept: 0 };
    if (before.includes(file.epoch)) await file.nextEpoch();
    for (const epoch of before) contents.ending.add(epoch);
    const counted = views.get("SELECT count(*) AS rows FROM content")?.["rows"] as number;
    let kept = 0;
    try {
      // What was on its way when these epochs still counted is in the views behind this.
      await ledger.settled();
      for (const epoch of before) {
        kept += await this.#enterAgain(epoch);
        const end = draft({ kind: "epoch-ended", epoch, atMs: clock.nowMs() });
        await ledger.commit(draftBytes(end), false, () => ({ drafts: [end], value: undefined }));
        await file.destroy(epoch);
      }
    } finally {
      for (const epoch of before) contents.ending.delete(epoch);
    }
    const left = views.get("SELECT count(*) AS rows FROM content")?.["rows"] as number;
    const report = { epochs: before.length, contents: Math.max(0, counted - left), kept };
    log.write("info", "store.erased", { ...report });
    return report;
  }

  /** Epochs with a key of somebody who holds the content no longer. */
  async #withDeadKeys(): Promise<number[]> {
    const { views } = this.#parts;
    const found: number[] = [];
    for (const epoch of views.keys.file.epochs) {
      if (await this.#hasDead(epoch)) found.push(epoch);
    }
    return found;
  }

  async #hasDead(epoch: number): Promise<boolean> {
    const { views } = this.#parts;
    if (views.get("SELECT 1 FROM ended_epoch WHERE epoch = ?", epoch) !== undefined) return false;
    for await (const row of this.#keysOf(epoch)) if (!this.#isHeld(row)) return true;
    return false;
  }

  async *#keysOf(epoch: number): AsyncGenerator<Row> {
    const sql = `SELECT content, holder FROM content_key WHERE epoch = ?
      AND (content, holder) > (?, ?) ORDER BY content, holder LIMIT ?`;
    let last: readonly [Uint8Array, string] = [Buffer.alloc(0), ""];
    for (;;) {
      const rows = this.#parts.views.all(sql, epoch, ...last, sliceRows);
      yield* rows;
      const end = rows.at(-1);
      if (end === undefined || rows.length < sliceRows) return;
      last = [end["content"] as Uint8Array, end["holder"] as string];
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #isHeld({ content, holder }: Row): boolean {
    const sql = holder === queueHolder ? heldByQueue : heldByAccount;
    const values = holder === queueHolder ? [content] : [content, holder];
    return this.#parts.views.get(sql, ...(values as (string | Uint8Array)[])) !== undefined;
  }

  /** @returns how many contents */
  async #enterAgain(epoch: number): Promise<number> {
    const { views } = this.#parts;
    const holders = new Map<string, { content: Buffer; holders: Holder[] }>();
    for await (const row of this.#keysOf(epoch)) {
      if (!this.#isHeld(row)) continue;
      const content = Buffer.from(row["content"] as Uint8Array);
      const key = content.toString("hex");
      const entry = holders.get(key) ?? { content, holders: [] };
      entry.holders.push(row["holder"] as string);
      holders.set(key, entry);
    }
    const sql = "SELECT holder FROM holder_key WHERE epoch = ? AND substr(holder, 1, ?) <> ?";
    const keys = views.all(sql, epoch, goneHolder.length, goneHolder);
    const makers: (() => Draft | undefined)[] = [
      ...keys.map(
        ({ holder }) =>
          () =>
            views.holders.again(holder as string),
      ),
      ...[...holders.values()].map((one) => () => this.#keptDraft(one)),
    ];
    await this.#commitAll(makers);
    return holders.size;
  }

  #keptDraft({ content, holders }: { content: Buffer; holders: Holder[] }): Draft | undefined {
    const { views, contents } = this.#parts;
    const row = views.get("SELECT * FROM content WHERE id = ?", content);
    const secret = views.holders.secretOf(content);
    if (row === undefined || secret === undefined) return undefined;
    return contents.keptDraft(row, secret, holders);
  }

  async #commitAll(makers: readonly (() => Draft | undefined)[]): Promise<void> {
    let drafts: Draft[] = [];
    let bytes = 0;
    const commit = async (): Promise<void> => {
      const now = drafts;
      await this.#parts.ledger.commit(bytes, false, () => ({ drafts: now, value: undefined }));
      drafts = [];
      bytes = 0;
    };
    for (const make of makers) {
      const one = make();
      if (one === undefined) continue;
      drafts.push(one);
      bytes += draftBytes(one);
      if (bytes >= commitBytes) await commit();
    }
    if (drafts.length > 0) await commit();
  }
}

const heldByAccount = `SELECT 1 FROM message m WHERE m.content = ?1 AND (
  EXISTS (SELECT 1 FROM entry e JOIN mailbox b ON b.number = e.mailbox
    WHERE e.message = m.seq AND b.account = ?2)
  OR EXISTS (SELECT 1 FROM withheld w WHERE w.message = m.seq AND w.account = ?2)) LIMIT 1`;
const heldByQueue = `SELECT 1 FROM message m JOIN queue q ON q.message = m.seq
  WHERE m.content = ? AND q.state IN ('waiting', 'held') LIMIT 1`;
