/**
 * What comes next in each account: UIDs, mod-sequences, names. Ahead of the views by what is on its
 * way to the disk, so that nothing is given twice; made from the views, and forgotten with them.
 */

import { Unavailable } from "#base/errors";
import type { AccountId, MailboxRole } from "#model/mailbox";
import type { Views } from "./views.ts";

export interface MailboxHead {
  readonly number: number;
  name: string;
  role: MailboxRole | undefined;
  uidNext: number;
}

export interface AccountHead {
  readonly id: AccountId;
  modSeq: number;
  readonly mailboxes: Map<number, MailboxHead>;
  /** Ends when the last act that has to be alone is durable. */
  turn: Promise<unknown>;
}

export class Heads {
  readonly #views: Views;
  readonly #accounts = new Map<AccountId, AccountHead>();
  /** Accounts removed since the start and their last mod-sequence: the views may still know them. */
  readonly #removed = new Map<AccountId, number>();
  readonly #owners = new Map<number, AccountId>();
  #lastNumber: number;
  #lastUidValidity: number;

  constructor(views: Views) {
    this.#views = views;
    const counter = (name: string): number =>
      (views.get("SELECT value FROM counter WHERE name = ?", name)?.["value"] as number) ?? 0;
    this.#lastNumber = counter("mailbox");
    this.#lastUidValidity = counter("uid-validity");
  }

  account(id: AccountId): AccountHead | undefined {
    return this.#accounts.get(id) ?? (this.#removed.has(id) ? undefined : this.#load(id));
  }

  /** @throws Unavailable, so that mail for somebody just removed is tried again and then refused */
  needAccount(id: AccountId): AccountHead {
    const head = this.account(id);
    if (head === undefined) throw new Unavailable(`no account ${id}`);
    return head;
  }

  mailbox(number: number): { account: AccountHead; mailbox: MailboxHead } | undefined {
    const owner = this.#owners.get(number) ?? this.#ownerOf(number);
    const account = owner === undefined ? undefined : this.account(owner);
    const mailbox = account?.mailboxes.get(number);
    return account === undefined || mailbox === undefined ? undefined : { account, mailbox };
  }

  /** @param modSeq at least; an account made again goes on behind what it had */
  add(id: AccountId, modSeq: number): AccountHead {
    const first = Math.max(modSeq, (this.#removed.get(id) ?? -1) + 1);
    this.#removed.delete(id);
    const head = { id, modSeq: first, mailboxes: new Map(), turn: Promise.resolve() };
    this.#accounts.set(id, head);
    return head;
  }

  addMailbox(account: AccountHead, name: string, role: MailboxRole | undefined): MailboxHead {
    this.#lastNumber += 1;
    const head = { number: this.#lastNumber, name, role, uidNext: 1 };
    account.mailboxes.set(head.number, head);
    this.#owners.set(head.number, account.id);
    return head;
  }

  /** RFC 9051 §2.3.1.1: grows, so that a name that comes again is not taken for the old one. */
  nextUidValidity(nowMs: number): number {
    this.#lastUidValidity = Math.max(Math.floor(nowMs / 1000), this.#lastUidValidity + 1);
    return this.#lastUidValidity;
  }

  removeMailbox(account: AccountHead, number: number): void {
    account.mailboxes.delete(number);
    this.#owners.delete(number);
  }

  removeAccount(id: AccountId): void {
    const head = this.account(id);
    if (head === undefined) return;
    for (const number of head.mailboxes.keys()) this.#owners.delete(number);
    // Acts that wait for their turn hold the head, and find nothing in it.
    head.mailboxes.clear();
    this.#accounts.delete(id);
    this.#removed.set(id, head.modSeq + 1);
  }

  #load(id: AccountId): AccountHead | undefined {
    if (this.#views.get("SELECT 1 FROM account WHERE id = ?", id) === undefined) return undefined;
    const head = this.add(id, 0);
    for (const row of this.#views.all("SELECT * FROM mailbox WHERE account = ?", id)) {
      head.modSeq = Math.max(head.modSeq, row["mod_seq"] as number);
      if (row["name"] === null) continue;
      const number = row["number"] as number;
      head.mailboxes.set(number, {
        number,
        name: this.#views.open<string>(row["name"]),
        role: (row["role"] as MailboxRole | null) ?? undefined,
        uidNext: row["uid_next"] as number,
      });
      this.#owners.set(number, id);
    }
    return head;
  }

  #ownerOf(number: number): AccountId | undefined {
    const sql = "SELECT account FROM mailbox WHERE number = ? AND name IS NOT NULL";
    return this.#views.get(sql, number)?.["account"] as AccountId | undefined;
  }
}

export function inRole(account: AccountHead, role: MailboxRole): MailboxHead | undefined {
  for (const mailbox of account.mailboxes.values()) if (mailbox.role === role) return mailbox;
  return undefined;
}

export function byName(account: AccountHead, name: string): MailboxHead | undefined {
  for (const mailbox of account.mailboxes.values()) if (mailbox.name === name) return mailbox;
  return undefined;
}

/** One act at a time for an account: for those that look at entries and then change them. */
export function inTurn<Value>(account: AccountHead, act: () => Promise<Value>): Promise<Value> {
  const result = account.turn.then(act);
  account.turn = result.catch(() => undefined);
  return result;
}
