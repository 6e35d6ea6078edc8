/** check_host() with its limits (RFC 7208 §4.6): terms from left to right, the first match decides. */

import type { Clock } from "#base/clock";
import type { DnsAnswer, RecordType, Resolver } from "#base/dns";
import { isInNetwork, parseIp } from "#base/ip";
import type { SpfVerdict } from "#model/verdict";
import { explain } from "./explain.ts";
import { expandDomain, type MacroString, type MacroValues, usesLetter } from "./macro.ts";
import { readPolicy, type Scope } from "./policy.ts";
import type { Directive, Mechanism, SpfRecord } from "./record.ts";
import { dotted, reverseName } from "./reverse.ts";

export interface Facts {
  /** Four or sixteen octets; never a mapped one. */
  readonly address: Uint8Array;
  readonly helo: string;
  readonly receiver: string;
  readonly localPart: string;
  readonly senderDomain: string;
}

export interface Judgement extends Pick<SpfVerdict, "result" | "why" | "explanation"> {
  /** On none: the domain does not exist. */
  readonly nxdomain?: boolean;
}

/** §4.6.4 */
const maxLookups = 10;
const maxVoidLookups = 2;
const maxNames = 10;
const maxMs = 20_000;

/** Stops an evaluation from any depth; never leaves `run`. */
class Abort {
  readonly result: "temperror" | "permerror";
  readonly why: string;

  constructor(result: "temperror" | "permerror", why: string) {
    this.result = result;
    this.why = why;
  }
}

/** One mail's evaluation: it counts for the whole tree of records. */
export class Evaluation {
  readonly #facts: Facts;
  readonly #resolver: Resolver;
  readonly #clock: Clock;
  readonly #scope: Scope | undefined;
  readonly #startedMs: number;
  #lookups = 0;
  #voids = 0;
  #validated: readonly string[] | undefined;

  /** @param scope of Sender ID; absent for SPF itself */
  constructor(facts: Facts, resolver: Resolver, clock: Clock, scope?: Scope) {
    this.#facts = facts;
    this.#resolver = resolver;
    this.#clock = clock;
    this.#scope = scope;
    this.#startedMs = clock.tickMs();
  }

  async run(domain: string): Promise<Judgement> {
    try {
      return await this.#checkHost(domain, true);
    } catch (error) {
      if (error instanceof Abort) return { result: error.result, why: error.why };
      throw error;
    }
  }

  /** @param outermost not inside an "include": only there the explanation counts (§6.2) */
  async #checkHost(domain: string, outermost: boolean): Promise<Judgement> {
    const policy = readPolicy(await this.#ask(domain, "TXT"), domain, this.#scope);
    if (policy.kind !== "record") {
      const nxdomain = policy.kind === "none" && policy.nxdomain;
      return { result: policy.kind, why: policy.why, ...(nxdomain && { nxdomain }) };
    }
    const { record } = policy;
    const where = `${this.#scope === undefined ? "" : `${record.version} `}record of ${domain}`;
    for (const directive of record.directives) {
      const matches = this.#matches(directive, domain);
      if (!(typeof matches === "boolean" ? matches : await matches)) continue;
      const why = `${shown(directive)} in the ${where}`;
      const explanation =
        directive.result === "fail" && outermost ? await this.#explain(record, domain) : undefined;
      return { result: directive.result, why, ...(explanation && { explanation }) };
    }
    if (record.redirect === undefined) {
      return { result: "neutral", why: `no term in the ${where} matched` }; // §4.7
    }
    this.#count(() => `redirect in the record of ${domain}`);
    const target = await this.#target(record.redirect, domain);
    const judgement = await this.#checkHost(target, outermost);
    if (judgement.result !== "none") return judgement;
    return { result: "permerror", why: `redirect of ${domain}: ${judgement.why}` }; // §6.1
  }

  /** At once where the DNS has no say. */
  #matches(directive: Directive, domain: string): boolean | Promise<boolean> {
    const { mechanism } = directive;
    if (mechanism.kind === "all") return true;
    if (mechanism.kind === "ip") {
      return isInNetwork(this.#facts.address, mechanism.network, mechanism.bits);
    }
    this.#count(() => `${shown(directive)} in the record of ${domain}`);
    return this.#matchesByDns(mechanism, domain);
  }

  async #matchesByDns(
    mechanism: Exclude<Mechanism, { kind: "all" | "ip" }>,
    domain: string,
  ): Promise<boolean> {
    const target = await this.#target(mechanism.domain, domain);
    switch (mechanism.kind) {
      case "include":
        return await this.#includes(target, domain);
      case "a":
        return await this.#hasAddress(target, mechanism, true);
      case "mx":
        return await this.#exchangesHave(target, mechanism);
      case "exists":
        return (await this.#find(target, "A", true)).length > 0; // §5.7: A, for IPv6 clients too
      case "ptr":
        return (await this.#validatedNames()).some((name) => isWithin(name, target));
    }
  }

  /** §5.2 */
  async #includes(target: string, domain: string): Promise<boolean> {
    const { result, why } = await this.#checkHost(target, false);
    if (result === "pass") return true;
    if (result === "temperror" || result === "permerror") throw new Abort(result, why);
    if (result === "none") throw new Abort("permerror", `include of ${domain}: ${why}`);
    return false;
  }

  async #hasAddress(
    name: string,
    prefix: { readonly bits4: number; readonly bits6: number },
    countsVoid: boolean,
  ): Promise<boolean> {
    const { address } = this.#facts;
    const isIpv4 = address.length === 4;
    const found = await this.#find(name, isIpv4 ? "A" : "AAAA", countsVoid);
    return found.some((record) => {
      const network = parseIp(record.address);
      return network && isInNetwork(address, network, isIpv4 ? prefix.bits4 : prefix.bits6);
    });
  }

  async #exchangesHave(
    target: string,
    prefix: { readonly bits4: number; readonly bits6: number },
  ): Promise<boolean> {
    const exchanges = await this.#find(target, "MX", true);
    if (exchanges.length > maxNames) {
      throw new Abort("permerror", `${target} has more than ${maxNames} MX records`); // §4.6.4
    }
    for (const { exchange } of exchanges) {
      if (exchange !== "." && (await this.#hasAddress(exchange, prefix, false))) return true;
    }
    return false;
  }

  /** §5.5: names of the client whose addresses hold the client; errors only mean fewer names. */
  async #validatedNames(): Promise<readonly string[]> {
    if (this.#validated !== undefined) return this.#validated;
    const { address } = this.#facts;
    const valid: string[] = [];
    const pointers = await this.#ask(reverseName(address), "PTR");
    this.#countVoid(pointers);
    const names = pointers.kind === "found" ? pointers.records.slice(0, maxNames) : [];
    for (const { name } of names) {
      const answer = await this.#ask(name, address.length === 4 ? "A" : "AAAA");
      const holds =
        answer.kind === "found" &&
        answer.records.some((record) => {
          const octets = parseIp(record.address);
          return octets !== undefined && isInNetwork(address, octets, address.length * 8);
        });
      if (holds) valid.push(name);
    }
    this.#validated = valid;
    return valid;
  }

  /** The name that a term means: its domain-spec expanded, or the domain of the record. */
  #target(spec: MacroString | undefined, domain: string): string | Promise<string> {
    if (spec === undefined) return domain;
    if (spec.every((part) => typeof part === "string")) return expandDomain(spec, noValues);
    const asked = this.#values(domain, usesLetter(spec, "p"));
    return asked.then((values) => expandDomain(spec, values));
  }

  async #explain(record: SpfRecord, domain: string): Promise<string | undefined> {
    if (record.explanation === undefined) return undefined;
    const target = await this.#target(record.explanation, domain);
    const answer = await this.#ask(target, "TXT");
    return await explain(answer, (needsName) => this.#values(domain, needsName));
  }

  /** §7.2 */
  async #values(domain: string, needsName: boolean): Promise<MacroValues> {
    const { address, helo, localPart, receiver, senderDomain } = this.#facts;
    return {
      s: `${localPart}@${senderDomain}`,
      l: localPart,
      o: senderDomain,
      d: domain,
      i: dotted(address),
      p: needsName ? nearestTo(domain, await this.#validatedNames()) : "",
      v: address.length === 4 ? "in-addr" : "ip6",
      h: helo,
      c: dotted(address, "readable"),
      r: receiver,
      t: String(Math.floor(this.#clock.nowMs() / 1000)),
    };
  }

  /** Records of the name; none of them is a void look-up, a failure ends all (§2.6.6). */
  async #find<Type extends RecordType>(
    name: string,
    type: Type,
    countsVoid: boolean,
  ): Promise<(DnsAnswer<Type> & { kind: "found" })["records"]> {
    const answer = await this.#ask(name, type);
    if (countsVoid) this.#countVoid(answer);
    if (answer.kind === "failed") {
      throw new Abort("temperror", `${type} of ${name}: ${answer.why}`);
    }
    return answer.kind === "found" ? answer.records : [];
  }

  async #ask<Type extends RecordType>(name: string, type: Type): Promise<DnsAnswer<Type>> {
    const leftMs = this.#startedMs + maxMs - this.#clock.tickMs();
    if (leftMs < 0) throw tooSlow();
    const cached = this.#resolver.cached(name, type);
    return cached ?? (await this.#within(leftMs, this.#resolver.query(name, type)));
  }

  async #within<Answer>(leftMs: number, asked: Promise<Answer>): Promise<Answer> {
    const late = Promise.withResolvers<never>();
    const timer = this.#clock.after(leftMs, () => late.reject(tooSlow()));
    try {
      return await Promise.race([asked, late.promise]);
    } finally {
      timer.cancel();
    }
  }

  #count(term: () => string): void {
    this.#lookups += 1;
    if (this.#lookups > maxLookups) {
      throw new Abort("permerror", `more than ${maxLookups} look-ups, at ${term()}`);
    }
  }

  #countVoid(answer: DnsAnswer): void {
    if (answer.kind !== "none") return;
    this.#voids += 1;
    if (this.#voids > maxVoidLookups) {
      throw new Abort("permerror", `more than ${maxVoidLookups} look-ups that find nothing`);
    }
  }
}

/** Ours: a reader needs no more of a term. */
function shown({ text }: Directive): string {
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}

/** For domain-specs without macros, as most are. */
const noValues: MacroValues = {
  s: "",
  l: "",
  o: "",
  d: "",
  i: "",
  p: "",
  v: "",
  h: "",
  c: "",
  r: "",
  t: "",
};

function tooSlow(): Abort {
  return new Abort("temperror", `evaluation took more than ${maxMs / 1000} seconds`);
}

function isWithin(name: string, domain: string): boolean {
  const lower = domain.toLowerCase();
  return name === lower || name.endsWith(`.${lower}`);
}

/** §7.3: the domain itself, else a name below it, else any. */
function nearestTo(domain: string, names: readonly string[]): string {
  const lower = domain.toLowerCase();
  return (
    names.find((name) => name === lower) ??
    names.find((name) => isWithin(name, lower)) ??
    names[0] ??
    "unknown"
  );
}
