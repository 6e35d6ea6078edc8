/** Domains, accounts and aliases; each change is an administrator's act in the ledger. */

import type { PeopleStore } from "#contracts/store";
import type { MailboxRole } from "#model/mailbox";
import type { Account } from "#model/people";
import { type ActParts, actBytes, makeMailbox } from "./mailbox-acts.ts";
import { type AccountPutRecord, draft, type LedgerRecord } from "./records.ts";

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

export function peopleStore(parts: ActParts): PeopleStore {
  const { views, ledger, heads, clock } = parts;
  const all = <Value>(table: Table): Value[] =>
    views
      .all(`SELECT json FROM ${table} ORDER BY ${keys[table]}`)
      .map((row) => JSON.parse(row["json"] as string) as Value);
  const write = (build: () => LedgerRecord): Promise<void> =>
    ledger.commit(actBytes, false, () => ({ drafts: [draft(build())], value: undefined }));
  const removeOne = (table: Table, key: string, build: () => LedgerRecord): Promise<boolean> =>
    ledger.commit(actBytes, false, () => {
      const sql = `SELECT 1 FROM ${table} WHERE ${keys[table]} = ?`;
      const isThere = views.get(sql, key) !== undefined;
      return { drafts: isThere ? [draft(build())] : [], value: isThere };
    });
  const act = (by: string) => ({ by, atMs: clock.nowMs() });

  return {
    domains: async () => all("domain"),
    accounts: async () => all("account"),
    aliases: async () => all("alias"),
    putDomain: (domain, by) => write(() => ({ kind: "domain-put", domain, ...act(by) })),
    putAlias: (alias, by) => write(() => ({ kind: "alias-put", alias, ...act(by) })),
    putAccount: (account, by) =>
      write(() => ({
        kind: "account-put",
        account,
        ...act(by),
        ...newAccount(parts, account),
      })),
    removeDomain: (name, by) =>
      removeOne("domain", name, () => ({ kind: "domain-removed", name, ...act(by) })),
    removeAlias: (address, by) =>
      removeOne("alias", address, () => ({ kind: "alias-removed", address, ...act(by) })),
    removeAccount: (account, by) =>
      removeOne("account", account, () => {
        heads.removeAccount(account);
        return { kind: "account-removed", account, ...act(by) };
      }),
  };
}

/** An account that comes again under its id must not repeat mod-sequences that clients remember. */
function newAccount(parts: ActParts, { id }: Account): Pick<AccountPutRecord, "made"> {
  const { heads, ledger } = parts;
  if (heads.account(id) !== undefined) return {};
  // No account has more changes than the ledger has records.
  const modSeq = ledger.records + 1;
  const head = heads.add(id, modSeq);
  const mailboxes = firstMailboxes.map(([name, role]) => makeMailbox(parts, head, name, role));
  return { made: { modSeq, mailboxes } };
}
