/** Asking who has had mail with whom. */

import type { ContactStore } from "#contracts/store";
import type { AccountId } from "#model/mailbox";
import type { Views } from "./views.ts";

export function contactStore(views: Views): ContactStore {
  return {
    async known(address, accounts) {
      const sql = "SELECT wrote FROM contact WHERE account = ? AND hash = ?";
      const known = new Map<AccountId, "heard" | "wrote">();
      for (const account of accounts) {
        const row = views.get(sql, account, views.keys.contactOf(account, address));
        if (row !== undefined) known.set(account, row["wrote"] === 1 ? "wrote" : "heard");
      }
      return known;
    },
  };
}
