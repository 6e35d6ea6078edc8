/** Records of what administrators do: to people, to rules and holds, with others' mail, and backups. */

import type { AccountId, MessageId } from "#model/mailbox";
import type { Account, Alias, Domain } from "#model/people";
import type { RetentionRule } from "#model/retention";
import type { MadeMailbox } from "./records.ts";

/** An administrator's act; `by` names the actor. */
interface Act {
  readonly by: string;
  readonly atMs: number;
}

interface DomainPutRecord extends Act {
  readonly kind: "domain-put";
  readonly domain: Domain;
}
interface DomainRemovedRecord extends Act {
  readonly kind: "domain-removed";
  readonly name: string;
}
/** With the mailboxes of a new account. */
export interface AccountPutRecord extends Act {
  readonly kind: "account-put";
  readonly account: Account;
  readonly made?: { readonly modSeq: number; readonly mailboxes: readonly MadeMailbox[] };
}
interface AccountRemovedRecord extends Act {
  readonly kind: "account-removed";
  readonly account: AccountId;
}
/** All factors of the account; what is in them is the directory's affair. */
export interface FactorsPutRecord extends Act {
  readonly kind: "factors-put";
  readonly account: AccountId;
  readonly factors: readonly object[];
}
interface AliasPutRecord extends Act {
  readonly kind: "alias-put";
  readonly alias: Alias;
}
interface AliasRemovedRecord extends Act {
  readonly kind: "alias-removed";
  readonly address: string;
}

/** Replaces the rule for the same account and mailbox. */
export interface RetentionPutRecord extends Act {
  readonly kind: "retention-put";
  readonly rule: RetentionRule;
}
export interface RetentionRemovedRecord extends Act {
  readonly kind: "retention-removed";
  readonly account: RetentionRule["account"];
  readonly mailbox: string;
}
export interface HoldPutRecord extends Act {
  readonly kind: "hold-put";
  readonly account: AccountId;
  readonly reason: string;
}
export interface HoldRemovedRecord extends Act {
  readonly kind: "hold-removed";
  readonly account: AccountId;
}
/** Durable before the octets are given out. */
export interface ReadByOtherRecord extends Act {
  readonly kind: "read-by-other";
  readonly account: AccountId;
  readonly message: MessageId;
  readonly reason: string;
}

/** A backup that was tried, whatever came of it. */
export interface BackedUpRecord extends Act {
  readonly kind: "backed-up";
  readonly ok: boolean;
  /** Where to, as people call it. */
  readonly target: string;
  readonly seconds: number;
  /** Name of the manifest, when it was made; the same with what follows. */
  readonly backup?: string;
  /** The last record in it. */
  readonly lsn?: number;
  readonly newBytes?: number;
  readonly repairedPages?: number;
  /** Why it was not made. Names nobody. */
  readonly reason?: string;
}

/** A restore that was tried out on the side. */
export interface DrilledRecord extends Act {
  readonly kind: "drilled";
  readonly ok: boolean;
  /** Name of the manifest. */
  readonly backup: string;
  readonly seconds: number;
  /** Read and compared with their marks in the history. */
  readonly messages: number;
  readonly reason?: string;
}

export type PeopleAct =
  | DomainPutRecord
  | DomainRemovedRecord
  | AccountPutRecord
  | AccountRemovedRecord
  | FactorsPutRecord
  | AliasPutRecord
  | AliasRemovedRecord;

export type RetentionAct =
  | RetentionPutRecord
  | RetentionRemovedRecord
  | HoldPutRecord
  | HoldRemovedRecord
  | ReadByOtherRecord;

export type BackupAct = BackedUpRecord | DrilledRecord;
