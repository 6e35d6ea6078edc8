/** The views: one SQLite database with everything readers ask for, made from the ledger alone. */

import { renameSync, rmSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { Unavailable } from "#base/errors";
import { Holders } from "./holders.ts";
import type { StoreKeys } from "./store-keys.ts";

/** Raised with every change of the tables or of what a record does to them. */
export const schemaVersion = 9;

const schema = `
CREATE TABLE watermark (
  one INTEGER PRIMARY KEY CHECK (one = 1), store TEXT, generation INTEGER, segment INTEGER,
  page INTEGER, lsn INTEGER, tree BLOB);
-- Hashes of the history's tree, 256 in a row.
CREATE TABLE tile (
  level INTEGER, number INTEGER, hashes BLOB, PRIMARY KEY (level, number)) WITHOUT ROWID;
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;
-- Sealed under the key of the views: whatever people wrote or are called.
CREATE TABLE domain (name BLOB PRIMARY KEY, json BLOB) WITHOUT ROWID;
CREATE TABLE account (
  id TEXT PRIMARY KEY, json BLOB, first_mod_seq INTEGER, address BLOB) WITHOUT ROWID;
CREATE INDEX account_by_address ON account (address);
-- What proves who somebody is besides the password.
CREATE TABLE factor (account TEXT PRIMARY KEY, json BLOB) WITHOUT ROWID;
CREATE TABLE alias (address BLOB PRIMARY KEY, json BLOB) WITHOUT ROWID;
CREATE TABLE mailbox (
  number INTEGER PRIMARY KEY, account TEXT NOT NULL, name BLOB, role TEXT, subscribed INTEGER,
  uid_validity INTEGER, uid_next INTEGER, mod_seq INTEGER, messages INTEGER,
  unseen INTEGER, deleted INTEGER, size INTEGER);
CREATE INDEX mailbox_of_account ON mailbox (account);
-- Names that mailboxes gave up, with the highest validity that one of them had.
CREATE TABLE freed_name (
  account TEXT, name BLOB, uid_validity INTEGER, PRIMARY KEY (account, name)) WITHOUT ROWID;
CREATE TABLE message (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL, status TEXT, content BLOB, segment INTEGER,
  json_at INTEGER, json_bytes INTEGER, head_bytes INTEGER, size INTEGER, at_ms INTEGER,
  direction TEXT, facts BLOB);
CREATE UNIQUE INDEX message_by_id ON message (id);
CREATE INDEX message_of_content ON message (content) WHERE content IS NOT NULL;
-- Octets of contents, by the record that has them; without the parts that compaction took out.
-- Nothing is left of a content that is NULL here.
CREATE TABLE blob (
  seq INTEGER PRIMARY KEY, segment INTEGER, at INTEGER, bytes INTEGER, content BLOB);
CREATE INDEX blob_of_segment ON blob (segment);
-- How often each was compacted, without those that never were: places above are of that revision.
CREATE TABLE segment (number INTEGER PRIMARY KEY, revision INTEGER);
CREATE TABLE content (
  id BLOB PRIMARY KEY, size INTEGER, name BLOB, parts TEXT, part_bytes INTEGER) WITHOUT ROWID;
CREATE UNIQUE INDEX content_by_name ON content (name);
CREATE INDEX content_without_name ON content (id) WHERE name IS NULL;
CREATE TABLE content_key (
  content BLOB, holder TEXT, epoch INTEGER, sealed TEXT, PRIMARY KEY (content, holder)) WITHOUT ROWID;
CREATE INDEX content_key_of_epoch ON content_key (epoch);
CREATE TABLE ended_epoch (epoch INTEGER PRIMARY KEY);
CREATE TABLE holder_key (holder TEXT PRIMARY KEY, epoch INTEGER, sealed TEXT) WITHOUT ROWID;
-- Flags of IMAP itself say nothing of the mail; keywords, which people choose, are sealed.
CREATE TABLE entry (
  mailbox INTEGER, uid INTEGER, mod_seq INTEGER, flags TEXT, keywords BLOB, received_ms INTEGER,
  message INTEGER, size INTEGER, entered_ms INTEGER, PRIMARY KEY (mailbox, uid)) WITHOUT ROWID;
CREATE INDEX entry_by_change ON entry (mailbox, mod_seq);
CREATE INDEX entry_by_message ON entry (message);
CREATE TABLE expunged (
  mailbox INTEGER, mod_seq INTEGER, uid INTEGER, message INTEGER,
  PRIMARY KEY (mailbox, mod_seq, uid)) WITHOUT ROWID;
CREATE TABLE retention (
  account TEXT, mailbox BLOB, json BLOB, PRIMARY KEY (account, mailbox)) WITHOUT ROWID;
CREATE TABLE hold (account TEXT PRIMARY KEY, json BLOB) WITHOUT ROWID;
-- What was expunged of accounts on hold. Rows of mail that was destroyed before the hold stay.
CREATE TABLE withheld (
  mailbox INTEGER, uid INTEGER, message INTEGER, account TEXT, expunged_ms INTEGER,
  PRIMARY KEY (mailbox, uid)) WITHOUT ROWID;
CREATE INDEX withheld_of_account ON withheld (account, mailbox, uid);
CREATE INDEX withheld_by_message ON withheld (message);
CREATE TABLE read_by_other (seq INTEGER PRIMARY KEY, account TEXT, at_ms INTEGER, json BLOB);
CREATE INDEX read_of_account ON read_by_other (account, seq);
CREATE TABLE backup_act (seq INTEGER PRIMARY KEY, kind TEXT, ok INTEGER, backup TEXT, json BLOB);
CREATE INDEX backup_act_of_backup ON backup_act (backup);
-- Keyed hashes of an account and an address; wrote: the account has sent mail there.
CREATE TABLE contact (
  account TEXT, hash BLOB, wrote INTEGER, PRIMARY KEY (account, hash)) WITHOUT ROWID;
CREATE TABLE maintained (work TEXT PRIMARY KEY, at_ms INTEGER) WITHOUT ROWID;
-- Records that moved, copied or removed a message after it came.
CREATE TABLE act (message INTEGER, seq INTEGER, PRIMARY KEY (message, seq)) WITHOUT ROWID;
CREATE TABLE repair (seq INTEGER PRIMARY KEY, at_ms INTEGER, json TEXT);
-- When each was read and found sound, or made so.
CREATE TABLE scrub (segment INTEGER PRIMARY KEY, at_ms INTEGER);
CREATE TABLE queue (
  id TEXT PRIMARY KEY, message INTEGER, state TEXT, next_ms INTEGER, queued_ms INTEGER,
  attempts INTEGER, domain BLOB, delay_ms INTEGER, item BLOB, last BLOB, held BLOB) WITHOUT ROWID;
CREATE INDEX queue_due ON queue (domain, next_ms, queued_ms) WHERE state = 'waiting';
CREATE INDEX queue_by_state ON queue (state, queued_ms);
CREATE INDEX queue_of_domain ON queue (domain, queued_ms);
CREATE INDEX queue_of_message ON queue (message);
-- A step of a trace, or a try, from which its step is made.
CREATE TABLE step (seq INTEGER PRIMARY KEY, message INTEGER, json BLOB);
CREATE INDEX step_of_message ON step (message);
-- Not in the ledger and not restored by a rebuild: made again when asked for.
CREATE TABLE description (message INTEGER PRIMARY KEY, json BLOB);
`;

const maxOpened = 1000;

export interface Watermark {
  readonly store: string;
  /** Place and number of the last batch that is in the views. */
  readonly generation: number;
  readonly segment: number;
  readonly page: number;
  /** Sequence number of the next record. */
  readonly lsn: number;
  /** The tree of everything in the views. */
  readonly tree: Uint8Array;
}

export type Row = Readonly<Record<string, SQLInputValue>>;

export class Views {
  readonly db: DatabaseSync;
  readonly keys: StoreKeys;
  readonly holders: Holders;
  /** Places that the rows do not have yet, by segment and sequence number. */
  readonly moving: Map<number, ReadonlyMap<number, number>> = new Map();
  readonly #statements = new Map<string, StatementSync>();
  /** Texts that many rows have, by what is sealed of them. */
  readonly #opened = new Map<string, string>();
  #committed: (() => void) | undefined;

  constructor(path: string, keys: StoreKeys) {
    this.keys = keys;
    this.holders = new Holders(this, keys);
    this.db = new DatabaseSync(path, { timeout: 5000 });
    if (path === ":memory:") return;
    // NORMAL in WAL mode syncs at checkpoints only. A power cut may take the last transactions,
    // which the ledger holds, but leaves a sound database; OFF would not promise that.
    this.db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
      PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY;
      PRAGMA secure_delete = FAST;`);
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
      "INSERT OR REPLACE INTO watermark VALUES (1, ?, ?, ?, ?, ?, ?)",
      mark.store,
      mark.generation,
      mark.segment,
      mark.page,
      mark.lsn,
      mark.tree,
    );
  }

  /** Where a record or a blob stands now, whatever its row says. To be read at once. */
  placeOf(segment: number, seq: number, at: number): number {
    return this.moving.get(segment)?.get(seq) ?? at;
  }

  seal(value: unknown): Buffer {
    return this.keys.sealText(JSON.stringify(value));
  }

  /** What was sealed there: whoever reads a column knows its type. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  open<Value>(sealed: SQLInputValue | undefined): Value {
    return JSON.parse(this.keys.openText(sealed as Uint8Array)) as Value;
  }

  /** For columns with few different texts: keeps what was opened. */
  openOften(sealed: Uint8Array): string {
    const key = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength).toString("latin1");
    const known = this.#opened.get(key);
    if (known !== undefined) return known;
    const text = this.keys.openText(sealed);
    if (this.#opened.size >= maxOpened) this.#opened.clear();
    this.#opened.set(key, text);
    return text;
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
    this.#committed?.();
  }

  /**
   * Leaves it to somebody else to write the log back while it is shorter than that.
   *
   * @param committed called after each transaction
   */
  checkpointAt(pages: number, committed?: () => void): void {
    this.db.exec(`PRAGMA wal_autocheckpoint = ${pages}`);
    this.#committed = committed;
  }

  /** Of the log, in pages: what is not in the database yet. */
  logPages(): number {
    const { log, checkpointed } = this.get("PRAGMA wal_checkpoint(NOOP)") ?? {};
    return Number(log) - Number(checkpointed);
  }

  /** Everything into the one file, durably, so that it may be moved once it is closed. */
  writeOut(): void {
    const { busy } = this.db.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get() ?? {};
    if (busy !== 0) throw new Unavailable("the index could not be written");
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

/** Puts views that were closed in the place of others. A cut leaves the others, the new ones, or none. */
export function moveViews(from: string, to: string): void {
  // The log of the old ones must never meet the new ones.
  removeViews(to);
  renameSync(from, to);
}
