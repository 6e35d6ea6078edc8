/** Changes to domains, accounts and aliases: the store first, then the tables, then who listens. */

import type { Clock } from "#base/clock";
import type { Random } from "#base/random";
import type { PeopleStore } from "#contracts/store";
import type { Account } from "#model/people";
import type { AdminFault, AdminOutcome, DirectoryAdmin, DirectoryFactors } from "./directory.ts";
import type { DirectoryEvents } from "./events.ts";
import { type FactorStore, maxFactors } from "./factors.ts";
import { isAddress, isDomainName } from "./names.ts";
import type { DirectoryLimits } from "./parameters.ts";
import { type Derive, type HashCost, hashPassword, maxPasswordLength } from "./passwords.ts";
import { domainOf, keyOf, type Tables } from "./tables.ts";

export interface AdminDeps {
  readonly people: PeopleStore;
  readonly factors: FactorStore;
  readonly tables: Tables;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: DirectoryLimits;
  readonly events: DirectoryEvents;
  readonly derive: Derive;
  readonly cost: HashCost;
}

/** Our limit on the targets of one alias. */
const maxTargets = 500;

export function createAdmin(
  deps: AdminDeps,
): DirectoryAdmin & Pick<DirectoryFactors, "factors" | "changeFactors"> {
  const { tables } = deps;
  const changes = new Changes(deps.events);
  return {
    ...domainActs(deps, changes),
    ...accountActs(deps, changes),
    ...aliasActs(deps, changes),
    ...factorActs(deps, changes),
    minPasswordLength: deps.limits.minPasswordLength,
    domains: () => [...tables.domains.values()],
    accounts: () =>
      [...tables.accounts.values()].map((account) => ({
        id: account.id,
        address: account.address,
        displayName: account.displayName,
        mayLogIn: account.passwordHash !== undefined,
        createdAtMs: account.createdAtMs,
      })),
    aliases: () => [...tables.aliases.values()],
    deliverableAddresses: () => [...tables.deliverable()],
    onChange: (listener) => changes.listen(listener),
  };
}

/** One change at a time, so that a check still holds when its write happens. */
class Changes {
  readonly #events: DirectoryEvents;
  readonly #listeners = new Set<() => void>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(events: DirectoryEvents) {
    this.#events = events;
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Nobody listens to what is done this way. */
  quietly<Value>(act: () => Promise<Value>): Promise<Value> {
    const outcome = this.#last.then(act);
    this.#last = outcome.catch(() => {});
    return outcome;
  }

  run<Value>(
    what: string,
    by: string,
    act: () => Promise<AdminOutcome<Value>>,
  ): Promise<AdminOutcome<Value>> {
    return this.quietly(act).then((result) => {
      if (result.ok) {
        this.#events.changed(what, by);
        for (const listener of this.#listeners) listener();
      }
      return result;
    });
  }
}

function domainActs(
  { people, tables }: AdminDeps,
  changes: Changes,
): Pick<DirectoryAdmin, "addDomain" | "removeDomain"> {
  return {
    addDomain: (given, by) =>
      changes.run("domain added", by, async () => {
        const domain = { name: given.toLowerCase() };
        if (!isDomainName(domain.name)) return refused("bad-domain");
        if (tables.domains.has(domain.name)) return refused("exists");
        await people.putDomain(domain, by);
        tables.putDomain(domain);
        return done(domain);
      }),
    removeDomain: (given, by) =>
      changes.run("domain removed", by, async () => {
        const name = given.toLowerCase();
        if (!tables.domains.has(name)) return refused("no-such");
        const used = [...tables.accounts.values(), ...tables.aliases.values()];
        if (used.some(({ address }) => domainOf(keyOf(address)) === name)) {
          return refused("in-use");
        }
        await people.removeDomain(name, by);
        tables.domains.delete(name);
        return done(true);
      }),
  };
}

function accountActs(
  { people, tables, clock, random, limits, derive, cost }: AdminDeps,
  changes: Changes,
): Pick<DirectoryAdmin, "addAccount" | "removeAccount" | "setPassword"> {
  const put = async (account: Account, by: string): Promise<void> => {
    await people.putAccount(account, by);
    tables.putAccount(account);
  };
  const isWeak = (password: string): boolean =>
    Array.from(password).length < limits.minPasswordLength || password.length > maxPasswordLength;

  return {
    addAccount: ({ address: given, displayName, password }, by) =>
      changes.run("account added", by, async () => {
        const address = keyOf(given);
        const fault = faultOfNew(tables, address);
        if (fault !== undefined) return refused(fault);
        if (password !== undefined && isWeak(password)) return refused("weak-password");
        const id = random.bytes(16).toString("hex");
        const passwordHash =
          password === undefined ? undefined : await hashPassword(password, cost, random, derive);
        await put(
          {
            id,
            address,
            displayName,
            createdAtMs: clock.nowMs(),
            ...(passwordHash !== undefined && { passwordHash }),
          },
          by,
        );
        return done({ id, address, displayName });
      }),
    removeAccount: (address, by) =>
      changes.run("account removed", by, async () => {
        const account = tables.accountByAddress(address);
        if (account === undefined) return refused("no-such");
        await people.removeAccount(account.id, by);
        tables.removeAccount(account.id);
        return done(true);
      }),
    setPassword: (address, password, by) =>
      changes.run("password set", by, async () => {
        const account = tables.accountByAddress(address);
        if (account === undefined) return refused("no-such");
        if (isWeak(password)) return refused("weak-password");
        const passwordHash = await hashPassword(password, cost, random, derive);
        await put({ ...account, passwordHash }, by);
        return done(true);
      }),
  };
}

function aliasActs(
  { people, tables }: AdminDeps,
  changes: Changes,
): Pick<DirectoryAdmin, "addAlias" | "removeAlias"> {
  return {
    addAlias: (given, targets, by) =>
      changes.run("alias set", by, async () => {
        const address = keyOf(given);
        const fault = tables.aliases.has(address) ? undefined : faultOfNew(tables, address);
        if (fault !== undefined) return refused(fault);
        const usable = targets.length > 0 && targets.length <= maxTargets;
        if (!usable || !targets.every(isAddress)) return refused("bad-address");
        const astray = faultOfTargets(tables, address, targets);
        if (astray !== undefined) return refused(astray);
        const alias = { address, targets: [...targets] };
        await people.putAlias(alias, by);
        tables.putAlias(alias);
        return done(alias);
      }),
    removeAlias: (given, by) =>
      changes.run("alias removed", by, async () => {
        const address = keyOf(given);
        if (!tables.aliases.has(address)) return refused("no-such");
        await people.removeAlias(address, by);
        tables.aliases.delete(address);
        return done(true);
      }),
  };
}

function factorActs(
  { factors, tables, events }: AdminDeps,
  changes: Changes,
): Pick<DirectoryFactors, "factors" | "changeFactors"> {
  return {
    factors: (account) => tables.factorsOf(account),
    changeFactors: (account, by, change) =>
      changes.quietly(async () => {
        if (!tables.accounts.has(account)) return false;
        const after = change(tables.factorsOf(account));
        if (after === undefined || after.length > maxFactors) return false;
        if (!(await factors.put(account, after, by))) return false;
        tables.putFactors(account, after);
        if (by !== "login") events.changed("factors", by);
        return true;
      }),
  };
}

function faultOfNew(tables: Tables, address: string): AdminFault | undefined {
  if (!isAddress(address)) return "bad-address";
  if (!tables.domains.has(domainOf(address))) return "not-local";
  const taken = tables.accountByAddress(address) !== undefined || tables.aliases.has(address);
  return taken ? "exists" : undefined;
}

/** Mail must not be accepted for an alias that leads to nobody. */
function faultOfTargets(
  tables: Tables,
  alias: string,
  targets: readonly string[],
): AdminFault | undefined {
  for (const target of targets) {
    const { destinations, passed } = tables.follow(target, 1);
    if (passed.has(alias)) return "loop";
    if (destinations.length === 0) return "no-such-target";
  }
  return undefined;
}

const done = <Value>(value: Value): AdminOutcome<Value> => ({ ok: true, value });
const refused = (fault: AdminFault): { readonly ok: false; readonly fault: AdminFault } => ({
  ok: false,
  fault,
});
