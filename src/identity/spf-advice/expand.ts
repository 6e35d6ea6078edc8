/** The whole tree of records behind a domain's SPF record, with what it costs and whom it lets pass. */

import type { DnsAnswer, Resolver } from "#base/dns";
import { isSpfRecord, type Mechanism, parseSpfRecord, type SpfRecord } from "#identity/spf";
import { type Asked, Asker } from "./asker.ts";
import { findingsOf } from "./findings.ts";
import {
  countAddresses,
  countWords,
  formatNetwork,
  type Network,
  parseNetwork,
} from "./networks.ts";
import type { Passing, SpfExpansion, SpfNode, SpfProblem, SpfTerm } from "./tree.ts";
import { describeDirective, describeModifiers, faultWords, fixedName, printable } from "./words.ts";

/** RFC 7208 §4.6.4. */
const maxExchanges = 10;

/** Ours: whoever publishes more than this wants to keep us busy. */
const maxDepth = 12;
const maxRecords = 60;
const maxTerms = 2000;

/** Never rejects. Bounded in records, depth, terms and questions, whatever the DNS says. */
export async function expandSpf(domain: string, resolver: Resolver): Promise<SpfExpansion> {
  const walk = new Walk(new Asker(resolver));
  const name = domain.toLowerCase();
  const record = await walk.node(name, { path: [], passes: true });
  const senderId = await walk.senderIdRecords(name);
  const networks = walk.passing.flatMap(({ network }) => parseNetwork(network) ?? []);
  const facts = {
    domain: name,
    record,
    lookups: record.terms.reduce((sum, term) => sum + term.lookups, 0),
    voids: walk.voids,
    passing: walk.passing,
    addresses: {
      ipv4: countWords(countAddresses(networks, 4)),
      ipv6: countWords(countAddresses(networks, 16)),
    },
    openEnded: walk.openEnded,
    senderId,
    cut: walk.cut,
  };
  return { ...facts, findings: findingsOf({ ...facts, problems: walk.problems }) };
}

/** Where in the tree we are. */
interface Place {
  readonly path: readonly string[];
  /** Does a match here let the mail pass? */
  readonly passes: boolean;
  /** The term of the first record that led here. */
  readonly via?: string;
}

class Walk {
  readonly #asker: Asker;
  readonly voids = { ipv4: 0, ipv6: 0 };
  readonly passing: Passing[] = [];
  readonly openEnded: string[] = [];
  /** Problems that make receivers give up, below the first record too. */
  readonly problems: SpfProblem[] = [];
  cut = false;
  #records = 0;
  #terms = 0;

  constructor(asker: Asker) {
    this.#asker = asker;
  }

  async senderIdRecords(domain: string): Promise<string[]> {
    const answer = await this.#asker.ask(domain, "TXT");
    const texts = answer?.kind === "found" ? answer.records : [];
    return texts.map(({ text }) => printable(text)).filter((text) => /^spf2\.0\//i.test(text));
  }

  async node(domain: string, place: Place): Promise<SpfNode> {
    const stop = this.#bound(domain, place.path);
    if (stop !== undefined) return { domain, problem: stop, terms: [] };
    this.#records += 1;
    const read = readRecord(domain, await this.#asker.ask(domain, "TXT"));
    if ("problem" in read) {
      this.cut ||= read.problem.kind === "not-followed";
      if (place.path.length > 0) this.problems.push(read.problem);
      return { domain, terms: [], ...read };
    }
    const { record, text } = read;
    const path = [...place.path, domain];
    return { domain, text, terms: await this.#termsOf(record, domain, { ...place, path }) };
  }

  #bound(domain: string, path: readonly string[]): SpfProblem | undefined {
    if (path.includes(domain)) {
      const loop = { kind: "loop", why: `the record of ${domain} includes itself` } as const;
      this.problems.push(loop);
      return loop;
    }
    if (path.length < maxDepth && this.#records < maxRecords) return undefined;
    this.cut = true;
    return { kind: "not-followed", why: "not followed: there are too many records" };
  }

  async #termsOf(record: SpfRecord, domain: string, place: Place): Promise<SpfTerm[]> {
    const terms: SpfTerm[] = [];
    let ended = false;
    for (const [index, directive] of record.directives.entries()) {
      this.#terms += 1;
      if (this.#terms > maxTerms) {
        this.cut = true;
        break;
      }
      const { mechanism, text } = directive;
      const words = describeDirective(directive, domain, index === 0);
      if (ended) {
        terms.push({ text, words, found: [], lookups: 0, unreached: true });
        continue;
      }
      const via = place.via ?? text;
      const passes = place.passes && directive.result === "pass";
      const seen = await this.#look(mechanism, domain, { ...place, via, passes });
      if (passes && seen.open) this.openEnded.push(`${text} in the record of ${domain}`);
      terms.push({ text, words, ...seen.term });
      ended = mechanism.kind === "all";
    }
    for (const { term, words } of describeModifiers(record, domain)) {
      const isRedirect = term.startsWith("redirect=");
      if (isRedirect && !ended)
        terms.push(await this.#redirect(record, domain, { term, words, place }));
      else terms.push({ text: term, words, found: [], lookups: 0 });
    }
    return terms;
  }

  async #redirect(
    { redirect }: SpfRecord,
    domain: string,
    { term, words, place }: { term: string; words: string; place: Place },
  ): Promise<SpfTerm> {
    const name = fixedName(redirect, domain);
    const common = { text: term, words, found: [] };
    if (name === undefined) return { ...common, lookups: 1 };
    const record = await this.node(name, { ...place, via: place.via ?? term });
    return { ...common, lookups: 1 + lookupsBelow(record), record };
  }

  async #look(mechanism: Mechanism, domain: string, place: Place): Promise<Seen> {
    const none = { found: [], lookups: 0 };
    switch (mechanism.kind) {
      case "all":
        return { term: none };
      case "ip":
        this.#pass({ octets: mechanism.network, bits: mechanism.bits }, place);
        return { term: none };
      case "exists":
        return await this.#exists(fixedName(mechanism.domain, domain));
      case "ptr":
        return { term: { found: [], lookups: 1 }, open: true };
      case "include":
        return await this.#include(fixedName(mechanism.domain, domain), place);
      case "a":
      case "mx":
        return await this.#servers(mechanism, domain, place);
    }
  }

  /** A name without macros exists for every mail, or for none. */
  async #exists(name: string | undefined): Promise<Seen> {
    const answer = name === undefined ? undefined : await this.#asker.ask(name, "A");
    if (answer?.kind === "none") this.#void("ipv4", "ipv6");
    return { term: { found: [], lookups: 1 }, open: answer?.kind !== "none" };
  }

  async #include(name: string | undefined, place: Place): Promise<Seen> {
    if (name === undefined) return { term: { found: [], lookups: 1 }, open: true };
    const record = await this.node(name, place);
    return { term: { found: [], lookups: 1 + lookupsBelow(record), record } };
  }

  async #servers(
    mechanism: Extract<Mechanism, { kind: "a" | "mx" }>,
    domain: string,
    place: Place,
  ): Promise<Seen> {
    const name = fixedName(mechanism.domain, domain);
    if (name === undefined) return { term: { found: [], lookups: 1 }, open: true };
    const found =
      mechanism.kind === "a"
        ? await this.#addresses(name, mechanism, place)
        : await this.#exchanges(name, mechanism, place);
    return { term: { found, lookups: 1 } };
  }

  async #exchanges(name: string, prefix: Prefix, place: Place): Promise<string[]> {
    const answer = await this.#asker.ask(name, "MX");
    if (answer?.kind !== "found") {
      if (answer?.kind === "none") this.#void("ipv4", "ipv6");
      return [missing(answer, "MX record", name)];
    }
    if (answer.records.length > maxExchanges) {
      const why = `${name} has more than ${maxExchanges} MX records`;
      this.problems.push({ kind: "faulty", why });
    }
    const found: string[] = [];
    for (const { exchange } of answer.records.slice(0, maxExchanges)) {
      if (exchange === ".") continue;
      const addresses = await this.#addresses(exchange, prefix, { ...place, uncounted: true });
      found.push(`${exchange} (${addresses.join(", ")})`);
    }
    return found;
  }

  async #addresses(
    name: string,
    { bits4, bits6 }: Prefix,
    place: Place & { readonly uncounted?: true },
  ): Promise<string[]> {
    const found: string[] = [];
    let last: Asked<"A" | "AAAA">;
    for (const [type, family] of [
      ["A", "ipv4"],
      ["AAAA", "ipv6"],
    ] as const) {
      last = await this.#asker.ask(name, type);
      if (last?.kind === "none" && place.uncounted !== true) this.#void(family);
      for (const { address } of last?.kind === "found" ? last.records : []) {
        const network = parseNetwork(address);
        if (network === undefined) continue;
        const bits = network.octets.length === 4 ? bits4 : bits6;
        this.#pass({ ...network, bits }, place);
        found.push(address);
      }
    }
    return found.length > 0 ? found : [missing(last, "address", name)];
  }

  #pass(network: Network, { passes, via = "" }: Place): void {
    if (passes) this.passing.push({ network: formatNetwork(network), via });
  }

  #void(...families: readonly ("ipv4" | "ipv6")[]): void {
    for (const family of families) this.voids[family] += 1;
  }
}

interface Prefix {
  readonly bits4: number;
  readonly bits6: number;
}

interface Seen {
  readonly term: Pick<SpfTerm, "found" | "lookups" | "record">;
  readonly open?: boolean;
}

function lookupsBelow({ terms }: SpfNode): number {
  return terms.reduce((sum, { lookups }) => sum + lookups, 0);
}

function missing(answer: Asked<"A" | "AAAA" | "MX">, what: string, name: string): string {
  if (answer === undefined) return "not looked up: too many questions";
  return answer.kind === "failed" ? `DNS did not answer: ${answer.why}` : `${name} has no ${what}`;
}

type Read =
  | { readonly record: SpfRecord; readonly text: string }
  | { readonly problem: SpfProblem; readonly text?: string };

function readRecord(domain: string, answer: DnsAnswer<"TXT"> | undefined): Read {
  if (answer === undefined) {
    return { problem: { kind: "not-followed", why: "not looked up: too many questions" } };
  }
  if (answer.kind === "failed") {
    return { problem: { kind: "unanswered", why: `TXT of ${domain}: ${answer.why}` } };
  }
  const texts = answer.kind === "found" ? answer.records.map((record) => record.text) : [];
  const [text, ...others] = texts.filter(isSpfRecord);
  if (text === undefined) {
    return { problem: { kind: "none", why: `${domain} publishes no SPF record` } };
  }
  const shown = printable(text);
  if (others.length > 0) {
    const why = `${domain} publishes ${others.length + 1} SPF records where one is allowed`;
    return { problem: { kind: "several", why }, text: [text, ...others].map(printable).join("\n") };
  }
  const parsed = parseSpfRecord(text);
  if (parsed.ok) return { record: parsed.value, text: shown };
  const why = `the SPF record of ${domain} is faulty at character ${parsed.at}: ${faultWords[parsed.fault] ?? parsed.fault}`;
  return { problem: { kind: "faulty", why, at: parsed.at }, text: shown };
}
