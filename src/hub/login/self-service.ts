/** What people do about their own factors, sessions and password, once they are signed in. */

import {
  base32,
  checkRegistration,
  checkTotp,
  makeRecoveryCodes,
  otpauthUri,
  registrationOptions,
  totpSecretBytes,
} from "#access/factors";
import type { Sessions } from "#access/sessions";
import type { Clock } from "#base/clock";
import type { Random } from "#base/random";
import type { LoginOutcome, Person } from "#contracts/directory";
import {
  type DirectoryAdmin,
  type DirectoryFactors,
  type Factor,
  hasSecondFactor,
  makeAppPassword,
  withoutFactor,
} from "#directory";
import type { AccountId } from "#model/mailbox";
import { factorId, newPasskey, passkeysAt } from "./factors.ts";
import type { Login } from "./login.ts";

export interface SelfServiceDeps {
  readonly sessions: Sessions;
  readonly directory: Pick<DirectoryFactors, "login" | "factors" | "changeFactors"> &
    Pick<DirectoryAdmin, "setPassword" | "minPasswordLength">;
  readonly login: Pick<Login, "forget">;
  /** What authenticator apps show above the code. */
  readonly issuer: string;
  readonly clock: Clock;
  readonly random: Random;
}

/** Who acts, from which page. */
export interface Visitor {
  readonly person: Person;
  /** Of the session. */
  readonly handle: string;
  readonly host: string;
  readonly clientAddress: string;
  /** The session is for nothing but this. */
  readonly enrolling: boolean;
}

export type SelfServiceFault =
  | "wrong-password"
  | "slow-down"
  | "busy"
  | "weak-password"
  | "wrong-code"
  | "bad-passkey"
  | "not-begun"
  | "no-such"
  | "too-many";

export type Served<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly fault: SelfServiceFault };

/** After an enrolment. */
export interface Enrolled {
  readonly id: string;
  /** Made with the first second factor; shown this once. */
  readonly recoveryCodes?: readonly string[];
  /** The session was for enrolling only and is over. */
  readonly signInAgain: boolean;
}

interface Begun {
  readonly totp?: Buffer;
  readonly challenge?: Buffer;
  readonly host: string;
  readonly endsAtTick: number;
}

/** Who acts in the ledger. */
const byOwner = "owner";
const enrolmentMs = 600_000;

export class SelfService {
  readonly #deps: SelfServiceDeps;
  /** One for each account: the next takes its place. */
  readonly #begun = new Map<AccountId, Begun>();

  constructor(deps: SelfServiceDeps) {
    this.#deps = deps;
  }

  /** The password again, before anything that changes how somebody signs in. */
  async confirm(
    { person, handle, clientAddress }: Visitor,
    password: string,
  ): Promise<Served<object>> {
    const { directory, sessions } = this.#deps;
    const outcome = await directory.login(person.address, password, "web", clientAddress);
    if (!outcome.ok) return wrongPassword(outcome);
    sessions.confirm(handle);
    return done({});
  }

  async changePassword(visitor: Visitor, old: string, next: string): Promise<Served<object>> {
    const { directory, sessions, login } = this.#deps;
    const { person, handle, clientAddress } = visitor;
    const outcome = await directory.login(person.address, old, "web", clientAddress);
    if (!outcome.ok) return wrongPassword(outcome);
    const set = await directory.setPassword(person.address, next, byOwner);
    if (!set.ok) return failed(set.fault === "weak-password" ? "weak-password" : "no-such");
    sessions.confirm(handle, next);
    sessions.revokeAll(person.id, handle);
    login.forget(person.id);
    return done({});
  }

  /** @returns the secret for apps, as text and as what a QR code says (otpauth) */
  beginTotp({ person, host }: Visitor): { readonly secret: string; readonly uri: string } {
    const secret = this.#deps.random.bytes(totpSecretBytes);
    this.#begin(person.id, { totp: secret, host });
    return { secret: base32(secret), uri: otpauthUri(secret, this.#deps.issuer, person.address) };
  }

  async finishTotp(visitor: Visitor, name: string, code: string): Promise<Served<Enrolled>> {
    const { clock, random } = this.#deps;
    const begun = this.#underWay(visitor)?.totp;
    if (begun === undefined) return failed("not-begun");
    const addedAtMs = clock.nowMs();
    const usedStep = checkTotp(begun, code, addedAtMs, -1);
    if (usedStep === undefined) return failed("wrong-code");
    const secret = begun.toString("base64url");
    const id = factorId(random);
    return this.#enrol(visitor, { kind: "totp", id, name, addedAtMs, secret, usedStep });
  }

  /** @returns JSON text of the options for `navigator.credentials.create` */
  async beginPasskey({ person, host }: Visitor): Promise<string> {
    const challenge = this.#deps.random.bytes(32);
    this.#begin(person.id, { challenge, host });
    const known = passkeysAt(this.#deps.directory.factors(person.id), { host });
    return registrationOptions({ host }, challenge, { ...person, handle: person.id }, known);
  }

  async finishPasskey(
    visitor: Visitor,
    name: string,
    credential: string,
  ): Promise<Served<Enrolled>> {
    const { clock, random } = this.#deps;
    const { host } = visitor;
    const challenge = this.#underWay(visitor)?.challenge;
    if (challenge === undefined) return failed("not-begun");
    this.#begun.delete(visitor.person.id); // whatever comes of it
    const checked = await checkRegistration({ host }, challenge, credential);
    if (!checked.ok) return failed("bad-passkey");
    const named = { id: factorId(random), name, addedAtMs: clock.nowMs() };
    return this.#enrol(visitor, newPasskey(checked.value, named));
  }

  async removeFactor({ person, handle }: Visitor, id: string): Promise<Served<object>> {
    const { directory } = this.#deps;
    let removed: Factor | undefined;
    const isDone = await directory.changeFactors(person.id, byOwner, (factors) => {
      removed = factors.find((one) => one.id === id);
      return removed && withoutFactor(factors, id);
    });
    if (!isDone) return failed("no-such");
    if (removed?.kind !== "app-password") this.#endOthers(person.id, handle);
    return done({});
  }

  /** Those before do no more. */
  async makeRecoveryCodes({ person }: Visitor): Promise<Served<{ codes: readonly string[] }>> {
    const { directory, random, clock } = this.#deps;
    const { codes, digests } = makeRecoveryCodes(random);
    const made = recoveryFactor(factorId(random), digests, clock.nowMs());
    const isDone = await directory.changeFactors(person.id, byOwner, (factors) =>
      hasSecondFactor(factors)
        ? [...factors.filter(({ kind }) => kind !== "recovery-codes"), made]
        : undefined,
    );
    return isDone ? done({ codes }) : failed("no-such");
  }

  async makeAppPassword(
    { person }: Pick<Visitor, "person">,
    name: string,
    by: string = byOwner,
  ): Promise<Served<{ id: string; password: string }>> {
    const { directory, random, clock } = this.#deps;
    const { password, digest } = makeAppPassword(random);
    const id = factorId(random);
    const addedAtMs = clock.nowMs();
    const made = { kind: "app-password", id, name, addedAtMs, digest } as const;
    const isDone = await directory.changeFactors(person.id, by, (factors) => [...factors, made]);
    return isDone ? done({ id, password }) : failed("too-many");
  }

  #begin(account: AccountId, begun: Omit<Begun, "endsAtTick">): void {
    const tick = this.#deps.clock.tickMs();
    for (const [other, { endsAtTick }] of this.#begun) {
      if (endsAtTick <= tick) this.#begun.delete(other);
    }
    this.#begun.delete(account);
    this.#begun.set(account, { ...begun, endsAtTick: tick + enrolmentMs });
  }

  #underWay({ person, host }: Visitor): Begun | undefined {
    const begun = this.#begun.get(person.id);
    const isIt = begun?.host === host && begun.endsAtTick > this.#deps.clock.tickMs();
    return isIt ? begun : undefined;
  }

  async #enrol(visitor: Visitor, factor: Factor): Promise<Served<Enrolled>> {
    const { directory, random, clock, sessions } = this.#deps;
    const { person, handle, enrolling } = visitor;
    const { codes, digests } = makeRecoveryCodes(random);
    const recovery = recoveryFactor(factorId(random), digests, clock.nowMs());
    let isFirst = false as boolean;
    const isDone = await directory.changeFactors(person.id, byOwner, (factors) => {
      isFirst = !hasSecondFactor(factors);
      const isKnown = factors.some(
        (one) =>
          one.kind === "passkey" &&
          factor.kind === "passkey" &&
          one.credentialId === factor.credentialId,
      );
      if (isKnown) return undefined;
      return isFirst ? [...factors, factor, recovery] : [...factors, factor];
    });
    if (!isDone) return failed("too-many");
    this.#begun.delete(person.id);
    this.#endOthers(person.id, handle);
    if (enrolling) sessions.revoke(handle);
    const { id } = factor;
    const shownOnce = isFirst ? { recoveryCodes: codes } : {};
    return done({ id, signInAgain: enrolling, ...shownOnce });
  }

  #endOthers(account: AccountId, handle: string): void {
    this.#deps.sessions.revokeAll(account, handle);
    this.#deps.login.forget(account);
  }
}

function recoveryFactor(id: string, digests: readonly string[], addedAtMs: number): Factor {
  return { kind: "recovery-codes", id, name: "", addedAtMs, digests };
}

function wrongPassword(outcome: LoginOutcome & { readonly ok: false }): Served<never> {
  return failed(outcome.reason === "refused" ? "wrong-password" : outcome.reason);
}

function done<Value>(value: Value): Served<Value> {
  return { ok: true, value };
}

function failed(fault: SelfServiceFault): Served<never> {
  return { ok: false, fault };
}
