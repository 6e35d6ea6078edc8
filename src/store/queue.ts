/** The outbound queue as its runner and the administrator see it. */

import type { QueueStore } from "#contracts/store";
import type { QueueItem, QueueState } from "#model/queue";
import { actBytes, commitDrafts } from "./act.ts";
import { afterAct, takesAttempt } from "./apply-queue.ts";
import type { Ledger } from "./ledger.ts";
import { draft, type LedgerRecord } from "./records.ts";
import { queueItemOf } from "./rows.ts";
import type { Views } from "./views.ts";

export function queueStore(views: Views, ledger: Ledger): QueueStore {
  const items = (sql: string, ...values: (string | number | Uint8Array | null)[]): QueueItem[] =>
    views.all(sql, ...values).map((row) => queueItemOf(views, row));
  const find = (id: string): QueueItem | undefined => {
    const row = views.get("SELECT * FROM queue WHERE id = ?", id);
    return row === undefined ? undefined : queueItemOf(views, row);
  };
  const inTurn = turnsOfItems();
  const write = (record: LedgerRecord): Promise<void> => commitDrafts(ledger, [draft(record)]);

  return {
    async get(id) {
      return find(id);
    },
    async due(nowMs, limit) {
      const sql = `SELECT * FROM queue WHERE state = 'waiting' AND next_ms <= ?
        ORDER BY next_ms, queued_ms, id LIMIT ?`;
      return items(sql, nowMs, limit);
    },
    async nextDueAtMs() {
      const sql = "SELECT min(next_ms) AS next FROM queue WHERE state = 'waiting'";
      return (views.get(sql)?.["next"] as number | null) ?? undefined;
    },
    async list({ state, domain, limit }) {
      const sql = `SELECT * FROM queue WHERE (?1 IS NULL OR state = ?1)
        AND (?2 IS NULL OR domain = ?2) ORDER BY queued_ms DESC, id LIMIT ?3`;
      const where = domain === undefined ? null : views.seal(domain.toLowerCase());
      return items(sql, state ?? null, where, limit);
    },
    async counts() {
      const counts = { waiting: 0, held: 0, delivered: 0, failed: 0, dropped: 0 };
      for (const row of views.all("SELECT state, count(*) AS items FROM queue GROUP BY state")) {
        counts[row["state"] as QueueState] = row["items"] as number;
      }
      return counts;
    },
    async attempted(item, attempt, nextAttemptAtMs) {
      const next = nextAttemptAtMs === undefined ? {} : { nextAttemptAtMs };
      await inTurn(item, async () => {
        const found = find(item);
        if (found === undefined || !takesAttempt(found.state)) return;
        await write({ kind: "attempted", item, attempt, ...next });
      });
    },
    async delayNotified(item, atMs) {
      await write({ kind: "delay-notified", item, atMs });
    },
    async change(item, act, by, atMs) {
      return inTurn(item, () =>
        ledger.commit(actBytes, false, () => {
          const found = find(item);
          if (found === undefined || afterAct(found.state, act) === undefined) {
            return { drafts: [], value: false };
          }
          return { drafts: [draft({ kind: "queue-act", item, act, by, atMs })], value: true };
        }),
      );
    },
  };
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
