/** The file of the reports: one SQLite database, outside of the ledger; losing it loses no mail. */

import { renameSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import type { ReportEvents } from "./events.ts";

const version = 2;

/** Days are whole UTC days since 1970. */
const schema = `
-- What is to be reported: one row of a report each, as JSON without its count. The row "" counts
-- what had no room.
CREATE TABLE seen (
  kind TEXT, day INTEGER, domain TEXT, row TEXT, count INTEGER,
  PRIMARY KEY (kind, day, domain, row)) WITHOUT ROWID;
CREATE TABLE sent (
  id INTEGER PRIMARY KEY, kind TEXT, domain TEXT, begin_ms INTEGER, end_ms INTEGER,
  report_id TEXT, addresses TEXT, message TEXT, messages INTEGER, bytes INTEGER,
  at_ms INTEGER);
CREATE INDEX sent_of_domain ON sent (domain, end_ms);
CREATE INDEX sent_at ON sent (at_ms);
CREATE TABLE report (
  id INTEGER PRIMARY KEY, org TEXT, report_id TEXT, domain TEXT, begin_ms INTEGER, end_ms INTEGER,
  at_ms INTEGER, reporter TEXT, more TEXT, messages INTEGER, passed INTEGER, records INTEGER);
CREATE UNIQUE INDEX report_once ON report (domain, org, report_id);
CREATE INDEX report_by_end ON report (end_ms);
CREATE TABLE record (
  report INTEGER, source_ip TEXT, count INTEGER, disposition TEXT, dkim TEXT, spf TEXT,
  header_from TEXT, envelope_from TEXT, more TEXT);
CREATE INDEX record_of_report ON record (report);
CREATE TABLE feedback (
  id INTEGER PRIMARY KEY, at_ms INTEGER, reporter TEXT, type TEXT, domain TEXT, source_ip TEXT,
  more TEXT);
CREATE INDEX feedback_at ON feedback (at_ms);
CREATE TABLE tls_report (
  id INTEGER PRIMARY KEY, org TEXT, report_id TEXT, domain TEXT, begin_ms INTEGER, end_ms INTEGER,
  at_ms INTEGER, reporter TEXT, contact TEXT, successes INTEGER, failures INTEGER, more TEXT);
CREATE UNIQUE INDEX tls_report_once ON tls_report (domain, org, report_id);
CREATE INDEX tls_report_by_end ON tls_report (end_ms);
CREATE TABLE tls_failure (
  report INTEGER, result TEXT, sessions INTEGER, sending_ip TEXT, receiving_host TEXT,
  receiving_ip TEXT, reason TEXT);
CREATE INDEX tls_failure_of_report ON tls_failure (report);
CREATE TABLE unread (day INTEGER, why TEXT, count INTEGER, PRIMARY KEY (day, why)) WITHOUT ROWID;
`;

export class Book implements Disposable {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  run(sql: string, ...values: readonly SQLInputValue[]): { changes: number; rowId: number } {
    const { changes, lastInsertRowid } = this.#prepared(sql).run(...values);
    return { changes: Number(changes), rowId: Number(lastInsertRowid) };
  }

  /** Rows as the statement names their columns. */
  all(sql: string, ...values: readonly SQLInputValue[]): readonly unknown[] {
    return this.#prepared(sql)
      .all(...values)
      .map((row) => ({ ...row }));
  }

  get(sql: string, ...values: readonly SQLInputValue[]): unknown {
    const row = this.#prepared(sql).get(...values);
    return row === undefined ? undefined : { ...row };
  }

  /** All of it or nothing. */
  together<Value>(work: () => Value): Value {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const value = work();
      this.#db.exec("COMMIT");
      return value;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** A file that cannot be read is put aside under another name: mail must flow without reports. */
export function openBook(path: string, nowMs: number, events: ReportEvents): Book {
  try {
    return opened(path);
  } catch (error) {
    const aside = `${path}.${nowMs}.unreadable`;
    renameSync(path, aside);
    events.bookPutAside(aside, error);
    return opened(path);
  }
}

function opened(path: string): Book {
  const db = new DatabaseSync(path, { timeout: 5000 });
  try {
    // NORMAL in WAL mode: a power cut may take the last seconds, and leaves a sound database.
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -4096;");
    const found = db.prepare("PRAGMA user_version").get()?.["user_version"];
    if (found === 0) {
      db.exec(`BEGIN IMMEDIATE; ${schema} PRAGMA user_version = ${version}; COMMIT;`);
    } else if (found !== version) throw new Error(`its version is ${String(found)}`);
    return new Book(db);
  } catch (error) {
    db.close();
    throw error;
  }
}

export const dayMs = 86_400_000;

export function dayOf(atMs: number): number {
  return Math.floor(atMs / dayMs);
}
