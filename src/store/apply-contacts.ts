/** Who has had mail with whom, as hashes: what a first contact is told by. */

import type { AccountId } from "#model/mailbox";
import type { SenderVerdict, Verdict } from "#model/verdict";
import type { AcceptedRecord } from "./records.ts";
import type { Views } from "./views.ts";

/** What is expunged or erased later stays counted; what goes with its account does not. */
export function noteContacts(views: Views, record: AcceptedRecord): void {
  const { connection, deliveries, envelope } = record;
  const author = record.verdicts.find(isSender);
  if (author !== undefined && author.address !== "" && isCredible(author)) {
    for (const account of new Set(deliveries.map((one) => one.account))) {
      note(views, account, author.address, false);
    }
  }
  if (record.direction !== "submission") return;
  const account = accountOf(views, connection.authenticated ?? "");
  if (account === undefined) return;
  for (const { path } of envelope.recipients) note(views, account, path, true);
}

/** A message that may not come from who it says must not vouch for the next one. */
function isCredible({ result }: SenderVerdict): boolean {
  return result !== "forged" && result !== "not-verified";
}

function note(views: Views, account: AccountId, address: string, wrote: boolean): void {
  const hash = views.keys.contactOf(account, address);
  const sql = wrote
    ? "INSERT INTO contact VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET wrote = 1"
    : "INSERT OR IGNORE INTO contact VALUES (?, ?, 0)";
  views.run(sql, account, hash);
}

/** @param address the primary one, in any case */
function accountOf(views: Views, address: string): AccountId | undefined {
  const sql = "SELECT id FROM account WHERE address = ? ORDER BY id";
  return views.get(sql, views.seal(address.toLowerCase()))?.["id"] as AccountId | undefined;
}

function isSender(verdict: Verdict): verdict is SenderVerdict {
  return verdict.method === "sender";
}
