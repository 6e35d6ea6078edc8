/** The views: one SQLite database with everything readers ask for, made from the ledger alone. */

import { rmSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";

/** Raised with every change of the tables or of what a record does to them. */
export const schemaVersion = 1;

const schema = `
CREATE TABLE watermark (
  one INTEGER PRIMARY KEY CHECK (one = 1), store TEXT, generation INTEGER, segment INTEGER,
  page INTEGER, lsn INTEGER);
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;
CREATE TABLE domain (name TEXT PRIMARY KEY, json TEXT) WITHOUT ROWID;
CREATE TABLE account (id TEXT PRIMARY KEY, json TEXT) WITHOUT ROWID;
CREATE TABLE alias (address TEXT PRIMARY KEY, json TEXT) WITHOUT ROWID;
CREATE TABLE mailbox (
  number INTEGER PRIMARY KEY, account TEXT NOT NULL, name TEXT, role TEXT, subscribed INTEGER,
  uid_validity INTEGER, uid_next INTEGER, mod_seq INTEGER, messages INTEGER,
  unseen INTEGER, deleted INTEGER, size INTEGER);
CREATE INDEX mailbox_of_account ON mailbox (account);
CREATE TABLE message (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL, status TEXT, content BLOB, segment INTEGER,
  json_at INTEGER, json_bytes INTEGER, head_bytes INTEGER, size INTEGER, at_ms INTEGER,
  direction TEXT, sender TEXT, recipients TEXT, message_id TEXT);
CREATE UNIQUE INDEX message_by_id ON message (id);
CREATE TABLE content (
  id BLOB PRIMARY KEY, size INTEGER, segment INTEGER, at INTEGER, extents TEXT) WITHOUT ROWID;
CREATE TABLE entry (
  mailbox INTEGER, uid INTEGER, mod_seq INTEGER, flags TEXT, received_ms INTEGER, message INTEGER,
  size INTEGER, PRIMARY KEY (mailbox, uid)) WITHOUT ROWID;
CREATE INDEX entry_by_change ON entry (mailbox, mod_seq);
CREATE INDEX entry_by_message ON entry (message);
CREATE TABLE expunged (
  mailbox INTEGER, mod_seq INTEGER, uid INTEGER, message INTEGER,
  PRIMARY KEY (mailbox, mod_seq, uid)) WITHOUT ROWID;
CREATE TABLE queue (
  id TEXT PRIMARY KEY, message INTEGER, state TEXT, next_ms INTEGER, queued_ms INTEGER,
  attempts INTEGER, domain TEXT, delay_ms INTEGER, item TEXT, last TEXT) WITHOUT ROWID;
CREATE INDEX queue_due ON queue (next_ms) WHERE state = 'waiting';
CREATE INDEX queue_by_state ON queue (state, queued_ms);
CREATE INDEX queue_of_message ON queue (message);
CREATE TABLE step (seq INTEGER PRIMARY KEY, message INTEGER, json TEXT);
CREATE INDEX step_of_message ON step (message);
-- Not in the ledger and not restored by a rebuild: made again when asked for.
CREATE TABLE description (message INTEGER PRIMARY KEY, json TEXT);
`;

export interface Watermark {
  readonly store: string;
  /** Place and number of the last batch that is in the views. */
  readonly generation: number;
  readonly segment: number;
  readonly page: number;
  /** Sequence number of the next record. */
  readonly lsn: number;
}

export type Row = Readonly<Record<string, SQLInputValue>>;

export class Views {
  readonly db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(path: string) {
    this.db = new DatabaseSync(path, { timeout: 5000 });
    if (path === ":memory:") return;
    // NORMAL in WAL mode syncs at checkpoints only. A power cut may take the last transactions,
    // which the ledger holds, but leaves a sound database; OFF would not promise that.
    this.db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
      PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY;`);
  }

  /** Undefined unless the tables are of this version and were filled. */
  watermark(): Watermark | undefined {
    const version = this.db.prepare("PRAGMA user_version").get()?.["user_version"];
    if (version !== schemaVersion) return undefined;
    return this.get("SELECT * FROM watermark") as unknown as Watermark | undefined;
  }

  makeTables(): void {
    this.db.exec(schema);
    this.db.exec(`PRAGMA user_version = ${schemaVersion}`);
  }

  setWatermark(mark: Watermark): void {
    this.run(
      "INSERT OR REPLACE INTO watermark VALUES (1, ?, ?, ?, ?, ?)",
      mark.store,
      mark.generation,
      mark.segment,
      mark.page,
      mark.lsn,
    );
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#statement(sql).get(...values) as Row | undefined;
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#statement(sql).all(...values) as Row[];
  }

  /** Rows changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#statement(sql).run(...values).changes);
  }

  transaction(work: () => void): void {
    this.#statement("BEGIN").run();
    try {
      work();
      this.#statement("COMMIT").run();
    } catch (error) {
      if (this.db.isTransaction) this.db.exec("ROLLBACK");
      throw error;
    }
  }

  close(): void {
    this.#statements.clear();
    this.db.close();
  }

  /** Texts are constants of this room, so the map stays small. */
  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

export function removeViews(path: string): void {
  if (path === ":memory:") return;
  for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
}
