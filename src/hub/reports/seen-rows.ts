/** What was seen and is to be reported: counted in memory, written down every few seconds, bounded. */

import type { ReportRecord } from "#formats/dmarc-report";
import { type Book, dayOf } from "./book.ts";
import type { ReportEvents } from "./events.ts";
import { evidenceOf, type SeenMessage } from "./evidence.ts";

/** Ours. Who floods us with sources fills this much and no more. */
export interface SeenLimits {
  /** Of one domain on one day. */
  readonly rowsOfDomain: number;
  readonly rows: number;
  readonly inMemory: number;
}

export const seenLimits: SeenLimits = { rowsOfDomain: 10_000, rows: 100_000, inMemory: 5000 };
/** In characters; with eight signatures of usual length it is a third. */
const maxRow = 3000;

/** What one report is made from. */
export interface SeenGroup {
  readonly day: number;
  readonly domain: string;
}

export interface SeenRows {
  readonly records: readonly ReportRecord[];
  /** Messages from sources that had no room. */
  readonly leftOut: number;
  /** As they lie in the file. */
  readonly rows: readonly SeenRow[];
}

interface SeenRow {
  readonly row: string;
  readonly count: number;
}

interface Counted extends SeenGroup {
  readonly row: string;
  count: number;
}

/** The row of what had no room. */
const others = "";

export class Seen {
  readonly #book: Book;
  readonly #events: ReportEvents;
  readonly #limits: SeenLimits;
  #counts = new Map<string, Counted>();
  /** Rows in the file. */
  readonly #rows = new Map<string, number>();
  #allRows = 0;

  constructor(book: Book, events: ReportEvents, limits: SeenLimits = seenLimits) {
    this.#book = book;
    this.#events = events;
    this.#limits = limits;
    for (const { day, domain, rows } of book.all(
      "SELECT day, domain, count(*) AS rows FROM seen GROUP BY day, domain",
    ) as readonly (SeenGroup & { rows: number })[]) {
      this.#rows.set(keyOf(day, domain), rows);
      this.#allRows += rows;
    }
  }

  note(seen: SeenMessage): void {
    const evidence = evidenceOf(seen);
    if (evidence === undefined) return;
    const day = dayOf(seen.atMs);
    const domain = evidence.policyDomain;
    const json = JSON.stringify(evidence.row);
    const row = json.length > maxRow ? others : json;
    if (row === others) this.#events.leftOut(1);
    const key = `${keyOf(day, domain)} ${row}`;
    const counted = this.#counts.get(key);
    if (counted === undefined) this.#counts.set(key, { day, domain, row, count: 1 });
    else counted.count += 1;
    if (this.#counts.size >= this.#limits.inMemory) this.flush();
  }

  /** What cannot be written is let go: reports are no reason to hold memory for ever. */
  flush(): void {
    const counts = [...this.#counts.values()];
    this.#counts = new Map();
    if (counts.length === 0) return;
    try {
      this.#book.together(() => {
        for (const one of counts) this.#write(one);
      });
    } catch (error) {
      this.#events.failed("writing down what was seen", error);
    }
  }

  #write(counted: Counted): void {
    const { day, domain, row, count } = counted;
    if (this.#add(counted)) return;
    const key = keyOf(day, domain);
    const rows = this.#rows.get(key) ?? 0;
    const hasRoom = rows < this.#limits.rowsOfDomain && this.#allRows < this.#limits.rows;
    if (!hasRoom && row !== others) {
      this.#events.leftOut(count);
      return this.#write({ ...counted, row: others });
    }
    // Even the sums of domains are rows, and anybody can make up domains.
    if (!hasRoom && this.#allRows >= 2 * this.#limits.rows) return;
    this.#book.run("INSERT INTO seen VALUES (?, ?, ?, ?)", day, domain, row, count);
    this.#rows.set(key, rows + 1);
    this.#allRows += 1;
  }

  #add({ day, domain, row, count }: Counted): boolean {
    const sql = "UPDATE seen SET count = count + ? WHERE day = ? AND domain = ? AND row = ?";
    return this.#book.run(sql, count, day, domain, row).changes > 0;
  }

  /** Those of whole days before the day, or of all, the oldest first. */
  groups(before: number): readonly SeenGroup[] {
    this.flush();
    return this.#book.all(
      "SELECT day, domain FROM seen WHERE day < ? GROUP BY day, domain ORDER BY day, sum(count) DESC",
      before,
    ) as readonly SeenGroup[];
  }

  /** Most messages first. */
  rowsOf({ day, domain }: SeenGroup): SeenRows {
    const rows = this.#book.all(
      "SELECT row, count FROM seen WHERE day = ? AND domain = ? ORDER BY count DESC, row",
      day,
      domain,
    ) as readonly SeenRow[];
    return {
      rows,
      records: rows
        .filter(({ row }) => row !== others)
        .map(({ row, count }) => ({ ...(JSON.parse(row) as Omit<ReportRecord, "count">), count })),
      leftOut: rows.find(({ row }) => row === others)?.count ?? 0,
    };
  }

  /** Takes off what was reported; what came meanwhile stays. Call it within `together`. */
  takeOff({ day, domain }: SeenGroup, rows: readonly SeenRow[]): void {
    const where = "WHERE day = ? AND domain = ?";
    for (const { row, count } of rows) {
      const sql = `UPDATE seen SET count = count - ? ${where} AND row = ?`;
      this.#book.run(sql, count, day, domain, row);
    }
    const gone = this.#book.run(`DELETE FROM seen ${where} AND count <= 0`, day, domain).changes;
    const key = keyOf(day, domain);
    const left = (this.#rows.get(key) ?? 0) - gone;
    if (left > 0) this.#rows.set(key, left);
    else this.#rows.delete(key);
    this.#allRows -= gone;
  }
}

function keyOf(day: number, domain: string): string {
  return `${day} ${domain}`;
}
