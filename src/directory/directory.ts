/** The directory: tables loaded from the store and kept in step with it, logins, administration. */

import type { Clock } from "#base/clock";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { Random } from "#base/random";
import type { Directory, LoginOutcome, Person } from "#contracts/directory";
import type { PeopleStore } from "#contracts/store";
import type { AccountId } from "#model/mailbox";
import type { Account, Alias, Domain } from "#model/people";
import { createAdmin } from "./admin.ts";
import { CodeTries } from "./code-tries.ts";
import { directoryEvents } from "./events.ts";
import type { Factor, FactorStore } from "./factors.ts";
import { type AnyDoor, Logins } from "./login.ts";
import type { DirectoryLimits } from "./parameters.ts";
import { type Derive, deriveArgon2id, type HashCost } from "./passwords.ts";
import { Tables } from "./tables.ts";

export interface DirectoryDeps {
  readonly people: PeopleStore;
  readonly factors: FactorStore;
  /** Nobody enters by password alone: programs need an app password. */
  readonly needsSecondFactor: boolean;
  /** Domains whose addresses, but for those that are here, are on a server inside; lower case. */
  readonly gatewayDomains?: readonly string[];
  readonly clock: Clock;
  /** Must be the system's: salts and the key of remembered logins come from it. */
  readonly random: Random;
  readonly log: Log;
  readonly registry: Registry;
  readonly limits: DirectoryLimits;
  /** Argon2id unless a test counts the work. */
  readonly derive?: Derive;
}

export type AdminFault =
  | "bad-address"
  | "bad-domain"
  | "exists"
  | "in-use"
  | "loop"
  | "no-such"
  | "no-such-target"
  | "not-local"
  | "weak-password";

export type AdminOutcome<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly fault: AdminFault };

/** Every change is durable when its promise resolves; `by` names the actor for the record. */
export interface DirectoryAdmin {
  addDomain(name: string, by: string): Promise<AdminOutcome<Domain>>;
  /** Refused as in-use while an account or an alias has an address in it. */
  removeDomain(name: string, by: string): Promise<AdminOutcome<true>>;
  /** Without a password the account receives mail but cannot log in. */
  addAccount(
    account: {
      readonly address: string;
      readonly displayName: string;
      readonly password?: string;
    },
    by: string,
  ): Promise<AdminOutcome<Person>>;
  removeAccount(address: string, by: string): Promise<AdminOutcome<true>>;
  setPassword(address: string, password: string, by: string): Promise<AdminOutcome<true>>;
  /** Adds it, or replaces its targets. They may be elsewhere; in our domains they must exist, and
   * none may lead back to the alias. */
  addAlias(address: string, targets: readonly string[], by: string): Promise<AdminOutcome<Alias>>;
  removeAlias(address: string, by: string): Promise<AdminOutcome<true>>;
  /** In characters. */
  readonly minPasswordLength: number;
  domains(): readonly Domain[];
  accounts(): readonly (Person & { readonly mayLogIn: boolean; readonly createdAtMs: number })[];
  aliases(): readonly Alias[];
  /** Lower case; what the edge may answer 250 to. Sub-addresses (user+tag) are not listed. */
  deliverableAddresses(): readonly string[];
  /** Called after each change. Returns the way to stop. */
  onChange(listener: () => void): () => void;
}

export type CodeOutcome = "right" | "wrong" | "slow-down";

export interface DirectoryFactors {
  /**
   * As the contract's, for published applications, too. Where nobody can ask for a second factor, who
   * has one enters by an app password only.
   */
  login(name: string, password: string, door: AnyDoor, from: string): Promise<LoginOutcome>;
  factors(account: AccountId): readonly Factor[];
  /**
   * One change after the other, so that what is used up is used once.
   *
   * @param by who acts, for the record; "login" when it was the use of a factor
   * @param change gives the factors afterwards, or undefined to leave them as they are
   * @returns whether it was done; durable then
   */
  changeFactors(
    account: AccountId,
    by: string,
    change: (factors: readonly Factor[]) => readonly Factor[] | undefined,
  ): Promise<boolean>;
  /**
   * Slows down who guesses at codes, apart from passwords: such a guess is easier.
   *
   * @param check not asked when there were too many failures
   */
  tryCode(account: AccountId, from: string, check: () => Promise<boolean>): Promise<CodeOutcome>;
}

export interface OpenDirectory extends DirectoryAdmin, Omit<Directory, "login">, DirectoryFactors {}

export async function openDirectory(deps: DirectoryDeps): Promise<OpenDirectory> {
  const { people, factors, clock, random, limits, needsSecondFactor } = deps;
  const tables = new Tables(deps.gatewayDomains);
  for (const domain of await people.domains()) tables.putDomain(domain);
  for (const account of await people.accounts()) tables.putAccount(account);
  for (const alias of await people.aliases()) tables.putAlias(alias);
  for (const one of await factors.all()) {
    tables.putFactors(one.account, one.factors as readonly Factor[]);
  }

  const events = directoryEvents(deps.log, deps.registry);
  const derive = deps.derive ?? deriveArgon2id;
  const cost: HashCost = { memoryKib: limits.hashMemoryKib, passes: limits.hashPasses, lanes: 1 };
  const admin = createAdmin({
    people,
    factors,
    tables,
    clock,
    random,
    limits,
    events,
    derive,
    cost,
  });
  const find = (name: string): Account | undefined => tables.accountByAddress(name);
  const outdated = (account: Account, password: string): void => {
    admin.setPassword(account.address, password, "login").catch(events.unhashed);
  };
  const logins = new Logins({
    ...{ clock, random, limits, events, derive, cost, find, outdated, needsSecondFactor },
    factors: (account) => tables.factorsOf(account),
  });
  const codes = new CodeTries(clock, limits);

  return {
    ...admin,
    login: (name, password, door, from) => logins.login({ name, password, door, from }),
    tryCode: (account, from, check) => codes.try(account, from, check),
    ...lookups(tables),
  };
}

function lookups(tables: Tables): Omit<Directory, "login"> {
  return {
    hasAppPassword: (account, id) =>
      tables.factorsOf(account).some((one) => one.kind === "app-password" && one.id === id),
    person: (account) => personOf(tables.accounts.get(account)),
    personByAddress: (address) => personOf(tables.accountByAddress(address)),
    isLocalDomain: (domain) => tables.domains.has(domain.toLowerCase()),
    resolve: (address) => tables.resolve(address),
    maySendAs: (account, address) => tables.soleAccount(address) === account,
    identities: (account) => identitiesOf(tables, account),
  };
}

function identitiesOf(tables: Tables, id: AccountId): readonly string[] {
  const account = tables.accounts.get(id);
  if (account === undefined) return [];
  const aliases = [...tables.aliases.values()]
    .map((alias) => alias.address)
    .filter((address) => tables.soleAccount(address) === id);
  return [account.address, ...aliases];
}

function personOf(account: Account | undefined): Person | undefined {
  if (account === undefined) return undefined;
  const { id, address, displayName } = account;
  return { id, address, displayName };
}
