/** What records do to contents and to the keys that open them. */

import type {
  ContentKeysRecord,
  ContentPartRecord,
  ContentParts,
  ContentRecord,
  EpochEndedRecord,
  HolderKeyRecord,
  KeptRecord,
} from "./content-records.ts";
import type { Place } from "./records.ts";
import type { Row, Views } from "./views.ts";

/** How the names of holders begin who were removed. */
export const goneHolder = "removed:";

type ContentsRecord =
  | ContentRecord
  | ContentPartRecord
  | ContentKeysRecord
  | KeptRecord
  | HolderKeyRecord
  | EpochEndedRecord;

export function applyContents(
  views: Views,
  record: ContentsRecord,
  place: Place,
  isHollow: boolean,
): void {
  switch (record.kind) {
    case "content":
      if (record.parts === undefined && !isHollow) addBlob(views, place);
      return applyContent(views, record, { records: [place.lsn], bytes: record.sizeBytes });
    case "content-part":
      if (!isHollow) addBlob(views, place);
      return;
    case "content-keys":
      return addKeys(views, record);
    case "kept":
      return applyContent(views, record, record.parts);
    case "holder-key":
      return applyHolderKey(views, record);
    case "epoch-ended":
      return applyEpochEnded(views, record);
  }
}

function addBlob(views: Views, place: Place): void {
  const { lsn, segment, jsonAt, jsonBytes, blobBytes } = place;
  const sql = "INSERT INTO blob VALUES (?, ?, ?, ?, NULL)";
  views.run(sql, lsn, segment, jsonAt + jsonBytes, blobBytes);
}

/** A content whose keys are destroyed is no content any more: its record is passed over. */
function applyContent(views: Views, record: ContentRecord | KeptRecord, parts: ContentParts): void {
  if (views.keys.file.isDestroyed(record.epoch)) return;
  // A holder's own key may have been entered again since: its new record comes later in the ledger.
  const name = views.holders.nameOf(record) ?? null;
  const { records, bytes } = record.parts ?? parts;
  const id = Buffer.from(record.id, "hex");
  // One that nobody can open any more lends its name to the one that comes in its place.
  views.run("UPDATE content SET name = NULL WHERE name = ? AND id <> ?", name, id);
  for (const lsn of records) views.run("UPDATE blob SET content = ? WHERE seq = ?", id, lsn);
  views.run(
    "INSERT OR IGNORE INTO content VALUES (?, ?, ?, ?, ?)",
    id,
    record.sizeBytes,
    name,
    JSON.stringify(records),
    bytes,
  );
  addKeys(views, record);
}

function addKeys(
  views: Views,
  { id, epoch, keys }: Pick<ContentKeysRecord, "id" | "epoch" | "keys">,
): void {
  if (views.keys.file.isDestroyed(epoch)) return;
  for (const [holder, sealed] of keys) {
    const sql = "INSERT OR REPLACE INTO content_key VALUES (?, ?, ?, ?)";
    views.run(sql, Buffer.from(id, "hex"), holder, epoch, sealed);
  }
}

function applyHolderKey(views: Views, record: HolderKeyRecord): void {
  if (views.keys.file.isDestroyed(record.epoch)) return;
  const { holder, epoch, sealed } = record;
  views.run("INSERT OR REPLACE INTO holder_key VALUES (?, ?, ?)", holder, epoch, sealed);
  for (const { id } of views.all(unnamedOf, holder)) {
    const secret = views.holders.secretOf(Buffer.from(id as Uint8Array));
    if (secret === undefined) continue;
    const sql = "UPDATE OR IGNORE content SET name = ? WHERE id = ?";
    views.run(sql, views.keys.nameOf(secret.sum), id as Uint8Array);
  }
}

const unnamedOf = `SELECT c.id FROM content c JOIN content_key k ON k.content = c.id
  WHERE c.name IS NULL AND k.holder = ?`;

function applyEpochEnded(views: Views, { epoch }: EpochEndedRecord): void {
  const ended = views.all("SELECT DISTINCT content FROM content_key WHERE epoch = ?", epoch);
  views.run("INSERT OR IGNORE INTO ended_epoch VALUES (?)", epoch);
  views.run("DELETE FROM content_key WHERE epoch = ?", epoch);
  views.run("DELETE FROM holder_key WHERE epoch = ?", epoch);
  dropKeyless(views, ended);
}

/**
 * The keys of a holder who is gone stay, under a name that nobody has, until the next erasure ends
 * their epochs: only that takes them out of the ledger too. A content may get another holder before.
 */
export function dropHolder(views: Views, holder: string, lsn: number): void {
  const gone = `${goneHolder}${lsn}:${holder}`;
  views.run("UPDATE content_key SET holder = ? WHERE holder = ?", gone, holder);
  views.run("UPDATE holder_key SET holder = ? WHERE holder = ?", gone, holder);
  views.holders.forget(holder);
}

function dropKeyless(views: Views, contents: readonly Row[]): void {
  for (const row of contents) {
    const content = row["content"] as Uint8Array;
    if (views.get("SELECT 1 FROM content_key WHERE content = ?", content) !== undefined) continue;
    const parts = views.get("SELECT parts FROM content WHERE id = ?", content)?.["parts"];
    if (typeof parts !== "string") continue;
    for (const lsn of JSON.parse(parts) as number[]) {
      views.run("UPDATE blob SET content = NULL WHERE seq = ?", lsn);
    }
    views.run("DELETE FROM content WHERE id = ?", content);
    views.run(
      "DELETE FROM description WHERE message IN (SELECT seq FROM message WHERE content = ?)",
      content,
    );
  }
}
