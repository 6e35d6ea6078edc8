/**
 * Web sessions, decided inside: the edge and the browser hold an opaque handle, we hold its SHA-256.
 * Kept in memory only, so a restart of the hub signs everybody out.
 */

import { createHash } from "node:crypto";
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
}

export interface SessionFacts {
  readonly publicComputer: boolean;
  readonly clientAddress: string;
}

export interface IssuedSession {
  /** 32 random octets, base64url; the only copy. */
  readonly handle: string;
  readonly idleMs: number;
  readonly absoluteMs: number;
}

export interface Session {
  readonly account: AccountId;
  /** To be asked of every request that changes something. */
  readonly csrf: string;
  readonly publicComputer: boolean;
  /** When it ends unless it is used again. */
  readonly expiresAtMs: number;
}

/** For "where am I signed in"; cannot be used to act as the session. */
export interface SessionSummary {
  readonly issuedAtMs: number;
  readonly usedAtMs: number;
  readonly expiresAtMs: number;
  readonly clientAddress: string;
  readonly publicComputer: boolean;
}

export interface Sessions {
  issue(account: AccountId, facts: SessionFacts): IssuedSession;
  /** Prolongs the session. Undefined when there is none, or none any more. */
  touch(handle: string): Session | undefined;
  /** The same without prolonging it, for what no person did. */
  peek(handle: string): Session | undefined;
  revoke(handle: string): boolean;
  /** Ends all sessions of the account, for a new password. @returns how many */
  revokeAll(account: AccountId): number;
  list(account: AccountId): readonly SessionSummary[];
}

interface Kept {
  readonly account: AccountId;
  readonly csrf: string;
  readonly facts: SessionFacts;
  readonly issuedAtMs: number;
  /** On the monotonic clock, so that a jump of the wall clock neither ends nor prolongs it. */
  readonly endsAtTick: number;
  readonly idleMs: number;
  usedAtTick: number;
  usedAtMs: number;
}

export function createSessions(settings: SessionSettings): Sessions {
  return new KeptSessions(settings);
}

class KeptSessions implements Sessions {
  readonly #settings: SessionSettings;
  /** By the handle's digest, the one used longest ago first. */
  readonly #kept = new Map<string, Kept>();
  readonly #byAccount = new Map<AccountId, Set<string>>();

  constructor(settings: SessionSettings) {
    this.#settings = settings;
  }

  issue(account: AccountId, facts: SessionFacts): IssuedSession {
    const { clock, random, ...times } = this.#settings;
    const idleMs = facts.publicComputer ? times.publicIdleMs : times.idleMs;
    const absoluteMs = facts.publicComputer ? times.publicAbsoluteMs : times.absoluteMs;
    this.#makeRoom(account);
    const handle = random.bytes(32).toString("base64url");
    const usedAtTick = clock.tickMs();
    const nowMs = clock.nowMs();
    const digest = digestOf(handle);
    this.#kept.set(digest, {
      account,
      csrf: random.bytes(32).toString("base64url"),
      facts,
      issuedAtMs: nowMs,
      endsAtTick: usedAtTick + absoluteMs,
      idleMs,
      usedAtTick,
      usedAtMs: nowMs,
    });
    this.#byAccount.set(account, (this.#byAccount.get(account) ?? new Set()).add(digest));
    return { handle, idleMs, absoluteMs };
  }

  peek(handle: string): Session | undefined {
    const one = this.#live(digestOf(handle));
    return one && this.#seen(one);
  }

  touch(handle: string): Session | undefined {
    const digest = digestOf(handle);
    const one = this.#live(digest);
    if (one === undefined) return undefined;
    one.usedAtTick = this.#settings.clock.tickMs();
    one.usedAtMs = this.#settings.clock.nowMs();
    this.#kept.delete(digest); // to the end of the order of use
    this.#kept.set(digest, one);
    return this.#seen(one);
  }

  revoke(handle: string): boolean {
    return this.#remove(digestOf(handle));
  }

  revokeAll(account: AccountId): number {
    const own = [...(this.#byAccount.get(account) ?? [])];
    for (const digest of own) this.#remove(digest);
    return own.length;
  }

  list(account: AccountId): readonly SessionSummary[] {
    const own = [...(this.#byAccount.get(account) ?? [])].flatMap((one) => this.#live(one) ?? []);
    return own.map((one) => ({
      issuedAtMs: one.issuedAtMs,
      usedAtMs: one.usedAtMs,
      expiresAtMs: this.#seen(one).expiresAtMs,
      clientAddress: one.facts.clientAddress,
      publicComputer: one.facts.publicComputer,
    }));
  }

  #makeRoom(account: AccountId): void {
    const { mostPerAccount = 20, mostInAll = 50_000 } = this.#settings;
    const used = (digest: string): number => this.#kept.get(digest)?.usedAtTick ?? 0;
    const own = [...(this.#byAccount.get(account) ?? [])];
    if (own.length >= mostPerAccount) {
      this.#remove(own.reduce((oldest, one) => (used(one) < used(oldest) ? one : oldest)));
    }
    for (const [digest, one] of this.#kept) {
      if (this.#kept.size < mostInAll && this.#expiresIn(one) > 0) break; // those behind are younger
      this.#remove(digest);
    }
  }

  #remove(digest: string): boolean {
    const one = this.#kept.get(digest);
    if (one === undefined) return false;
    this.#kept.delete(digest);
    const own = this.#byAccount.get(one.account);
    own?.delete(digest);
    if (own?.size === 0) this.#byAccount.delete(one.account);
    return true;
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
    return {
      account: one.account,
      csrf: one.csrf,
      publicComputer: one.facts.publicComputer,
      expiresAtMs: this.#settings.clock.nowMs() + this.#expiresIn(one),
    };
  }
}

/** A handle of the wrong shape costs no more than a hash of a few octets. */
function digestOf(handle: string): string {
  return createHash("sha256").update(handle.slice(0, 64)).digest("base64");
}
