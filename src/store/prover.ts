/** Proofs of what happened to one message, for whoever checks them elsewhere (docs/witness.md). */

import { hash } from "node:crypto";
import { hex } from "#base/bytes";
import type { MessageId } from "#model/mailbox";
import type { History } from "./history.ts";
import { locateRecord } from "./locate.ts";
import type { RecordReader } from "./reader.ts";
import { commitmentBytes, openFacts } from "./records.ts";
import type { Segments } from "./segments.ts";
import { saltOfMessage, statementOf } from "./statement.ts";
import type { Views } from "./views.ts";

/** One record of a proof; hashes are hexadecimal. */
export interface ProvenLeaf {
  /** LSN - 1. */
  readonly index: number;
  readonly kind: number;
  readonly commitment: string;
  readonly sealedHash: string;
  /** Audit path (RFC 6962 §2.1.1), from the leaf upwards. */
  readonly path: readonly string[];
  readonly statement?: string;
}

/** What the message was: absent once its key is destroyed. */
export interface OpenedDigest {
  readonly salt: string;
  readonly headBytes: number;
  readonly headHash: string;
  readonly contentHash: string;
}

export interface MessageProof {
  readonly leaves: readonly ProvenLeaf[];
  readonly message?: OpenedDigest;
}

interface Parts {
  readonly views: Views;
  readonly segments: Segments;
  readonly history: History;
  readonly reader: RecordReader;
}

/**
 * Everything that the ledger has on a message, as leaves of the tree of `size` records.
 *
 * @returns undefined when there is no such message in that tree
 * @throws Damaged
 */
export async function proveMessage(
  parts: Parts,
  id: MessageId,
  size: number,
): Promise<MessageProof | undefined> {
  const { views, reader } = parts;
  const row = views.get("SELECT * FROM message WHERE id = ? AND status <> 'refused'", id);
  const first = row?.["seq"] as number | undefined;
  if (row === undefined || first === undefined || first > size) return undefined;
  const acts = views.all(
    "SELECT seq FROM act WHERE message = ? AND seq <= ? ORDER BY seq",
    first,
    size,
  );
  const leaves: ProvenLeaf[] = [];
  for (const lsn of [first, ...acts.map(({ seq }) => seq as number)]) {
    leaves.push(await leafOf(parts, lsn, size));
  }
  const headBytes = row["head_bytes"] as number;
  const secret = views.holders.secretOf(Buffer.from(row["content"] as Uint8Array));
  if (secret === undefined) return { leaves };
  const head = headBytes === 0 ? Buffer.alloc(0) : await reader.octets(row, 0, headBytes);
  const message = {
    salt: hex(saltOfMessage(secret.key)),
    headBytes,
    headHash: hash("sha256", head),
    contentHash: hex(secret.sum),
  };
  return { leaves, message };
}

async function leafOf(
  { views, segments, history }: Parts,
  lsn: number,
  size: number,
): Promise<ProvenLeaf> {
  const facts = await locateRecord(segments, lsn, await history.leaf(lsn));
  const opened = openFacts(facts, views.keys);
  const statement = opened && statementOf(views.keys, opened.record, lsn);
  const path = await history.inclusion(lsn, size);
  return {
    index: lsn - 1,
    kind: facts.number,
    commitment: hex(facts.region.subarray(0, commitmentBytes)),
    sealedHash: hash("sha256", facts.region.subarray(commitmentBytes)),
    path: path.map(hex),
    ...(statement !== undefined && { statement }),
  };
}
