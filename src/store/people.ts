/** Domains, accounts and aliases; each change is an administrator's act in the ledger. */

import { Denied } from "#base/errors";
import type { Random } from "#base/random";
import type { PeopleStore } from "#contracts/store";
import type { MailboxRole } from "#model/mailbox";
import type { Account } from "#model/people";
import { actBytes, bytesOf, commitDrafts } from "./act.ts";
import type { AccountPutRecord } from "./act-records.ts";
import { tableKey } from "./apply.ts";
import { isOnHold } from "./apply-retention.ts";
import { inTurn } from "./heads.ts";
import { type ActParts, makeMailbox } from "./mailbox-acts.ts";
import { draft, type LedgerRecord } from "./records.ts";

const firstMailboxes: readonly (readonly [name: string, role: MailboxRole])[] = [
  ["INBOX", "inbox"],
  ["Drafts", "drafts"],
  ["Sent", "sent"],
  ["Archive", "archive"],
  ["Junk", "junk"],
  ["Trash", "trash"],
];

type Table = "domain" | "account" | "alias";
const keys = { domain: "name", account: "id", alias: "address" } as const;

function keyOf(table: Table, value: object): string {
  return (value as Readonly<Record<string, string>>)[keys[table]] as string;
}

export function peopleStore(parts: ActParts & { readonly random: Random }): PeopleStore {
  const { views, ledger, heads, clock } = parts;
  const all = <Value extends object>(table: Table): Value[] =>
    views
      .all(`SELECT json FROM ${table}`)
      .map((row) => views.open<Value>(row["json"]))
      .sort((one, two) => (keyOf(table, one) < keyOf(table, two) ? -1 : 1));
  const write = async (record: LedgerRecord): Promise<void> =>
    commitDrafts(ledger, [draft(record)]);
  const removeOne = (table: Table, key: string, build: () => LedgerRecord): Promise<boolean> =>
    ledger.commit(actBytes, false, () => {
      const sql = `SELECT 1 FROM ${table} WHERE ${keys[table]} = ?`;
      const isThere = views.get(sql, tableKey(views, table, key)) !== undefined;
      return { drafts: isThere ? [draft(build())] : [], value: isThere };
    });
  const act = (by: string) => ({ by, atMs: clock.nowMs() });

  return {
    domains: async () => all("domain"),
    accounts: async () => all("account"),
    aliases: async () => all("alias"),
    putDomain: (domain, by) => write({ kind: "domain-put", domain, ...act(by) }),
    putAlias: (alias, by) => write({ kind: "alias-put", alias, ...act(by) }),
    async putAccount(account, by) {
      const record = { kind: "account-put", account, ...act(by) } as const;
      // With room for the mailboxes and the key of one that is new.
      await ledger.commit(actBytes + bytesOf([draft(record)]), false, () => {
        const isNew = heads.account(account.id) === undefined;
        const made = isNew ? { made: newAccount(parts, account) } : {};
        const put = draft({ ...record, ...made });
        const key = isNew ? [views.holders.make(account.id, parts.random)] : [];
        return { drafts: [...key, put], value: undefined };
      });
    },
    removeDomain: (name, by) =>
      removeOne("domain", name, () => ({ kind: "domain-removed", name, ...act(by) })),
    removeAlias: (address, by) =>
      removeOne("alias", address, () => ({ kind: "alias-removed", address, ...act(by) })),
    async removeAccount(account, by) {
      const head = heads.account(account);
      if (head === undefined) return false;
      // A hold that is on its way to the disk takes its turn before this.
      return inTurn(head, () =>
        removeOne("account", account, () => {
          if (isOnHold(views, account)) throw new Denied("the account is on hold");
          heads.removeAccount(account);
          return { kind: "account-removed", account, ...act(by) };
        }),
      );
    },
  };
}

/** An account that comes again under its id must not repeat mod-sequences that clients remember. */
function newAccount(parts: ActParts, { id }: Account): NonNullable<AccountPutRecord["made"]> {
  const { heads, ledger } = parts;
  // No account has more changes than the ledger has records.
  const head = heads.add(id, ledger.records + 1);
  const { modSeq } = head;
  const mailboxes = firstMailboxes.map(([name, role]) => makeMailbox(parts, head, name, role));
  return { modSeq, mailboxes };
}
