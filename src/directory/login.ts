/** Logins: the same work for every name, slowed down where somebody guesses (NIST SP 800-63B). */

import { createHmac } from "node:crypto";
import type { Clock } from "#base/clock";
import { clientNetwork } from "#base/ip";
import { Gate } from "#base/limits";
import type { Random } from "#base/random";
import type { LoginDoor, LoginOutcome } from "#contracts/directory";
import type { AccountId } from "#model/mailbox";
import type { Account } from "#model/people";
import { findAppPassword } from "./app-passwords.ts";
import type { DirectoryEvents } from "./events.ts";
import { type Factor, hasSecondFactor } from "./factors.ts";
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
import { Guard, Remembered, type Try } from "./slow-down.ts";
import { keyOf } from "./tables.ts";

export interface LoginDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: DirectoryLimits;
  readonly events: DirectoryEvents;
  readonly derive: Derive;
  readonly cost: HashCost;
  find(name: string): Account | undefined;
  factors(account: AccountId): readonly Factor[];
  /** Nobody enters by password alone: programs need an app password. */
  readonly needsSecondFactor: boolean;
  /** The password was right, but its hash was made with another cost than today's. */
  outdated(account: Account, password: string): void;
}

/** Where it is asked; "basic" is a published application whose programs know no form. */
export type AnyDoor = LoginDoor | "basic";

export interface Attempt {
  readonly name: string;
  readonly password: string;
  readonly door: AnyDoor;
  readonly from: string;
}

const day = 86_400_000;

export class Logins {
  readonly #deps: LoginDeps;
  readonly #cacheKey: Buffer;
  /** Stands in for an unknown name, so that it costs the same (no list of users to be had). */
  readonly #decoy: PasswordHash;
  readonly #guard: Guard;
  readonly #recent: Remembered;
  readonly #inFlight = new Map<string, Promise<boolean | undefined>>();
  /** People from networks they used before do not wait behind strangers. */
  readonly #gates: { readonly known: Gate; readonly strange: Gate };

  constructor(deps: LoginDeps) {
    const { clock, random, limits } = deps;
    this.#deps = deps;
    this.#cacheKey = random.bytes(32);
    this.#decoy = { cost: deps.cost, salt: random.bytes(16), tag: random.bytes(32) };
    this.#guard = new Guard(clock, {
      ...limits,
      recoveryMs: limits.failureRecoveryS * 1000,
      knownMs: limits.knownNetworkDays * day,
    });
    this.#recent = new Remembered(clock, limits.rememberLoginS * 1000);
    this.#gates = {
      known: new Gate(limits.hashWidth, limits.hashDepth),
      strange: new Gate(limits.hashWidth, limits.hashDepth),
    };
  }

  async login(attempt: Attempt): Promise<LoginOutcome> {
    const outcome = await this.#decide(attempt, this.#deps.find(attempt.name));
    this.#deps.events.login(attempt.door, outcome.ok ? "ok" : outcome.reason);
    return outcome;
  }

  async #decide(attempt: Attempt, account: Account | undefined): Promise<LoginOutcome> {
    const { name, password, from } = attempt;
    if (password.length > maxPasswordLength) return refused;
    const hash = account?.passwordHash;
    const key = this.#hmac(`${hash ?? ""}\0${name}\0${password}`);
    if (account !== undefined && this.#suffices(attempt, account) && this.#recent.has(key)) {
      return welcome(account);
    }
    // However it is spelled, so that nobody gets more tries by capitals.
    const one = this.#guard.enter(this.#hmac(keyOf(name)), clientNetwork(from));
    if (one === undefined) return { ok: false, reason: "slow-down" };
    const appPassword = account && this.#appPassword(attempt, account);
    if (account !== undefined && appPassword !== undefined) {
      one.welcome();
      return { ...welcome(account), appPassword };
    }
    return this.#hashed(attempt, { account, hash, key, one });
  }

  async #hashed(attempt: Attempt, { account, hash, key, one }: Asked): Promise<LoginOutcome> {
    const right = await this.#shared(key, hash, attempt.password, one.known);
    if (right === undefined) {
      one.refund();
      return { ok: false, reason: "busy" };
    }
    // The account may have gone or changed its password or factors meanwhile.
    const still = this.#deps.find(attempt.name);
    const isSame = still !== undefined && still.id === account?.id && still.passwordHash === hash;
    if (!right || !isSame || !this.#suffices(attempt, still)) return refused;
    one.welcome();
    this.#recent.add(key);
    this.#modernise(still, attempt.password);
    return welcome(still);
  }

  /** Where nobody can ask for a second factor, the password of who has one is not enough. */
  #suffices({ door }: Attempt, { id }: Account): boolean {
    if (door === "web") return true;
    return !this.#deps.needsSecondFactor && !hasSecondFactor(this.#deps.factors(id));
  }

  #appPassword({ door, password }: Attempt, { id }: Account): string | undefined {
    return door === "web" ? undefined : findAppPassword(password, this.#deps.factors(id));
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

interface Asked {
  readonly account: Account | undefined;
  readonly hash: string | undefined;
  readonly key: string;
  readonly one: Try;
}

const refused = { ok: false, reason: "refused" } as const;

function welcome({ id, address, displayName }: Account): LoginOutcome & { readonly ok: true } {
  return { ok: true, person: { id, address, displayName } };
}
