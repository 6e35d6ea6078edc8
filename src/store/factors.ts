/** What proves who people are besides their password; kept as it comes, sealed like the rest. */

import type { Clock } from "#base/clock";
import type { AccountId } from "#model/mailbox";
import { actBytes, bytesOf } from "./act.ts";
import type { Ledger } from "./ledger.ts";
import { draft } from "./records.ts";
import type { Views } from "./views.ts";

export interface FactorStore {
  all(): Promise<readonly KeptFactors[]>;
  /**
   * Replaces those of the account; an empty list removes them.
   *
   * @param by who acts, for the record
   * @returns false without such an account
   */
  put(account: AccountId, factors: readonly object[], by: string): Promise<boolean>;
}

export interface KeptFactors {
  readonly account: AccountId;
  readonly factors: readonly object[];
}

interface Parts {
  readonly views: Views;
  readonly ledger: Ledger;
  readonly clock: Clock;
}

export function factorStore({ views, ledger, clock }: Parts): FactorStore {
  return {
    all: async () =>
      views.all("SELECT account, json FROM factor ORDER BY account").map((row) => ({
        account: row["account"] as AccountId,
        factors: views.open<readonly object[]>(row["json"]),
      })),
    async put(account, factors, by) {
      const one = draft({ kind: "factors-put", account, factors, by, atMs: clock.nowMs() });
      return ledger.commit(Math.max(actBytes, bytesOf([one])), false, () => {
        const isThere = views.get("SELECT 1 FROM account WHERE id = ?", account) !== undefined;
        return { drafts: isThere ? [one] : [], value: isThere };
      });
    },
  };
}
