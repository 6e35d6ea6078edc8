/** Reading messages: head, then content, wherever in the ledger they lie. */

import { Unavailable } from "#base/errors";
import type { Messages } from "#contracts/store";
import { describeMessage } from "#formats/mime";
import type { Description } from "#model/description";
import type { MessageId } from "#model/mailbox";
import { Damaged } from "./damage.ts";
import type { AcceptedRecord, AppendedRecord, Extent } from "./records.ts";
import type { Segments } from "./segments.ts";
import type { Row, Views } from "./views.ts";

/** Large messages are handed out in pieces of this size. */
const pieceBytes = 256 * 1024;

export function messageReader(views: Views, segments: Segments): Messages {
  const find = (id: MessageId): Row | undefined =>
    views.get("SELECT * FROM message WHERE id = ? AND status <> 'refused'", id);
  const need = (id: MessageId): Row => {
    const row = find(id);
    if (row === undefined) throw new Unavailable(`no message ${id}`);
    return row;
  };
  const read = async (row: Row, start: number, end: number): Promise<Buffer> => {
    const wanted = cut(extentsOf(views, row), start, end);
    const pieces = await Promise.all(
      wanted.map(({ extent, from, to }) => segments.read(extent, from, to)),
    );
    return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
  };
  const record = async (row: Row): Promise<AcceptedRecord | AppendedRecord> => {
    const bytes = row["json_bytes"] as number;
    const extent = [row["segment"] as number, row["json_at"] as number, bytes] as const;
    const json = await naming(row, segments.read(extent, 0, bytes));
    return JSON.parse(json.toString()) as AcceptedRecord | AppendedRecord;
  };

  return {
    async read(message, start = 0, end = Number.POSITIVE_INFINITY) {
      const row = need(message);
      return naming(row, read(row, start, end));
    },
    async *stream(message, start = 0, end = Number.POSITIVE_INFINITY) {
      const row = need(message);
      const stop = Math.min(end, row["size"] as number);
      for (let at = Math.max(start, 0); at < stop; at += pieceBytes) {
        yield await naming(row, read(row, at, Math.min(at + pieceBytes, stop)));
      }
    },
    async sizeBytes(message) {
      return find(message)?.["size"] as number | undefined;
    },
    async describe(message) {
      const row = need(message);
      const seq = row["seq"] as number;
      const kept = views.get("SELECT json FROM description WHERE message = ?", seq);
      if (kept !== undefined) return JSON.parse(kept["json"] as string) as Description;
      const octets = await naming(row, read(row, 0, Number.POSITIVE_INFINITY));
      const made = describeMessage(octets);
      views.run("INSERT OR REPLACE INTO description VALUES (?, ?)", seq, JSON.stringify(made));
      return made;
    },
    async verdicts(message) {
      const found = await record(need(message));
      return found.kind === "accepted" ? found.verdicts : [];
    },
    async envelope(message) {
      const row = find(message);
      if (row === undefined) return undefined;
      const found = await record(row);
      return found.kind === "accepted" ? found.envelope : undefined;
    },
  };
}

function extentsOf(views: Views, row: Row): Extent[] {
  const headAt = (row["json_at"] as number) + (row["json_bytes"] as number);
  const head: Extent = [row["segment"] as number, headAt, row["head_bytes"] as number];
  const content = views.get("SELECT * FROM content WHERE id = ?", row["content"] as Uint8Array);
  if (content === undefined) throw new Unavailable(`content of message ${row["id"]} is missing`);
  const parts = content["extents"] as string | null;
  if (parts !== null) return [head, ...(JSON.parse(parts) as Extent[])];
  const { segment, at, size } = content as { segment: number; at: number; size: number };
  return [head, [segment, at, size]];
}

/** The pieces of extents that [start, end) of their whole falls on. */
function cut(
  extents: readonly Extent[],
  start: number,
  end: number,
): { extent: Extent; from: number; to: number }[] {
  const pieces = [];
  let at = 0;
  for (const extent of extents) {
    const from = Math.max(start - at, 0);
    const to = Math.min(end - at, extent[2]);
    if (from < to) pieces.push({ extent, from, to });
    at += extent[2];
  }
  return pieces;
}

/** Damage met on the way to a message bears its name. */
async function naming<Value>(row: Row, reading: Promise<Value>): Promise<Value> {
  try {
    return await reading;
  } catch (error) {
    if (!(error instanceof Damaged)) throw error;
    throw new Damaged({ ...error.place, messages: [row["id"] as string] });
  }
}
