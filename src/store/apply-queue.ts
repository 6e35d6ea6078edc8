/** What the records of the outbound queue do to the views. */

import type { QueueItem, QueueState } from "#model/queue";
import type { TraceStep } from "#model/trace";
import type { AttemptedRecord, DelayNotifiedRecord, Place, QueueActRecord } from "./records.ts";
import type { Views } from "./views.ts";

const verbs = { hold: "held", release: "released", drop: "dropped", retry: "set to be tried" };

export function applyQueue(
  views: Views,
  record: AttemptedRecord | DelayNotifiedRecord | QueueActRecord,
  place: Place,
): void {
  const row = views.get("SELECT state, message, item FROM queue WHERE id = ?", record.item);
  if (row === undefined) return;
  const { recipient } = views.open<QueueItem>(row["item"]);
  const state = row["state"] as QueueState;
  const step = (atMs: number, word: string, text: string): void => {
    const made: TraceStep = { atMs, program: "hub", step: word, text };
    const message = row["message"] as number;
    views.run("INSERT INTO step VALUES (?, ?, ?)", place.lsn, message, views.seal(made));
  };
  switch (record.kind) {
    case "attempted": {
      const { attempt } = record;
      if (!takesAttempt(state)) return;
      if (state !== "dropped") {
        views.run(
          `UPDATE queue SET state = ?, attempts = attempts + 1, last = ?, next_ms = ? WHERE id = ?`,
          afterAttempt(state, attempt.outcome),
          views.seal(attempt),
          record.nextAttemptAtMs ?? attempt.atMs,
          record.item,
        );
      }
      const { remote, reply } = attempt;
      const words = [reply.text].flat().join(" ");
      const code = [reply.code, reply.status].filter(Boolean).join(" ");
      const text = `${recipient}: ${attempt.outcome} by ${remote}: ${code} ${words}`;
      return step(attempt.atMs, "attempted", text);
    }
    case "delay-notified":
      views.run("UPDATE queue SET delay_ms = ? WHERE id = ?", record.atMs, record.item);
      return step(record.atMs, "bounced", `${recipient}: the sender was told of the delay`);
    case "queue-act": {
      const next = afterAct(state, record.act);
      if (next === undefined) return;
      const isDueNow = record.act === "release" || record.act === "retry";
      views.run(
        "UPDATE queue SET state = ?, next_ms = iif(?, ?, next_ms) WHERE id = ?",
        next,
        isDueNow ? 1 : 0,
        record.atMs,
        record.item,
      );
      return step(record.atMs, "queued", `${recipient}: ${verbs[record.act]} by ${record.by}`);
    }
  }
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
