/** Logins: the same work for every name, slowed down where somebody guesses (NIST SP 800-63B). */

import { createHmac } from "node:crypto";
import type { Clock } from "#base/clock";
import { Gate } from "#base/limits";
import type { Random } from "#base/random";
import type { LoginDoor, LoginOutcome } from "#contracts/directory";
import type { Account } from "#model/people";
import type { DirectoryEvents } from "./events.ts";
import type { DirectoryLimits } from "./parameters.ts";
import {
  type Derive,
  type HashCost,
  isPassword,
  isSameCost,
  maxPasswordLength,
  type PasswordHash,
  parseHash,
} from "./passwords.ts";
import { Failures, networkOf, Remembered } from "./slow-down.ts";

export interface LoginDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: DirectoryLimits;
  readonly events: DirectoryEvents;
  readonly derive: Derive;
  readonly cost: HashCost;
  find(name: string): Account | undefined;
  /** The password was right, but its hash was made with another cost than today's. */
  outdated(account: Account, password: string): void;
}

export interface Attempt {
  readonly name: string;
  readonly password: string;
  readonly door: LoginDoor;
  readonly from: string;
}

const day = 86_400_000;

export class Logins {
  readonly #deps: LoginDeps;
  readonly #cacheKey: Buffer;
  /** Stands in for an unknown name, so that it costs the same (no list of users to be had). */
  readonly #decoy: PasswordHash;
  readonly #byAccount: Failures;
  readonly #byNetwork: Failures;
  readonly #byPair: Failures;
  readonly #knownPairs: Remembered;
  readonly #recent: Remembered;
  readonly #inFlight = new Map<string, Promise<boolean | undefined>>();
  /** People from networks they used before do not wait behind strangers. */
  readonly #gates: { readonly known: Gate; readonly strange: Gate };

  constructor(deps: LoginDeps) {
    const { clock, random, limits } = deps;
    this.#deps = deps;
    this.#cacheKey = random.bytes(32);
    this.#decoy = { cost: deps.cost, salt: random.bytes(16), tag: random.bytes(32) };
    const recoveryMs = limits.failureRecoveryS * 1000;
    this.#byAccount = new Failures(clock, limits.accountFailures, recoveryMs);
    this.#byNetwork = new Failures(clock, limits.networkFailures, recoveryMs);
    this.#byPair = new Failures(clock, limits.accountFailures, recoveryMs);
    this.#knownPairs = new Remembered(clock, limits.knownNetworkDays * day);
    this.#recent = new Remembered(clock, limits.rememberLoginS * 1000);
    this.#gates = {
      known: new Gate(limits.hashWidth, limits.hashDepth),
      strange: new Gate(limits.hashWidth, limits.hashDepth),
    };
  }

  async login({ name, password, door, from }: Attempt): Promise<LoginOutcome> {
    const account = this.#deps.find(name);
    const outcome = await this.#decide(account, name, password, networkOf(from));
    this.#deps.events.login(door, outcome.ok ? "ok" : outcome.reason);
    return outcome;
  }

  async #decide(
    account: Account | undefined,
    name: string,
    password: string,
    network: string,
  ): Promise<LoginOutcome> {
    if (password.length > maxPasswordLength) return { ok: false, reason: "refused" };
    const hash = account?.passwordHash;
    const key = this.#hmac(`${hash ?? ""}\0${name}\0${password}`);
    if (account !== undefined && this.#recent.has(key)) return welcome(account);

    const pair = this.#hmac(`${name}\0${network}`);
    const known = this.#knownPairs.has(pair);
    if (!this.#charge(known, name, network, pair)) return { ok: false, reason: "slow-down" };
    const right = await this.#shared(key, hash, password, known);
    if (right !== false) this.#refund(known, name, network, pair);
    if (right === undefined) return { ok: false, reason: "busy" };
    // The account may have gone or changed its password meanwhile.
    const still = this.#deps.find(name);
    if (!right || still === undefined || still.passwordHash !== hash) {
      return { ok: false, reason: "refused" };
    }
    this.#recent.add(key);
    this.#knownPairs.add(pair);
    this.#modernise(still, password);
    return welcome(still);
  }

  /** One hash for all who ask the same at once, as mail clients with five connections do. */
  #shared(
    key: string,
    hash: string | undefined,
    password: string,
    known: boolean,
  ): Promise<boolean | undefined> {
    let work = this.#inFlight.get(key);
    if (work === undefined) {
      const gate = known ? this.#gates.known : this.#gates.strange;
      work = gate.run(() => this.#verify(hash, password));
      this.#inFlight.set(key, work);
      const done = (): void => void this.#inFlight.delete(key);
      work.then(done, done);
    }
    return work;
  }

  async #verify(text: string | undefined, password: string): Promise<boolean> {
    const parsed = text === undefined ? undefined : parseHash(text);
    const real = parsed?.ok ? parsed.value : undefined;
    const matches = await isPassword(password, real ?? this.#decoy, this.#deps.derive);
    return matches && real !== undefined;
  }

  /**
   * A pair that logged in before answers for itself alone, so that strangers who guess at an
   * account, or at others behind the same address, never shut its owner out.
   */
  #charge(known: boolean, name: string, network: string, pair: string): boolean {
    if (known) return this.#byPair.charge(pair);
    if (!this.#byNetwork.charge(network)) return false;
    if (this.#byAccount.charge(this.#hmac(name))) return true;
    this.#byNetwork.refund(network);
    return false;
  }

  #refund(known: boolean, name: string, network: string, pair: string): void {
    if (known) return this.#byPair.refund(pair);
    this.#byNetwork.refund(network);
    this.#byAccount.refund(this.#hmac(name));
  }

  #modernise(account: Account, password: string): void {
    const parsed = parseHash(account.passwordHash ?? "");
    if (parsed.ok && !isSameCost(parsed.value.cost, this.#deps.cost)) {
      this.#deps.outdated(account, password);
    }
  }

  /** Under a key of this process: neither passwords nor mistyped names stay in memory as such. */
  #hmac(text: string): string {
    return createHmac("sha256", this.#cacheKey).update(text).digest("base64url");
  }
}

function welcome({ id, address, displayName }: Account): LoginOutcome {
  return { ok: true, person: { id, address, displayName } };
}
