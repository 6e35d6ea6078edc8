/** What the records of the outbound queue do to the views. */

import type { MessageId } from "#model/mailbox";
import type { Attempt, Destination, QueueItem, QueueState } from "#model/queue";
import type { TraceStep } from "#model/trace";
import { noteAct } from "./apply-act.ts";
import type {
  AttemptedRecord,
  DelayNotifiedRecord,
  LedgerRecord,
  Place,
  QueueActRecord,
  QueuedItem,
} from "./records.ts";
import type { Views } from "./views.ts";

const verbs = { hold: "held", release: "released", drop: "dropped", retry: "set to be tried" };

/** What a row of the table of steps holds for a try. */
export interface TriedStep {
  readonly item: string;
  readonly recipient: string;
  readonly attempt: Attempt;
}

export function applyQueued(
  views: Views,
  item: QueuedItem & { readonly message: MessageId; readonly sizeBytes: number },
  lsn: number,
): void {
  const made = views.run(
    "INSERT OR IGNORE INTO queue VALUES (?, ?, 'waiting', ?, ?, 0, ?, NULL, ?, NULL, NULL)",
    item.id,
    lsn,
    item.nextAttemptAtMs,
    item.queuedAtMs,
    sealedDomain(views, domainOf(item.recipient)),
    views.seal(item),
  );
  if (made > 0) count(views, "waiting", 1);
}

export function applyQueue(
  views: Views,
  record: AttemptedRecord | DelayNotifiedRecord | QueueActRecord,
  place: Place,
): void {
  const row = views.get("SELECT state, message, item FROM queue WHERE id = ?", record.item);
  if (row === undefined) return;
  const { recipient } = views.open<QueueItem>(row["item"]);
  const state = row["state"] as QueueState;
  const message = row["message"] as number;
  const note = (step: TraceStep | TriedStep): void => {
    views.run("INSERT INTO step VALUES (?, ?, ?)", place.lsn, message, views.seal(step));
  };
  const step = (atMs: number, word: string, text: string): void =>
    note({ atMs, program: "hub", step: word, text: `${recipient}: ${text}` });
  switch (record.kind) {
    case "attempted":
      if (!takesAttempt(state)) return;
      if (state !== "dropped") applyAttempt(views, record, state);
      noteAct(views, message, place.lsn);
      return note({ item: record.item, recipient, attempt: record.attempt });
    case "delay-notified":
      views.run("UPDATE queue SET delay_ms = ? WHERE id = ?", record.atMs, record.item);
      return step(record.atMs, "bounced", "the sender was told of the delay");
    case "queue-act": {
      const next = afterAct(state, record.act);
      if (next === undefined) return;
      applyAct(views, record, next);
      moved(views, state, next);
      return step(record.atMs, "queued", `${verbs[record.act]} by ${record.by}`);
    }
  }
}

function applyAttempt(
  views: Views,
  { item, attempt, nextAttemptAtMs }: AttemptedRecord,
  state: QueueState,
): void {
  const next = afterAttempt(state, attempt.outcome);
  views.run(
    "UPDATE queue SET state = ?, attempts = attempts + 1, last = ?, next_ms = ? WHERE id = ?",
    next,
    views.seal(attempt),
    nextAttemptAtMs ?? attempt.atMs,
    item,
  );
  moved(views, state, next);
}

function applyAct(views: Views, { item, act, by, atMs }: QueueActRecord, next: QueueState): void {
  const isDueNow = act === "release" || act === "retry";
  views.run(
    "UPDATE queue SET state = ?, next_ms = iif(?, ?, next_ms), held = ? WHERE id = ?",
    next,
    isDueNow ? 1 : 0,
    atMs,
    next === "held" ? views.seal(by) : null,
    item,
  );
}

/** Counted as they go: nobody can wait while a million rows are counted. */
function moved(views: Views, from: QueueState, to: QueueState): void {
  if (from === to) return;
  count(views, from, -1);
  count(views, to, 1);
}

function count(views: Views, state: QueueState, by: number): void {
  const sql = `INSERT INTO counter VALUES (?, ?)
    ON CONFLICT DO UPDATE SET value = value + excluded.value`;
  views.run(sql, counterOf(state), by);
}

export function counterOf(state: QueueState): string {
  return `queue ${state}`;
}

export function domainOf(recipient: string): string {
  return recipient.slice(recipient.lastIndexOf("@") + 1).toLowerCase();
}

export function sealedDomain(views: Views, domain: string): Buffer {
  return views.seal(domain);
}

/** Domains for which something waits now because of these records. */
export function wokenBy(views: Views, records: readonly LedgerRecord[]): Destination[] {
  return records.flatMap((record): Destination[] => {
    if (record.kind === "accepted") {
      return record.queue.map(({ recipient, nextAttemptAtMs: dueAtMs }) => ({
        domain: domainOf(recipient),
        dueAtMs,
      }));
    }
    if (record.kind !== "queue-act") return [];
    const row = views.get("SELECT state, domain, next_ms FROM queue WHERE id = ?", record.item);
    if (row?.["state"] !== "waiting") return [];
    return [{ domain: views.open<string>(row["domain"]), dueAtMs: row["next_ms"] as number }];
  });
}

/**
 * What is settled stays so. Of a try that was under way when its item was dropped the trace tells all
 * the same: somebody may have got the message.
 */
export function takesAttempt(state: QueueState): boolean {
  return state === "waiting" || state === "held" || state === "dropped";
}

/** A hold that came while a try was under way stands, unless the try settled it. */
function afterAttempt(state: QueueState, outcome: "delivered" | "deferred" | "failed"): QueueState {
  return outcome === "deferred" ? state : outcome;
}

/** undefined when the act does not apply to an item in that state. */
export function afterAct(
  state: QueueState,
  act: "hold" | "release" | "drop" | "retry",
): QueueState | undefined {
  if (state !== "waiting" && state !== "held") return undefined;
  if (act === "drop") return "dropped";
  if (act === "hold") return state === "waiting" ? "held" : undefined;
  if (act === "release") return state === "held" ? "waiting" : undefined;
  return "waiting";
}
