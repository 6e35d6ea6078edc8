/** Which MTA-STS policy holds for a domain now: found, fetched, kept and kept fresh (RFC 8461 §5.1). */

import type { Clock, Timer } from "#base/clock";
import type { Resolver } from "#base/dns";
import type { Random } from "#base/random";
import { parseStsRecord, stsRecordName } from "#formats/mta-sts";
import type { StsFinding } from "./decide.ts";
import type { TlsPolicyEvents } from "./events.ts";
import type { StsBook, StsEntry } from "./sts-book.ts";
import type { Fetched } from "./sts-fetch.ts";

export interface StsPorts {
  readonly book: StsBook;
  readonly fetch: (domain: string) => Promise<Fetched>;
  readonly resolver: Pick<Resolver, "query">;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: TlsPolicyEvents;
}

/** §3.3 advises five minutes between tries. */
const retryMs = 300_000;
const dayMs = 86_400_000;
/** §5.1: about once a day; of short-lived ones sooner. */
const freshMs = dayMs;
const lookMs = 1_800_000;
/** Who was not written to for so long keeps what it has, and is asked again when it is. */
const unusedMs = 60 * dayMs;
/** Ours: tries that are remembered. */
const maxTries = 20_000;
/** Changes are collected so long before the file is written. */
const saveMs = 1000;

type Fault = Extract<Fetched, { ok: false }>;

export class StsPolicies {
  readonly #ports: StsPorts;
  readonly #tries = new Map<string, { readonly atMs: number; readonly fault?: Fault }>();
  readonly #underWay = new Map<string, Promise<void>>();
  #looking: Timer | undefined;
  #saving: Timer | undefined;
  #isStopped = false;

  constructor(ports: StsPorts) {
    this.#ports = ports;
    this.#lookLater();
  }

  /** @param domain A-labels in lower case */
  async find(domain: string): Promise<StsFinding> {
    const { book, clock, resolver } = this.#ports;
    const answer = await resolver.query(stsRecordName(domain), "TXT");
    const texts = answer.kind === "found" ? answer.records.map(({ text }) => text) : [];
    const record = parseStsRecord(texts);
    const known = book.live(domain, clock.nowMs());
    // §5.1: neither a record that is gone nor a DNS that is silent ends a policy before its time.
    if (!record.ok) {
      if (known !== undefined) return this.#use(known);
      if (answer.kind !== "failed") return {};
      const why = `${stsRecordName(domain)} cannot be looked up: ${answer.why}`;
      return { fault: "sts-policy-fetch-error", why };
    }
    if (known?.id !== record.value) await this.#fetch(domain, record.value);
    const now = book.live(domain, clock.nowMs());
    if (now !== undefined) return this.#use(now);
    const fault = this.#tries.get(domain)?.fault;
    return fault === undefined ? {} : { fault: fault.fault, why: fault.why };
  }

  /** What is kept, for an administrator. */
  known(domain: string): StsEntry | undefined {
    return this.#ports.book.live(domain, this.#ports.clock.nowMs());
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#looking?.cancel();
    this.#saving?.cancel();
    await this.#save();
  }

  #use({ domain, policy }: StsEntry): StsFinding {
    this.#ports.book.used(domain, this.#ports.clock.nowMs());
    return { policy };
  }

  /** One at a time for a domain, and not more often than allowed. */
  #fetch(domain: string, id: string): Promise<void> {
    const underWay = this.#underWay.get(domain);
    if (underWay !== undefined) return underWay;
    const last = this.#tries.get(domain);
    const { clock } = this.#ports;
    if (last !== undefined && clock.tickMs() - last.atMs < retryMs) return Promise.resolve();
    const asked = this.#fetchNow(domain, id).finally(() => this.#underWay.delete(domain));
    this.#underWay.set(domain, asked);
    return asked;
  }

  async #fetchNow(domain: string, id: string): Promise<void> {
    const { book, fetch, clock, events } = this.#ports;
    const fetched = await fetch(domain);
    this.#tries.delete(domain);
    const tried = { atMs: clock.tickMs(), ...(!fetched.ok && { fault: fetched }) };
    this.#tries.set(domain, tried);
    for (const oldest of this.#tries.keys()) {
      if (this.#tries.size <= maxTries) break;
      this.#tries.delete(oldest);
    }
    events.fetched(domain, fetched.ok ? fetched.policy.mode : fetched.fault, whyOf(fetched));
    if (!fetched.ok) return;
    const nowMs = clock.nowMs();
    const usedAtMs = book.live(domain, nowMs)?.usedAtMs ?? nowMs;
    book.put({ domain, id, policy: fetched.policy, fetchedAtMs: nowMs, usedAtMs }, nowMs);
    this.#saving ??= clock.after(saveMs, () => {
      this.#saving = undefined;
      void this.#save();
    });
  }

  async #save(): Promise<void> {
    try {
      await this.#ports.book.save();
    } catch (error) {
      this.#ports.events.notSaved(error);
    }
  }

  #lookLater(): void {
    const { clock, random } = this.#ports;
    const delayMs = lookMs * (0.5 + random.fraction());
    this.#looking = clock.after(delayMs, () => {
      void this.#refresh().finally(() => {
        if (!this.#isStopped) this.#lookLater();
      });
    });
  }

  /** One behind the other: there is time. */
  async #refresh(): Promise<void> {
    const { book, clock, resolver } = this.#ports;
    for (const { domain } of book.all()) {
      if (this.#isStopped) return;
      const entry = book.live(domain, clock.nowMs());
      if (entry === undefined || !isDue(entry, clock.nowMs())) continue;
      const answer = await resolver.query(stsRecordName(domain), "TXT");
      const texts = answer.kind === "found" ? answer.records.map(({ text }) => text) : [];
      const record = parseStsRecord(texts);
      await this.#fetch(domain, record.ok ? record.value : entry.id);
    }
    await this.#save();
  }
}

function whyOf(fetched: Fetched): string | undefined {
  return fetched.ok ? undefined : fetched.why;
}

function isDue({ policy, fetchedAtMs, usedAtMs }: StsEntry, nowMs: number): boolean {
  const ageMs = nowMs - fetchedAtMs;
  return ageMs >= Math.min(freshMs, policy.maxAge * 500) && nowMs - usedAtMs < unusedMs;
}
