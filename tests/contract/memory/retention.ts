/** Rules, holds and reads by others in memory. Nothing is ever destroyed here. */

import { Unavailable } from "#base/errors";
import type { AuditStore, RetentionStore } from "#contracts/store";
import type { AccountId, Entry, MessageId } from "#model/mailbox";
import type { Hold, ReadByOther, RetentionRule, Withheld } from "#model/retention";
import { entriesOf, type MailboxState } from "./boxes.ts";

export interface Withholding {
  readonly account: AccountId;
  readonly entry: Entry;
  readonly expungedAtMs?: number;
}

export interface RetentionState extends MailboxState {
  /** By account and mailbox. */
  readonly rules: Map<string, RetentionRule>;
  readonly holds: Map<AccountId, Hold>;
  readonly withheld: Withholding[];
  /** Oldest first. */
  readonly reads: ReadByOther[];
}

export function retentionStore(state: RetentionState): RetentionStore {
  const { rules, holds, withheld } = state;
  const keyOf = (account: string, mailbox: string): string => `${account} ${mailbox}`;
  return {
    rules: async () => [...rules.values()],
    putRule: async (rule) => void rules.set(keyOf(rule.account, rule.mailbox), rule),
    removeRule: async (account, mailbox) => rules.delete(keyOf(account, mailbox)),
    holds: async () => [...holds.values()].sort((one, two) => (one.account < two.account ? -1 : 1)),
    async putHold(account, reason, by) {
      if (!state.accounts.has(account)) throw new Unavailable(`no account ${account}`);
      if (!holds.has(account)) withheld.push(...expungedBefore(state, account));
      holds.set(account, { account, reason, by, atMs: state.clock.nowMs() });
    },
    async removeHold(account) {
      const kept = withheld.filter((one) => one.account !== account);
      withheld.splice(0, withheld.length, ...kept);
      return holds.delete(account);
    },
    async withheld(account, limit, after) {
      const boxes = [...state.boxes.keys()];
      const place = (one: Pick<Withheld, "mailbox" | "uid">): number =>
        boxes.indexOf(one.mailbox) * 1e9 + one.uid;
      const own = withheld.filter(
        (one) => one.account === account && !has(state, account, one.entry.message),
      );
      return own
        .map(withheldOf)
        .filter((one) => after === undefined || place(one) > place(after))
        .sort((one, two) => place(one) - place(two))
        .slice(0, limit);
    },
  };
}

/** What the account has no more, and what nobody has destroyed yet. */
function expungedBefore(state: RetentionState, account: AccountId): Withholding[] {
  const own = [...state.boxes.values()].filter((box) => box.account === account);
  return own
    .flatMap(({ gone }) => gone)
    .filter(({ entry }) => !has(state, account, entry.message))
    .map(({ entry }) => ({ account, entry }));
}

function withheldOf({ entry, expungedAtMs }: Withholding): Withheld {
  const { message, mailbox, uid, receivedAtMs, sizeBytes } = entry;
  const facts = { message, mailbox, uid, receivedAtMs, sizeBytes };
  return { ...facts, ...(expungedAtMs !== undefined && { expungedAtMs }) };
}

function has(state: RetentionState, account: AccountId, message: MessageId): boolean {
  const entries = entriesOf(state, message);
  return entries.some(({ mailbox }) => state.boxes.get(mailbox)?.account === account);
}

export function auditStore(
  state: RetentionState,
  octetsOf: (message: MessageId) => Buffer,
): AuditStore {
  return {
    async readByOther(read) {
      const { account, message } = read;
      const isWithheld = state.withheld.some(
        (one) => one.account === account && one.entry.message === message,
      );
      if (!isWithheld && !has(state, account, message)) return undefined;
      state.reads.push({ ...read, atMs: state.clock.nowMs() });
      return octetsOf(message);
    },
    async readsOf(account, sinceMs, limit) {
      const own = state.reads.filter((one) => one.account === account && one.atMs >= sinceMs);
      return own.reverse().slice(0, limit);
    },
  };
}
