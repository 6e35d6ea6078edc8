/** The outbound queue as its runner and the administrator see it. */

import type { SQLInputValue } from "node:sqlite";
import type { QueueFilter, QueueStore } from "#contracts/store";
import type { Destination, QueueItem, QueueState, RecordedAttempt } from "#model/queue";
import type { TraceStep } from "#model/trace";
import { actBytes, commitDrafts } from "./act.ts";
import { afterAct, counterOf, sealedDomain, type TriedStep, takesAttempt } from "./apply-queue.ts";
import type { Ledger } from "./ledger.ts";
import { draft, type LedgerRecord } from "./records.ts";
import { queueItemOf } from "./rows.ts";
import type { Views } from "./views.ts";

export type QueueListeners = Set<(waiting: Destination) => void>;

export function queueStore(views: Views, ledger: Ledger, listeners: QueueListeners): QueueStore {
  return { ...queueReads(views), ...queueActs(views, ledger), watch: watchOf(listeners) };
}

function watchOf(listeners: QueueListeners): QueueStore["watch"] {
  return (listener) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };
}

type Acts = "attempted" | "delayNotified" | "change";

function queueReads(views: Views): Omit<QueueStore, Acts | "watch"> {
  const items = (sql: string, ...values: SQLInputValue[]): QueueItem[] =>
    views.all(sql, ...values).map((row) => queueItemOf(views, row));
  return {
    get: async (id) => find(views, id),
    destinations: async () => destinationsOf(views),
    async due(domain, nowMs, limit, after) {
      const { nextAttemptAtMs = -1, queuedAtMs = 0, id = "" } = after ?? {};
      // Three columns beside each other in the index: a page is read from where the last one ended.
      const sql = `SELECT * FROM queue WHERE state = 'waiting' AND domain = ? AND next_ms <= ?
        AND (next_ms, queued_ms, id) > (?, ?, ?) ORDER BY next_ms, queued_ms, id LIMIT ?`;
      const key = sealedDomain(views, domain);
      return items(sql, key, nowMs, nextAttemptAtMs, queuedAtMs, id, limit);
    },
    async nextDueAtMs(domain) {
      const sql = "SELECT min(next_ms) AS next FROM queue WHERE state = 'waiting' AND domain = ?";
      const next = views.get(sql, sealedDomain(views, domain))?.["next"] as number | null;
      return next ?? undefined;
    },
    async waitingSince(beforeMs, limit, after) {
      const sql = `SELECT * FROM queue WHERE state = 'waiting' AND queued_ms < ?
        AND (queued_ms, id) > (?, ?) ORDER BY queued_ms, id LIMIT ?`;
      return items(sql, beforeMs, after?.queuedAtMs ?? -1, after?.id ?? "", limit);
    },
    list: async (filter) => listOf(views, filter),
    attempts: async (id) => attemptsOf(views, id),
    async counts() {
      const counts = { waiting: 0, held: 0, delivered: 0, failed: 0, dropped: 0 };
      for (const state of Object.keys(counts) as QueueState[]) {
        const row = views.get("SELECT value FROM counter WHERE name = ?", counterOf(state));
        counts[state] = (row?.["value"] as number | undefined) ?? 0;
      }
      return counts;
    },
  };
}

function find(views: Views, id: string): QueueItem | undefined {
  const row = views.get("SELECT * FROM queue WHERE id = ?", id);
  return row === undefined ? undefined : queueItemOf(views, row);
}

/** From one domain to the next in the index: as many steps as there are domains. */
function destinationsOf(views: Views): Destination[] {
  const sql = `SELECT domain, next_ms FROM queue INDEXED BY queue_due
    WHERE state = 'waiting' AND domain > ? ORDER BY domain, next_ms LIMIT 1`;
  const found: Destination[] = [];
  for (let last: SQLInputValue = Buffer.alloc(0); ; ) {
    const row = views.get(sql, last);
    if (row === undefined) return found;
    last = row["domain"] as Uint8Array;
    found.push({ domain: views.open<string>(last), dueAtMs: row["next_ms"] as number });
  }
}

function listOf(views: Views, filter: QueueFilter): QueueItem[] {
  const { state, domain, message, after, limit } = filter;
  const conditions: string[] = [];
  const values: SQLInputValue[] = [];
  const where = (condition: string, ...more: SQLInputValue[]): void => {
    conditions.push(condition);
    values.push(...more);
  };
  if (message !== undefined) {
    where("message = (SELECT seq FROM message WHERE id = ?)", message);
  }
  if (domain !== undefined) where("domain = ?", sealedDomain(views, domain.toLowerCase()));
  if (state !== undefined) where("state = ?", state);
  if (after !== undefined) where("(queued_ms, id) < (?, ?)", after.queuedAtMs, after.id);
  const condition = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
  const sql = `SELECT * FROM queue ${condition} ORDER BY queued_ms DESC, id DESC LIMIT ?`;
  return views.all(sql, ...values, limit).map((row) => queueItemOf(views, row));
}

function attemptsOf(views: Views, id: string): RecordedAttempt[] {
  const sql = `SELECT s.seq, s.json FROM step s JOIN queue q ON q.message = s.message
    WHERE q.id = ? ORDER BY s.seq`;
  return views.all(sql, id).flatMap(({ seq, json }) => {
    const step = views.open<TraceStep | TriedStep>(json);
    return "attempt" in step && step.item === id ? [{ ...step.attempt, record: Number(seq) }] : [];
  });
}

function queueActs(views: Views, ledger: Ledger): Pick<QueueStore, Acts> {
  const inTurn = turnsOfItems();
  const write = (record: LedgerRecord): Promise<void> => commitDrafts(ledger, [draft(record)]);
  return {
    async attempted(item, attempt, nextAttemptAtMs) {
      const next = nextAttemptAtMs === undefined ? {} : { nextAttemptAtMs };
      await inTurn(item, async () => {
        const state = stateOf(views, item);
        if (state === undefined || !takesAttempt(state)) return;
        await write({ kind: "attempted", item, attempt, ...next });
      });
    },
    async delayNotified(item, atMs) {
      await write({ kind: "delay-notified", item, atMs });
    },
    async change(item, act, by, atMs) {
      return inTurn(item, () =>
        ledger.commit(actBytes, false, () => {
          const state = stateOf(views, item);
          if (state === undefined || afterAct(state, act) === undefined) {
            return { drafts: [], value: false };
          }
          return { drafts: [draft({ kind: "queue-act", item, act, by, atMs })], value: true };
        }),
      );
    },
  };
}

function stateOf(views: Views, id: string): QueueState | undefined {
  return views.get("SELECT state FROM queue WHERE id = ?", id)?.["state"] as QueueState | undefined;
}

/** One act at a time for an item: whether it applies is seen in the views only. */
function turnsOfItems(): <Value>(item: string, act: () => Promise<Value>) => Promise<Value> {
  const turns = new Map<string, Promise<unknown>>();
  return async (item, act) => {
    const changing = (turns.get(item) ?? Promise.resolve()).then(act);
    const turn = changing.catch(() => undefined);
    turns.set(item, turn);
    try {
      return await changing;
    } finally {
      if (turns.get(item) === turn) turns.delete(item);
    }
  };
}
