/** What doors and routing ask of the directory: who somebody is, and where an address leads. */

import type { AccountId } from "#model/mailbox";

export interface Person {
  readonly id: AccountId;
  readonly address: string;
  readonly displayName: string;
}

/** Where mail for an address goes. */
export type Destination =
  | { readonly kind: "account"; readonly account: AccountId }
  | { readonly kind: "elsewhere"; readonly address: string };

/** The door that asks; measured and slowed down apart. */
export type LoginDoor = "imap" | "submission" | "web" | "pop3";

export type LoginOutcome =
  | {
      readonly ok: true;
      readonly person: Person;
      /** Id of the app password that it was; absent: the account's own. */
      readonly appPassword?: string;
    }
  /** The same for an unknown name and a wrong password, after the same time. */
  | { readonly ok: false; readonly reason: "refused" | "slow-down" | "busy" };

export interface Directory {
  /**
   * @param from address of the client, for the slow-down per network
   */
  login(name: string, password: string, door: LoginDoor, from: string): Promise<LoginOutcome>;
  /** Who came in by one that was removed meanwhile is in no longer. */
  hasAppPassword(account: AccountId, id: string): boolean;
  person(account: AccountId): Person | undefined;
  personByAddress(address: string): Person | undefined;
  isLocalDomain(domain: string): boolean;
  /** Aliases followed (at most 10 deep), sub-addresses (user+tag) folded; empty: nobody here. */
  resolve(address: string): readonly Destination[];
  /** May this account send as that address (its own, or an alias that leads to it alone)? */
  maySendAs(account: AccountId, address: string): boolean;
  /** Addresses the account may send as, the primary first. */
  identities(account: AccountId): readonly string[];
}
