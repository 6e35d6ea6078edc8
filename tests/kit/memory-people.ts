/** The directory's stores in memory. */

import type { PeopleStore } from "#contracts/store";
import type { Account, Alias, Domain } from "#model/people";

export function memoryPeople(): PeopleStore & { readonly writes: string[] } {
  const domains = new Map<string, Domain>();
  const accounts = new Map<string, Account>();
  const aliases = new Map<string, Alias>();
  const writes: string[] = [];
  return {
    writes,
    domains: async () => [...domains.values()],
    accounts: async () => [...accounts.values()],
    aliases: async () => [...aliases.values()],
    putDomain: async (domain) => void domains.set(domain.name, domain),
    putAccount: async (account, by) => {
      writes.push(`${by} put ${account.address}`);
      accounts.set(account.id, account);
    },
    putAlias: async (alias) => void aliases.set(alias.address, alias),
    removeDomain: async (name) => domains.delete(name),
    removeAccount: async (id) => accounts.delete(id),
    removeAlias: async (address) => aliases.delete(address),
  };
}

export interface MemoryFactors {
  all(): Promise<readonly { readonly account: string; readonly factors: readonly object[] }[]>;
  put(account: string, factors: readonly object[], by: string): Promise<boolean>;
}

export function memoryFactors(): MemoryFactors {
  const kept = new Map<string, readonly object[]>();
  return {
    all: async () => [...kept].map(([account, factors]) => ({ account, factors })),
    put: async (account, factors) => {
      kept.set(account, factors);
      return true;
    },
  };
}
