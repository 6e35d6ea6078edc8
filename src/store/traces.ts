/** The story of each transaction, from its record and what happened to it since. */

import type { TraceStore } from "#contracts/store";
import type { Account } from "#model/people";
import type { Attempt } from "#model/queue";
import type { TraceStatus, TraceStep, TraceSummary } from "#model/trace";
import type { TriedStep } from "./apply-queue.ts";
import type { RecordReader } from "./reader.ts";
import type { AcceptedRecord, RefusedRecord } from "./records.ts";
import type { MessageFacts } from "./rows.ts";
import type { Row, Views } from "./views.ts";

/** Rows looked through at once, so that a search over years does not hold everybody up. */
const searchRows = 5000;

export function traceStore(views: Views, reader: RecordReader): TraceStore {
  const summary = (row: Row, facts: MessageFacts): TraceSummary =>
    summaryOf(row, facts, statusOf(views, row));
  return {
    async find({ text, sinceMs = 0, limit }) {
      const wanted = text?.toLowerCase();
      const sql = `SELECT * FROM (SELECT * FROM message WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2)
        WHERE status <> 'appended' AND at_ms >= ?3 ORDER BY seq DESC`;
      const found: TraceSummary[] = [];
      let before = Number.MAX_SAFE_INTEGER;
      while (found.length < limit) {
        for (const row of views.all(sql, before, searchRows, sinceMs)) {
          const facts = views.open<MessageFacts>(row["facts"]);
          if (wanted === undefined || holds(facts, wanted)) found.push(summary(row, facts));
          if (found.length === limit) return found;
        }
        const edge = `SELECT min(seq) AS first FROM
          (SELECT seq FROM message WHERE seq < ? ORDER BY seq DESC LIMIT ?)`;
        const first = views.get(edge, before, searchRows)?.["first"] as number | null;
        if (first === null) break;
        before = first;
        await new Promise((resolve) => setImmediate(resolve));
      }
      return found;
    },

    async show(id) {
      const row = views.get("SELECT * FROM message WHERE id = ? AND status <> 'appended'", id);
      if (row === undefined) return undefined;
      const record = (await reader.record(row)) as AcceptedRecord | RefusedRecord;
      const steps =
        record.kind === "accepted" ? acceptedSteps(views, record) : refusedSteps(record);
      const sql = "SELECT json FROM step WHERE message = ? ORDER BY seq";
      for (const later of views.all(sql, row["seq"] as number)) {
        steps.push(stepOf(views.open<TraceStep | TriedStep>(later["json"])));
      }
      const facts = views.open<MessageFacts>(row["facts"]);
      const { connection } = record.kind === "accepted" ? record : record.refusal;
      return {
        ...summary(row, facts),
        connection,
        steps: steps.sort((one, two) => one.atMs - two.atMs),
      };
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

function holds({ sender, recipients, messageIdHeader }: MessageFacts, wanted: string): boolean {
  const texts = [sender, ...recipients, messageIdHeader ?? ""];
  return texts.some((one) => one.toLowerCase().includes(wanted));
}

function summaryOf(row: Row, facts: MessageFacts, status: TraceStatus): TraceSummary {
  const { messageIdHeader } = facts;
  return {
    id: row["id"] as string,
    atMs: row["at_ms"] as number,
    direction: row["direction"] as TraceSummary["direction"],
    from: facts.sender,
    to: facts.recipients,
    sizeBytes: row["size"] as number,
    status,
    ...(messageIdHeader !== undefined && { messageIdHeader }),
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
    const who = known === undefined ? account : views.open<Account>(known).address;
    const where = name == null ? "a mailbox removed since" : views.open<string>(name);
    add("delivered", `to ${where} of ${who}`);
  }
  for (const { recipient } of queue) add("queued", `for ${recipient}`);
  return steps;
}

function stepOf(kept: TraceStep | TriedStep): TraceStep {
  if (!("attempt" in kept)) return kept;
  const { recipient, attempt } = kept;
  const text = `${recipient}: ${attempt.outcome} by ${attemptText(attempt)}`;
  return { atMs: attempt.atMs, program: "hub", step: "attempted", text };
}

/** Who answered, by which connector, how protected, and in its own words. */
function attemptText({ remote, connector, tls, reply }: Attempt): string {
  const by = connector === undefined ? remote : `${remote} (connector ${connector})`;
  const proven = tls?.proof === undefined ? "not verified" : `verified by ${tls.proof}`;
  const name = tls?.provenName === undefined ? "" : ` for ${tls.provenName}`;
  const secured =
    tls === undefined
      ? ""
      : ` over ${[tls.version, tls.cipher, tls.group].filter(Boolean).join(" ")}, ${proven}${name}`;
  const code = [reply.code, reply.status].filter(Boolean).join(" ");
  return `${by}${secured}: ${code} ${[reply.text].flat().join(" ")}`;
}

function refusedSteps({ refusal }: RefusedRecord): TraceStep[] {
  const { atMs, reply } = refusal;
  const words = [reply.text].flat().join(" ");
  const text = [reply.code, reply.status, words].filter((word) => word !== undefined).join(" ");
  return [...refusal.steps, { atMs, program: "hub", step: "refused", text }];
}
