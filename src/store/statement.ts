/** What the history says of a record in public: shown in a proof, and until then only its hash. */

import { hash } from "node:crypto";
import { hex } from "#base/bytes";
import { keyedHash } from "./cipher.ts";
import { commitmentBytes, type LedgerRecord } from "./records.ts";
import type { StoreKeys } from "./store-keys.ts";

/** Kinds that say nothing of what people did. */
const silent: ReadonlySet<LedgerRecord["kind"]> = new Set([
  "made",
  "closed",
  "content",
  "content-part",
  "content-keys",
  "kept",
  "holder-key",
  "scrubbed",
  "repaired",
]);

const noCommitment = Buffer.alloc(commitmentBytes);

export function commitmentOf(keys: StoreKeys, record: LedgerRecord, lsn: number): Buffer {
  const statement = statementOf(keys, record, lsn);
  return statement === undefined ? noCommitment : hash("sha256", statement, "buffer");
}

/** JSON with its fields in a fixed order. @returns undefined for a record that says nothing */
export function statementOf(
  keys: StoreKeys,
  record: LedgerRecord,
  lsn: number,
): string | undefined {
  if (silent.has(record.kind)) return undefined;
  const { kind, ...facts } = said(record);
  return JSON.stringify({ v: 1, seq: lsn, act: kind, ...facts, salt: hex(keys.saltOf(lsn)) });
}

type Said = { readonly kind: string } & Readonly<Record<string, unknown>>;

/** The record without what would name people or repeat their words. */
function said(record: LedgerRecord): Said {
  switch (record.kind) {
    case "accepted":
      return {
        kind: record.kind,
        atMs: record.acceptedAtMs,
        message: record.id,
        digest: record.digest,
        deliveries: record.deliveries.map(({ account, mailbox, uid }) => [account, mailbox, uid]),
        ...(record.connection.tls && { tls: record.connection.tls }),
      };
    case "appended": {
      const { account, mailbox, uid } = record.delivery;
      return {
        kind: record.kind,
        atMs: record.atMs,
        message: record.id,
        digest: record.digest,
        deliveries: [[account, mailbox, uid]],
      };
    }
    case "attempted": {
      // How the hop was protected is what such a proof is for; the remote's words are not ours to tell.
      const { atMs, outcome, connector, remote, tls } = record.attempt;
      return {
        kind: record.kind,
        atMs,
        item: record.item,
        outcome,
        ...(connector !== undefined && { connector }),
        remote,
        ...(tls && { tls }),
      };
    }
    case "refused":
      return { kind: record.kind, atMs: record.refusal.atMs, message: record.refusal.id };
    default:
      return { kind: record.kind, ...chosen(record) };
  }
}

/** Fields that say what was done to what, when and by whom, and nothing of what people wrote. */
const plain = [
  "atMs",
  "by",
  "account",
  "mailbox",
  "modSeq",
  "uids",
  "sets",
  "mode",
  "to",
  "firstUid",
  "count",
  "message",
  "item",
  "epoch",
  "name",
  "address",
];

function chosen(record: object): Record<string, unknown> {
  const fields = Object.entries(record).filter(([name]) => plain.includes(name));
  return Object.fromEntries(fields);
}

/**
 * A message's mark in the history: hash of salt ‖ hash of the head ‖ hash of the content. The salt
 * comes from the content's key and goes with it; then the mark says nothing of what the mail was.
 */
export function digestOf(contentKey: Buffer, head: Uint8Array, sum: Buffer): string {
  const headSum = hash("sha256", head, "buffer");
  return hex(hash("sha256", Buffer.concat([saltOfMessage(contentKey), headSum, sum]), "buffer"));
}

export function saltOfMessage(contentKey: Buffer): Buffer {
  return keyedHash(contentKey, Buffer.from("salt of digests")).subarray(0, 16);
}
