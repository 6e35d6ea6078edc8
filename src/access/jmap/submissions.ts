/** What was sent lately, for EmailSubmission/get; in memory, since the trace is the lasting record. */

import type { AccountId } from "#model/mailbox";

export interface SubmissionRecord {
  readonly id: string;
  readonly identityId: string;
  readonly emailId: string;
  readonly threadId: string;
  readonly envelope: {
    readonly mailFrom: { readonly email: string; readonly parameters: null };
    readonly rcptTo: readonly { readonly email: string; readonly parameters: null }[];
  };
  readonly sendAt: string;
  /** There is no way to call a message back. */
  readonly undoStatus: "final";
  readonly deliveryStatus: null;
  readonly dsnBlobIds: readonly string[];
  readonly mdnBlobIds: readonly string[];
}

export interface Submissions {
  add(account: AccountId, record: SubmissionRecord): void;
  remove(account: AccountId, id: string): boolean;
  list(account: AccountId): readonly SubmissionRecord[];
  state(account: AccountId): string;
}

const mostAccounts = 2000;
const mostPerAccount = 100;

export function keepSubmissions(): Submissions {
  const kept = new Map<AccountId, SubmissionRecord[]>();
  let changes = 0;
  const states = new Map<AccountId, number>();
  const touched = (account: AccountId): void => {
    changes += 1;
    states.set(account, changes);
  };
  return {
    add(account, record) {
      const own = [...(kept.get(account) ?? []), record].slice(-mostPerAccount);
      kept.delete(account);
      kept.set(account, own);
      touched(account);
      if (kept.size <= mostAccounts) return;
      const oldest = kept.keys().next().value ?? "";
      kept.delete(oldest);
      states.delete(oldest);
    },
    remove(account, id) {
      const own = kept.get(account) ?? [];
      const left = own.filter((one) => one.id !== id);
      if (left.length === own.length) return false;
      kept.set(account, left);
      touched(account);
      return true;
    },
    list: (account) => kept.get(account) ?? [],
    state: (account) => String(states.get(account) ?? 0),
  };
}
