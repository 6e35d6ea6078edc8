/** Reading messages: head, then content, wherever in the ledger they lie. */

import { Unavailable } from "#base/errors";
import type { Messages } from "#contracts/store";
import { describeMessage } from "#formats/mime";
import type { Description } from "#model/description";
import type { MessageId } from "#model/mailbox";
import { Damaged } from "./damage.ts";
import type { RecordReader } from "./reader.ts";
import type { Row, Views } from "./views.ts";

/** Large messages are handed out in pieces of this size. */
const pieceBytes = 256 * 1024;

export function messageReader(views: Views, reader: RecordReader): Messages {
  const find = (id: MessageId): Row | undefined =>
    views.get("SELECT * FROM message WHERE id = ? AND status <> 'refused'", id);
  const need = (id: MessageId): Row => {
    const row = find(id);
    if (row === undefined) throw new Unavailable(`no message ${id}`);
    return row;
  };

  return {
    async read(message, start = 0, end = Number.POSITIVE_INFINITY) {
      const row = need(message);
      return naming(row, reader.octets(row, start, end));
    },
    async *stream(message, start = 0, end = Number.POSITIVE_INFINITY) {
      const stop = Math.min(end, need(message)["size"] as number);
      for (let at = Math.max(start, 0); at < stop; at += pieceBytes) {
        const row = need(message); // compaction may have moved it since
        yield await naming(row, reader.octets(row, at, Math.min(at + pieceBytes, stop)));
      }
    },
    async sizeBytes(message) {
      return find(message)?.["size"] as number | undefined;
    },
    async describe(message) {
      const row = need(message);
      const seq = row["seq"] as number;
      const kept = views.get("SELECT json FROM description WHERE message = ?", seq);
      if (kept !== undefined) return views.open<Description>(kept["json"]);
      const octets = await naming(row, reader.octets(row, 0, Number.POSITIVE_INFINITY));
      const made = describeMessage(octets);
      views.run("INSERT OR REPLACE INTO description VALUES (?, ?)", seq, views.seal(made));
      return made;
    },
    async verdicts(message) {
      const row = need(message);
      const found = await naming(row, reader.record(row));
      return found.kind === "accepted" ? found.verdicts : [];
    },
    async envelope(message) {
      const row = find(message);
      if (row === undefined) return undefined;
      const found = await naming(row, reader.record(row));
      return found.kind === "accepted" ? found.envelope : undefined;
    },
  };
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
