/** Rules and holds: setting, removing and listing them, and what holds have kept. */

import type { RetentionStore } from "#contracts/store";
import type { Hold, RetentionRule, Withheld } from "#model/retention";
import { bytesOf, commitAct } from "./act.ts";
import { isOnHold } from "./apply-retention.ts";
import { inTurn } from "./heads.ts";
import type { ActParts } from "./mailbox-acts.ts";
import { draft, type LedgerRecord } from "./records.ts";
import { mailboxId, mailboxNumber } from "./rows.ts";
import type { Row, Views } from "./views.ts";

export function retentionStore({ views, ledger, heads, clock }: ActParts): RetentionStore {
  const writeIf = (isWanted: () => boolean, build: () => LedgerRecord): Promise<boolean> =>
    commitAct(
      ledger,
      (roomBytes) => {
        const value = isWanted();
        const drafts = value ? [draft(build())] : [];
        const needsBytes = bytesOf(drafts);
        return needsBytes > roomBytes ? { needsBytes } : { drafts, value };
      },
      "of the reserve",
    );
  const act = (by: string) => ({ by, atMs: clock.nowMs() });

  return {
    rules: async () => rulesOf(views),
    async putRule(rule, by) {
      await writeIf(
        () => true,
        () => ({ kind: "retention-put", rule, ...act(by) }),
      );
    },
    removeRule: (account, mailbox, by) =>
      writeIf(
        () => hasRule(views, account, mailbox),
        () => ({ kind: "retention-removed", account, mailbox, ...act(by) }),
      ),
    holds: async () =>
      views
        .all("SELECT json FROM hold ORDER BY account")
        .map((row) => views.open<Hold>(row["json"])),
    async putHold(account, reason, by) {
      // In turn: the account must not be removed while the hold is on its way to the disk.
      await inTurn(heads.needAccount(account), () =>
        writeIf(
          () => heads.needAccount(account).id === account,
          () => ({ kind: "hold-put", account, reason, ...act(by) }),
        ),
      );
    },
    removeHold: (account, by) =>
      writeIf(
        () => isOnHold(views, account),
        () => ({ kind: "hold-removed", account, ...act(by) }),
      ),
    async withheld(account, limit, after) {
      const place = [after === undefined ? 0 : mailboxNumber(after.mailbox), after?.uid ?? 0];
      return views.all(withheldSelect, account, ...place, limit).map(withheldOf);
    },
  };
}

export function rulesOf(views: Views): RetentionRule[] {
  return views
    .all("SELECT json FROM retention ORDER BY account, mailbox")
    .map((row) => views.open<RetentionRule>(row["json"]));
}

function hasRule(views: Views, account: string, mailbox: string): boolean {
  const sql = "SELECT 1 FROM retention WHERE account = ? AND mailbox = ?";
  return views.get(sql, account, views.seal(mailbox)) !== undefined;
}

/**
 * Without what was destroyed before the hold, and without what the account still has in a mailbox:
 * once the last copy goes, each that went since the hold began is listed.
 */
const withheldSelect = `SELECT w.mailbox, w.uid, w.expunged_ms, m.id, m.at_ms, m.size
  FROM withheld w JOIN message m ON m.seq = w.message
  WHERE w.account = ?1 AND (w.mailbox, w.uid) > (?2, ?3)
    AND EXISTS (SELECT 1 FROM content_key k WHERE k.content = m.content AND k.holder = ?1)
    AND NOT EXISTS (SELECT 1 FROM entry e JOIN mailbox b ON b.number = e.mailbox
      WHERE e.message = w.message AND b.account = ?1)
  ORDER BY w.mailbox, w.uid LIMIT ?4`;

function withheldOf(row: Row): Withheld {
  const expungedAtMs = row["expunged_ms"] as number | null;
  return {
    message: row["id"] as string,
    mailbox: mailboxId(row["mailbox"] as number),
    uid: row["uid"] as number,
    receivedAtMs: row["at_ms"] as number,
    sizeBytes: row["size"] as number,
    ...(expungedAtMs !== null && { expungedAtMs }),
  };
}
