/** What was seen and is to be reported: counted in memory, written down every few seconds, bounded. */

import type { Book } from "./book.ts";
import type { ReportEvents } from "./events.ts";

/** dmarc: messages by where they came from. tls: sessions by how they went. */
export type SeenKind = "dmarc" | "tls";

/** Ours. Who floods us with sources fills this much and no more. */
export interface SeenLimits {
  /** Of one domain on one day. */
  readonly rowsOfDomain: number;
  readonly rows: number;
  readonly inMemory: number;
}

const seenLimits: SeenLimits = { rowsOfDomain: 10_000, rows: 100_000, inMemory: 5000 };
/** In characters; with eight signatures of usual length it is a third. */
const maxRow = 3000;

/** What one report is made from. */
export interface SeenGroup {
  readonly day: number;
  readonly domain: string;
}

export interface SeenRows<Row> {
  readonly records: readonly (Row & { readonly count: number })[];
  /** What had no room. */
  readonly leftOut: number;
  /** As they lie in the file. */
  readonly rows: readonly SeenRow[];
}

export interface SeenRow {
  readonly row: string;
  readonly count: number;
}

interface Counted extends SeenGroup {
  readonly row: string;
  count: number;
}

/** The row of what had no room. */
const others = "";

/** @typeParam Row what is counted together, without its count */
export class Seen<Row extends object> {
  readonly #book: Book;
  readonly #kind: SeenKind;
  readonly #events: ReportEvents;
  readonly #limits: SeenLimits;
  #counts = new Map<string, Counted>();
  /** Rows in the file. */
  readonly #rows = new Map<string, number>();
  #allRows = 0;

  constructor(book: Book, kind: SeenKind, events: ReportEvents, limits: SeenLimits = seenLimits) {
    this.#book = book;
    this.#kind = kind;
    this.#events = events;
    this.#limits = limits;
    for (const { day, domain, rows } of book.all(
      "SELECT day, domain, count(*) AS rows FROM seen WHERE kind = ? GROUP BY day, domain",
      kind,
    ) as readonly (SeenGroup & { rows: number })[]) {
      this.#rows.set(keyOf(day, domain), rows);
      this.#allRows += rows;
    }
  }

  note({ day, domain }: SeenGroup, what: Row): void {
    const json = JSON.stringify(what);
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
    this.#book.run(
      "INSERT INTO seen VALUES (?, ?, ?, ?, ?)",
      ...[this.#kind, day, domain, row, count],
    );
    this.#rows.set(key, rows + 1);
    this.#allRows += 1;
  }

  #add({ day, domain, row, count }: Counted): boolean {
    const sql = `UPDATE seen SET count = count + ? ${ofGroup} AND row = ?`;
    return this.#book.run(sql, count, this.#kind, day, domain, row).changes > 0;
  }

  /** Those of whole days before the day, or of all, the oldest first. */
  groups(before: number): readonly SeenGroup[] {
    this.flush();
    return this.#book.all(
      `SELECT day, domain FROM seen WHERE kind = ? AND day < ? GROUP BY day, domain
        ORDER BY day, sum(count) DESC`,
      this.#kind,
      before,
    ) as readonly SeenGroup[];
  }

  /** The most frequent first. */
  rowsOf({ day, domain }: SeenGroup): SeenRows<Row> {
    const rows = this.#book.all(
      `SELECT row, count FROM seen ${ofGroup} ORDER BY count DESC, row`,
      this.#kind,
      day,
      domain,
    ) as readonly SeenRow[];
    return {
      rows,
      records: rows
        .filter(({ row }) => row !== others)
        .map(({ row, count }) => ({ ...(JSON.parse(row) as Row), count })),
      leftOut: rows.find(({ row }) => row === others)?.count ?? 0,
    };
  }

  /** Takes off what was reported; what came meanwhile stays. Call it within `together`. */
  takeOff({ day, domain }: SeenGroup, rows: readonly SeenRow[]): void {
    const group = [this.#kind, day, domain];
    for (const { row, count } of rows) {
      const sql = `UPDATE seen SET count = count - ? ${ofGroup} AND row = ?`;
      this.#book.run(sql, count, ...group, row);
    }
    const gone = this.#book.run(`DELETE FROM seen ${ofGroup} AND count <= 0`, ...group).changes;
    const key = keyOf(day, domain);
    const left = (this.#rows.get(key) ?? 0) - gone;
    if (left > 0) this.#rows.set(key, left);
    else this.#rows.delete(key);
    this.#allRows -= gone;
  }
}

const ofGroup = "WHERE kind = ? AND day = ? AND domain = ?";

function keyOf(day: number, domain: string): string {
  return `${day} ${domain}`;
}
