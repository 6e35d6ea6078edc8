/** The story of each transaction, from its record and what happened to it since. */

import type { TraceStore } from "#contracts/store";
import type { TraceStatus, TraceStep, TraceSummary } from "#model/trace";
import type { AcceptedRecord, RefusedRecord } from "./records.ts";
import type { Segments } from "./segments.ts";
import type { Row, Views } from "./views.ts";

/** Rows looked through at once, so that a search over years does not hold everybody up. */
const searchRows = 5000;

export function traceStore(views: Views, segments: Segments): TraceStore {
  const summary = (row: Row): TraceSummary => summaryOf(row, statusOf(views, row));
  return {
    async find({ text, sinceMs = 0, limit }) {
      const pattern = text === undefined ? null : `%${text.replace(/[\\%_]/g, "\\$&")}%`;
      const sql = `SELECT * FROM (SELECT * FROM message WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2)
        WHERE status <> 'appended' AND at_ms >= ?3 AND (?4 IS NULL OR sender LIKE ?4 ESCAPE '\\'
        OR recipients LIKE ?4 ESCAPE '\\' OR message_id LIKE ?4 ESCAPE '\\') ORDER BY seq DESC LIMIT ?5`;
      const found: TraceSummary[] = [];
      let before = Number.MAX_SAFE_INTEGER;
      while (found.length < limit) {
        found.push(...views.all(sql, before, searchRows, sinceMs, pattern, limit).map(summary));
        const edge = `SELECT min(seq) AS first FROM
          (SELECT seq FROM message WHERE seq < ? ORDER BY seq DESC LIMIT ?)`;
        const first = views.get(edge, before, searchRows)?.["first"] as number | null;
        if (first === null) break;
        before = first;
        await new Promise((resolve) => setImmediate(resolve));
      }
      return found.slice(0, limit);
    },

    async show(id) {
      const row = views.get("SELECT * FROM message WHERE id = ? AND status <> 'appended'", id);
      if (row === undefined) return undefined;
      const bytes = row["json_bytes"] as number;
      const extent = [row["segment"] as number, row["json_at"] as number, bytes] as const;
      const json = (await segments.read(extent, 0, bytes)).toString();
      const record = JSON.parse(json) as AcceptedRecord | RefusedRecord;
      const steps =
        record.kind === "accepted" ? acceptedSteps(views, record) : refusedSteps(record);
      const sql = "SELECT json FROM step WHERE message = ? ORDER BY seq";
      for (const later of views.all(sql, row["seq"] as number)) {
        steps.push(JSON.parse(later["json"] as string) as TraceStep);
      }
      return { ...summary(row), steps: steps.sort((one, two) => one.atMs - two.atMs) };
    },
  };
}

/** Asked of the queue each time: what happens later is not written into the message. */
function statusOf(views: Views, row: Row): TraceStatus {
  if (row["status"] === "refused") return "refused";
  const sql = "SELECT DISTINCT state FROM queue WHERE message = ?";
  const states = new Set(views.all(sql, row["seq"] as number).map(({ state }) => state));
  if (states.has("waiting") || states.has("held")) return "waiting";
  if (states.has("failed")) return "failed";
  return states.has("dropped") ? "dropped" : "delivered";
}

function summaryOf(row: Row, status: TraceStatus): TraceSummary {
  const messageIdHeader = row["message_id"] as string | null;
  return {
    id: row["id"] as string,
    atMs: row["at_ms"] as number,
    direction: row["direction"] as TraceSummary["direction"],
    from: row["sender"] as string,
    to: JSON.parse(row["recipients"] as string) as string[],
    sizeBytes: row["size"] as number,
    status,
    ...(messageIdHeader !== null && { messageIdHeader }),
  };
}

function acceptedSteps(views: Views, record: AcceptedRecord): TraceStep[] {
  const { acceptedAtMs: atMs, deliveries, queue } = record;
  const steps = [...record.steps];
  const add = (step: string, text: string): void => {
    steps.push({ atMs, program: "hub", step, text });
  };
  add("committed", "kept in the store");
  for (const { account, mailbox } of deliveries) {
    const known = views.get("SELECT json FROM account WHERE id = ?", account)?.["json"];
    const name = views.get("SELECT name FROM mailbox WHERE number = ?", mailbox)?.["name"];
    const who = known === undefined ? account : JSON.parse(known as string).address;
    add("delivered", `to ${name ?? "a mailbox removed since"} of ${who}`);
  }
  for (const { recipient } of queue) add("queued", `for ${recipient}`);
  return steps;
}

function refusedSteps({ refusal }: RefusedRecord): TraceStep[] {
  const { atMs, reply } = refusal;
  const words = [reply.text].flat().join(" ");
  const text = [reply.code, reply.status, words].filter((word) => word !== undefined).join(" ");
  return [...refusal.steps, { atMs, program: "hub", step: "refused", text }];
}
