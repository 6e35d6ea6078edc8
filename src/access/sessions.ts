/**
 * Web sessions, decided inside: the edge and the browser hold an opaque handle, we hold its SHA-256.
 * Kept in memory only, so a restart of the hub signs everybody out.
 */

import { createCipheriv, createDecipheriv, createHmac, hash } from "node:crypto";
import type { Clock } from "#base/clock";
import type { Random } from "#base/random";
import type { AccountId } from "#model/mailbox";

export interface SessionSettings {
  readonly clock: Clock;
  readonly random: Random;
  /** Without use for so long, a session ends; whatever its use, it ends after the absolute time. */
  readonly idleMs: number;
  readonly absoluteMs: number;
  /** The same on a public computer. */
  readonly publicIdleMs: number;
  readonly publicAbsoluteMs: number;
  /** Beyond these the session that was used longest ago gives way. */
  readonly mostPerAccount?: number;
  readonly mostInAll?: number;
  /** Whether a published application needs the password: only then it is kept, sealed. */
  readonly keepPasswords?: boolean;
}

export interface SignOn {
  readonly name: string;
  readonly password?: string;
}

export interface SessionFacts {
  readonly publicComputer: boolean;
  readonly clientAddress: string;
  /** What single sign-on to a published application may need. */
  readonly signOn: SignOn;
  /** The person must enrol a second factor first: good for nothing but that. */
  readonly enrolling?: boolean;
}

export interface IssuedSession {
  /** 32 random octets, base64url; the only copy. */
  readonly handle: string;
  readonly idleMs: number;
  readonly absoluteMs: number;
}

export interface Session {
  readonly account: AccountId;
  readonly publicComputer: boolean;
  /** When it ends unless it is used again. */
  readonly expiresAtMs: number;
  /** When it ends whatever its use. */
  readonly endsAtMs: number;
  readonly enrolling: boolean;
  /** The person proved lately who they are. */
  readonly isConfirmed: boolean;
}

/** For "where am I signed in"; cannot be used to act as the session. */
export interface SessionSummary {
  readonly id: string;
  readonly issuedAtMs: number;
  readonly usedAtMs: number;
  readonly expiresAtMs: number;
  readonly clientAddress: string;
  readonly publicComputer: boolean;
  /** The one that asks. */
  readonly isOwn: boolean;
}

/** Sessions that are only for enrolling are not found unless they are asked for. */
export type Also = "enrolling";

export interface Sessions {
  readonly keepsPasswords: boolean;
  issue(account: AccountId, facts: SessionFacts): IssuedSession;
  /** Prolongs the session. Undefined when there is none, or none any more. */
  touch(handle: string, also?: Also): Session | undefined;
  /** The same without prolonging it, for what no person did. */
  peek(handle: string, also?: Also): Session | undefined;
  /** For what is signed on to in the person's name; prolongs nothing. */
  signOn(handle: string): SignOn | undefined;
  /** The person gave the password again, or a new one that is to be kept instead. */
  confirm(handle: string, password?: string): void;
  revoke(handle: string): boolean;
  /** @param id of a summary */
  revokeOne(account: AccountId, id: string): boolean;
  /**
   * Ends all sessions of the account, for a new password.
   *
   * @param except handle of one that stays
   * @returns how many
   */
  revokeAll(account: AccountId, except?: string): number;
  /** How often that was done: what a program was let in for before has no session to end. */
  revocations(account: AccountId): number;
  list(account: AccountId, own?: string): readonly SessionSummary[];
}

interface Kept {
  readonly id: string;
  readonly account: AccountId;
  readonly facts: Omit<SessionFacts, "signOn">;
  readonly name: string;
  /** The password, under a key of this process and the handle. */
  password: Buffer | undefined;
  readonly issuedAtMs: number;
  /** On the monotonic clock, so that a jump of the wall clock neither ends nor prolongs it. */
  readonly endsAtTick: number;
  readonly idleMs: number;
  usedAtTick: number;
  usedAtMs: number;
  confirmedAtTick: number;
}

/** For how long who signed in or gave the password again may change how they sign in. */
const confirmedMs = 600_000;
/** Ended ones are swept out so often, whoever asks for them. */
const sweepMs = 60_000;

export function createSessions(settings: SessionSettings): Sessions {
  return new KeptSessions(settings);
}

class KeptSessions implements Sessions {
  readonly #settings: SessionSettings;
  /** By the handle's digest, the one used longest ago first. */
  readonly #kept = new Map<string, Kept>();
  readonly #byAccount = new Map<AccountId, Set<string>>();
  readonly #revocations = new Map<AccountId, number>();
  readonly #passwords: PasswordSeal;
  #isSweeping = false;

  constructor(settings: SessionSettings) {
    this.#settings = settings;
    this.#passwords = new PasswordSeal(settings.random);
  }

  get keepsPasswords(): boolean {
    return this.#settings.keepPasswords === true;
  }

  issue(account: AccountId, { signOn, ...facts }: SessionFacts): IssuedSession {
    const { clock, random, ...times } = this.#settings;
    const idleMs = facts.publicComputer ? times.publicIdleMs : times.idleMs;
    const absoluteMs = facts.publicComputer ? times.publicAbsoluteMs : times.absoluteMs;
    this.#makeRoom(account);
    const handle = random.bytes(32).toString("base64url");
    const tick = clock.tickMs();
    const nowMs = clock.nowMs();
    const digest = digestOf(handle);
    this.#kept.set(digest, {
      id: random.bytes(9).toString("base64url"),
      account,
      facts,
      name: signOn.name,
      password: this.#sealed(signOn, handle),
      issuedAtMs: nowMs,
      endsAtTick: tick + absoluteMs,
      idleMs,
      usedAtTick: tick,
      usedAtMs: nowMs,
      confirmedAtTick: tick,
    });
    this.#byAccount.set(account, (this.#byAccount.get(account) ?? new Set()).add(digest));
    this.#sweepLater();
    return { handle, idleMs, absoluteMs };
  }

  peek(handle: string, also?: Also): Session | undefined {
    const one = this.#live(digestOf(handle));
    return one && this.#fits(one, also) ? this.#seen(one) : undefined;
  }

  touch(handle: string, also?: Also): Session | undefined {
    const digest = digestOf(handle);
    const one = this.#live(digest);
    if (one === undefined || !this.#fits(one, also)) return undefined;
    one.usedAtTick = this.#settings.clock.tickMs();
    one.usedAtMs = this.#settings.clock.nowMs();
    this.#kept.delete(digest); // to the end of the order of use
    this.#kept.set(digest, one);
    return this.#seen(one);
  }

  signOn(handle: string): SignOn | undefined {
    const one = this.#live(digestOf(handle));
    if (one === undefined || !this.#fits(one)) return undefined;
    const { name, password } = one;
    return { name, ...(password && { password: this.#passwords.open(password, handle) }) };
  }

  confirm(handle: string, password?: string): void {
    const one = this.#live(digestOf(handle));
    if (one === undefined) return;
    one.confirmedAtTick = this.#settings.clock.tickMs();
    if (password === undefined) return;
    one.password?.fill(0);
    one.password = this.#sealed({ name: one.name, password }, handle);
  }

  revoke(handle: string): boolean {
    return this.#remove(digestOf(handle));
  }

  revokeOne(account: AccountId, id: string): boolean {
    const digest = this.#own(account).find((one) => this.#kept.get(one)?.id === id);
    return digest !== undefined && this.#remove(digest);
  }

  revokeAll(account: AccountId, except?: string): number {
    const kept = except === undefined ? undefined : digestOf(except);
    const own = this.#own(account).filter((digest) => digest !== kept);
    for (const digest of own) this.#remove(digest);
    this.#revocations.set(account, this.revocations(account) + 1);
    return own.length;
  }

  revocations(account: AccountId): number {
    return this.#revocations.get(account) ?? 0;
  }

  list(account: AccountId, own?: string): readonly SessionSummary[] {
    const ownDigest = own === undefined ? undefined : digestOf(own);
    return this.#own(account).flatMap((digest) => {
      const one = this.#live(digest);
      if (one === undefined) return [];
      return {
        id: one.id,
        issuedAtMs: one.issuedAtMs,
        usedAtMs: one.usedAtMs,
        expiresAtMs: this.#seen(one).expiresAtMs,
        clientAddress: one.facts.clientAddress,
        publicComputer: one.facts.publicComputer,
        isOwn: digest === ownDigest,
      };
    });
  }

  #own(account: AccountId): readonly string[] {
    return [...(this.#byAccount.get(account) ?? [])];
  }

  #makeRoom(account: AccountId): void {
    const { mostPerAccount = 20, mostInAll = 50_000 } = this.#settings;
    const used = (digest: string): number => this.#kept.get(digest)?.usedAtTick ?? 0;
    const own = this.#own(account);
    if (own.length >= mostPerAccount) {
      this.#remove(own.reduce((oldest, one) => (used(one) < used(oldest) ? one : oldest)));
    }
    for (const [digest, one] of this.#kept) {
      if (this.#kept.size < mostInAll && this.#expiresIn(one) > 0) break; // those behind are younger
      this.#remove(digest);
    }
  }

  #sweepLater(): void {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    this.#settings.clock.after(sweepMs, () => {
      this.#isSweeping = false;
      for (const digest of [...this.#kept.keys()]) this.#live(digest);
      if (this.#kept.size > 0) this.#sweepLater();
    });
  }

  #remove(digest: string): boolean {
    const one = this.#kept.get(digest);
    if (one === undefined) return false;
    one.password?.fill(0);
    this.#kept.delete(digest);
    const own = this.#byAccount.get(one.account);
    own?.delete(digest);
    if (own?.size === 0) this.#byAccount.delete(one.account);
    return true;
  }

  #fits(one: Kept, also?: Also): boolean {
    return one.facts.enrolling !== true || also === "enrolling";
  }

  #expiresIn(one: Kept): number {
    return Math.min(one.usedAtTick + one.idleMs, one.endsAtTick) - this.#settings.clock.tickMs();
  }

  #live(digest: string): Kept | undefined {
    const one = this.#kept.get(digest);
    if (one === undefined || this.#expiresIn(one) > 0) return one;
    this.#remove(digest);
    return undefined;
  }

  #seen(one: Kept): Session {
    const { clock } = this.#settings;
    const [nowMs, tick] = [clock.nowMs(), clock.tickMs()];
    return {
      account: one.account,
      publicComputer: one.facts.publicComputer,
      expiresAtMs: nowMs + this.#expiresIn(one),
      endsAtMs: nowMs + one.endsAtTick - tick,
      enrolling: one.facts.enrolling === true,
      isConfirmed: tick - one.confirmedAtTick < confirmedMs,
    };
  }

  #sealed({ password }: SignOn, handle: string): Buffer | undefined {
    if (!this.keepsPasswords || password === undefined) return undefined;
    return this.#passwords.seal(password, handle);
  }
}

/** A handle of the wrong shape costs no more than a hash of a few octets. */
function digestOf(handle: string): string {
  return hash("sha256", handle.slice(0, 64), "base64");
}

const nonceBytes = 12;
const tagBytes = 16;

/**
 * Keeps passwords that a published application needs again. Neither the memory of this process alone
 * nor the handle alone opens what it sealed.
 */
export class PasswordSeal {
  readonly #random: Random;
  readonly #key: Buffer;

  constructor(random: Random) {
    this.#random = random;
    this.#key = random.bytes(32);
  }

  seal(password: string, handle: string): Buffer {
    const nonce = this.#random.bytes(nonceBytes);
    const cipher = createCipheriv("aes-256-gcm", this.#keyFor(handle), nonce);
    const sealed = [cipher.update(password, "utf8"), cipher.final()];
    return Buffer.concat([nonce, ...sealed, cipher.getAuthTag()]);
  }

  /** @param sealed by the same process and for the same handle; anything else is a bug */
  open(sealed: Buffer, handle: string): string {
    const nonce = sealed.subarray(0, nonceBytes);
    const decipher = createDecipheriv("aes-256-gcm", this.#keyFor(handle), nonce);
    decipher.setAuthTag(sealed.subarray(-tagBytes));
    const octets = decipher.update(sealed.subarray(nonceBytes, -tagBytes));
    return Buffer.concat([octets, decipher.final()]).toString("utf8");
  }

  #keyFor(handle: string): Buffer {
    return createHmac("sha256", this.#key).update(handle).digest();
  }
}
