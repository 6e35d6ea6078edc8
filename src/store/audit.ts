/** Reading mail that is not one's own: written down first, and shown to whose it is. */

import type { Clock } from "#base/clock";
import type { AuditStore, Messages } from "#contracts/store";
import type { ReadByOther } from "#model/retention";
import { commitDrafts } from "./act.ts";
import type { Ledger } from "./ledger.ts";
import { draft } from "./records.ts";
import type { Views } from "./views.ts";

interface Parts {
  readonly views: Views;
  readonly ledger: Ledger;
  readonly clock: Clock;
}

export function auditStore({ views, ledger, clock }: Parts, messages: Messages): AuditStore {
  return {
    async readByOther({ account, message, by, reason }) {
      if (views.get(readableOf, account, message) === undefined) return undefined;
      const facts = { account, message, by, reason, atMs: clock.nowMs() };
      await commitDrafts(ledger, [draft({ kind: "read-by-other", ...facts })]);
      return messages.read(message);
    },
    async readsOf(account, sinceMs, limit) {
      const sql = `SELECT json FROM read_by_other WHERE account = ? AND at_ms >= ?
        ORDER BY seq DESC LIMIT ?`;
      const rows = views.all(sql, account, sinceMs, limit);
      return rows.map((row) => views.open<ReadByOther>(row["json"]));
    },
  };
}

/** The message where the account has it in a mailbox, or it is withheld and still there. */
const readableOf = `SELECT 1 FROM message m WHERE m.id = ?2 AND m.status <> 'refused' AND (
  EXISTS (SELECT 1 FROM entry e JOIN mailbox b ON b.number = e.mailbox
    WHERE e.message = m.seq AND b.account = ?1)
  OR EXISTS (SELECT 1 FROM withheld w
    JOIN content_key k ON k.content = m.content AND k.holder = w.account
    WHERE w.message = m.seq AND w.account = ?1))`;
