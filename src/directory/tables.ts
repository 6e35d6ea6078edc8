/** Domains, accounts and aliases in memory, and where an address leads. */

import type { Destination } from "#contracts/directory";
import type { AccountId } from "#model/mailbox";
import type { Account, Alias, Domain } from "#model/people";
import type { Factor } from "./factors.ts";

/** Aliases of aliases of aliases: our limit. */
const maxDepth = 10;
/** Our limit on what one address may fan out to. */
const maxDestinations = 1000;

/** @param gateways domains of ours whose other addresses are on a server inside */
export class Tables {
  readonly domains: Map<string, Domain> = new Map();
  readonly accounts: Map<AccountId, Account> = new Map();
  readonly aliases: Map<string, Alias> = new Map();
  readonly #byAddress = new Map<string, Account>();
  readonly #factors = new Map<AccountId, readonly Factor[]>();
  readonly #gateways: ReadonlySet<string>;

  constructor(gateways: readonly string[] = []) {
    this.#gateways = new Set(gateways);
  }

  putDomain(domain: Domain): void {
    this.domains.set(domain.name.toLowerCase(), domain);
  }

  putAccount(account: Account): void {
    this.#forgetAddress(account.id);
    this.accounts.set(account.id, account);
    this.#byAddress.set(keyOf(account.address), account);
  }

  putAlias(alias: Alias): void {
    this.aliases.set(keyOf(alias.address), alias);
  }

  removeAccount(id: AccountId): void {
    this.#forgetAddress(id);
    this.accounts.delete(id);
    this.#factors.delete(id);
  }

  putFactors(account: AccountId, factors: readonly Factor[]): void {
    if (factors.length === 0) this.#factors.delete(account);
    else this.#factors.set(account, factors);
  }

  factorsOf(account: AccountId): readonly Factor[] {
    return this.#factors.get(account) ?? [];
  }

  accountByAddress(address: string): Account | undefined {
    return this.#byAddress.get(keyOf(address));
  }

  isLocal(address: string): boolean {
    return this.domains.has(domainOf(keyOf(address)));
  }

  resolve(address: string): readonly Destination[] {
    return this.isLocal(address) ? this.follow(address, 0).destinations : [];
  }

  /** @param from 0 for an address that mail comes to, 1 for the target of an alias */
  follow(
    address: string,
    from: 0 | 1,
  ): { readonly destinations: readonly Destination[]; readonly passed: ReadonlySet<string> } {
    const found = new Map<string, Destination>();
    const seen = new Set<string>();
    const follow = (target: string, depth: number): void => {
      const key = this.#knownKey(keyOf(target));
      if (seen.has(key) || depth > maxDepth || found.size >= maxDestinations) return;
      seen.add(key);
      const alias = this.aliases.get(key);
      const account = this.#byAddress.get(key) ?? (alias ? undefined : this.#postmaster(key));
      if (account !== undefined) {
        found.set(account.id, { kind: "account", account: account.id });
      } else if (alias !== undefined) {
        for (const next of alias.targets) follow(next, depth + 1);
      } else if (this.#isInside(key) || (!this.isLocal(key) && depth > 0)) {
        found.set(key, { kind: "elsewhere", address: target });
      }
    };
    follow(address, from);
    return { destinations: [...found.values()], passed: seen };
  }

  /** The account that an address leads to alone. */
  soleAccount(address: string): AccountId | undefined {
    const [only, another] = this.resolve(address);
    return only?.kind === "account" && another === undefined ? only.account : undefined;
  }

  /** Every address that reaches somebody, sub-addresses apart. */
  *deliverable(): Iterable<string> {
    const all = [...this.#byAddress.keys(), ...this.aliases.keys()];
    for (const name of this.domains.keys()) {
      const postmaster = `postmaster@${name}`;
      if (!this.#byAddress.has(postmaster) && !this.aliases.has(postmaster)) all.push(postmaster);
    }
    for (const address of all) if (this.resolve(address).length > 0) yield address;
  }

  #isInside(key: string): boolean {
    return this.#gateways.has(domainOf(key));
  }

  #forgetAddress(id: AccountId): void {
    const old = this.accounts.get(id);
    if (old !== undefined) this.#byAddress.delete(keyOf(old.address));
  }

  /** The key itself when it is known, else without the part from "+" on: user+tag reaches user. */
  #knownKey(key: string): string {
    if (this.#byAddress.has(key) || this.aliases.has(key) || !this.isLocal(key)) return key;
    const plus = key.indexOf("+");
    const at = key.lastIndexOf("@");
    return plus > 0 && plus < at ? key.slice(0, plus) + key.slice(at) : key;
  }

  /** RFC 5321 §4.5.1: mail to postmaster always reaches somebody; here the oldest account. */
  #postmaster(key: string): Account | undefined {
    if (!key.startsWith("postmaster@") || !this.isLocal(key)) return undefined;
    if (this.#isInside(key)) return undefined;
    let oldest: Account | undefined;
    for (const account of this.accounts.values()) {
      if (oldest === undefined || account.createdAtMs < oldest.createdAtMs) oldest = account;
    }
    return oldest;
  }
}

/** Our own local parts do not tell cases apart; domains never do (RFC 5321 §2.4). */
export function keyOf(address: string): string {
  return address.normalize("NFC").toLowerCase();
}

export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf("@") + 1);
}
