/** The wizard's result: the record to publish, what it costs, and what the world will conclude. */

import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import { isPublicAddress } from "#base/ip";
import { checkSpf } from "#identity/spf";
import type { SpfResult } from "#model/verdict";
import { characterStrings, composeSpf, type SpfAnswers, suggestAnswers } from "./compose.ts";
import { expandSpf } from "./expand.ts";
import type { SpfFacts } from "./facts.ts";
import { holds, parseNetwork, sampleOf } from "./networks.ts";
import { overlaid } from "./overlay.ts";
import { limits, type SpfExpansion, type SpfFinding } from "./tree.ts";

/** A client as it will be judged once the record is published. */
export interface SpfSample {
  readonly who: string;
  readonly ip: string;
  readonly result: SpfResult;
  readonly why: string;
}

export interface SpfPlan {
  readonly domain: string;
  readonly record: string;
  /** The record as a TXT record holds it. */
  readonly strings: readonly string[];
  readonly lookups: number;
  /** What each term costs, the dearest first; free ones are left out. */
  readonly costs: readonly { readonly term: string; readonly lookups: number }[];
  /** Networks that could stand in place of the dearest include; only when the budget is broken. */
  readonly flatten?: { readonly term: string; readonly networks: readonly string[] };
  readonly samples: readonly SpfSample[];
  readonly findings: readonly SpfFinding[];
  /** The record is what is published already. */
  readonly unchanged: boolean;
}

/** @param answers checked: domains and addresses only */
export async function planSpf(
  answers: SpfAnswers,
  facts: SpfFacts,
  resolver: Resolver,
  clock: Clock,
): Promise<SpfPlan> {
  const { domain, present } = facts;
  const record = composeSpf(answers);
  const next = overlaid(resolver, domain, record);
  const expansion = await expandSpf(domain, next);
  const costs = expansion.record.terms
    .filter(({ lookups }) => lookups > 0)
    .map(({ text, lookups }) => ({ term: text, lookups }))
    .toSorted((a, b) => b.lookups - a.lookups);
  const flatten = expansion.lookups > limits.lookups ? flattening(expansion, costs) : undefined;
  const clients = clientsOf(answers, facts, expansion);
  const samples: SpfSample[] = [];
  for (const { who, ip } of clients) {
    const question = { ip, helo: domain, mailFrom: `postmaster@${domain}`, receiver: "localhost" };
    const { result, why } = await checkSpf(question, next, clock);
    samples.push({ who, ip, result, why });
  }
  return {
    domain,
    record,
    strings: characterStrings(record),
    lookups: expansion.lookups,
    costs,
    ...(flatten && { flatten }),
    samples,
    findings: [
      ...answerFindings(answers, facts),
      ...lostFindings(record, facts),
      ...expansion.findings,
    ],
    unchanged: present.length === 1 && present[0] === record,
  };
}

function flattening(
  { passing }: SpfExpansion,
  costs: SpfPlan["costs"],
): SpfPlan["flatten"] | undefined {
  const dearest = costs.find(({ term }) => term.startsWith("include:"));
  if (dearest === undefined) return undefined;
  const below = passing.filter(({ via }) => via === dearest.term).map(({ network }) => network);
  return { term: dearest.term, networks: [...new Set(below)] };
}

interface Client {
  readonly who: string;
  readonly ip: string;
}

/** Documentation addresses (RFC 5737, RFC 3849): nobody sends from them. */
const strangers = ["203.0.113.77", "198.51.100.77", "192.0.2.77", "2001:db8:ffff::77"];

/** One for each kind of sender, at most a dozen. */
function clientsOf(answers: SpfAnswers, facts: SpfFacts, { passing }: SpfExpansion): Client[] {
  const clients: Client[] = [];
  for (const { name, addresses } of facts.exchanges.slice(0, 2)) {
    const [ip] = addresses;
    if (ip !== undefined) clients.push({ who: `your inbound server ${name}`, ip });
  }
  const own = answers.addresses.slice(0, 3).flatMap((text) => parseNetwork(text) ?? []);
  const who = answers.directFallback ? "your own server, delivering directly" : "your own server";
  for (const network of own) clients.push({ who, ip: sampleOf(network) });
  for (const host of answers.smartHosts.slice(0, 3)) {
    const network = parseNetwork(host) ?? firstThrough(passing, `a:${host}`);
    if (network !== undefined) clients.push({ who: `smart host ${host}`, ip: sampleOf(network) });
  }
  for (const provider of answers.providers.slice(0, 4)) {
    const network = firstThrough(passing, `include:${provider}`);
    if (network !== undefined) clients.push({ who: `provider ${provider}`, ip: sampleOf(network) });
  }
  const all = passing.flatMap(({ network }) => parseNetwork(network) ?? []);
  const stranger = strangers.find((ip) => {
    const one = parseNetwork(ip);
    return one !== undefined && !all.some((network) => holds(network, one));
  });
  if (stranger !== undefined) clients.push({ who: "a stranger", ip: stranger });
  return clients;
}

function firstThrough(passing: SpfExpansion["passing"], via: string) {
  const first = passing.find((one) => one.via === via);
  return first && parseNetwork(first.network);
}

/** Answers that do not go together, or with what the DNS says. */
function answerFindings(answers: SpfAnswers, facts: SpfFacts): SpfFinding[] {
  const { inboundServersMaySend, aMaySend, addresses, smartHosts, directFallback } = answers;
  const found: SpfFinding[] = facts.unanswered.map((text) => ({ level: "unknown", text }));
  const warn = (text: string, advice: string): void => {
    found.push({ level: "warn", text, advice });
  };
  if (facts.present.length > 1) {
    const text = `${facts.domain} publishes ${facts.present.length} SPF records now`;
    warn(`${text}: that is an error`, "publish this record in place of all of them");
  }
  const hasExchange = facts.exchanges.length > 0;
  if (inboundServersMaySend && !hasExchange) {
    warn(
      '"mx" is listed, but the domain has no MX record',
      "publish the MX record first, or drop it",
    );
  }
  if (aMaySend && facts.addresses.length === 0) {
    warn('"a" is listed, but the domain\'s name has no address', "drop it");
  }
  const hasOwn = inboundServersMaySend || aMaySend || addresses.length > 0;
  if (smartHosts.length > 0 && directFallback && !hasOwn) {
    const text = "your servers deliver directly when the smart hosts are down, but none is listed";
    warn(`${text}: that mail would fail`, "list their addresses too");
  }
  if (smartHosts.length > 0 && !directFallback && hasOwn) {
    const text = "your own servers are listed though all mail leaves through the smart hosts";
    found.push({ level: "note", text, advice: "fewer addresses are safer: drop what never sends" });
  }
  for (const text of [...addresses, ...smartHosts]) {
    const network = parseNetwork(text);
    if (network === undefined || isPublicAddress(sampleOf(network))) continue;
    warn(
      `${text} is not a public address: the world never sees it`,
      "list the address it is seen as",
    );
  }
  return found;
}

/** Who passes today and is no more in the record. */
function lostFindings(record: string, { present, domain }: SpfFacts): SpfFinding[] {
  const [text, second] = present;
  if (text === undefined || second !== undefined) return [];
  const kept = new Set(record.toLowerCase().split(" "));
  const suggested = suggestAnswers(text, domain);
  if (suggested === undefined) return [];
  const { answers, left } = suggested;
  const then = composeSpf(answers).split(" ").slice(1, -1);
  const lost = [...then.filter((term) => !isKept(term, kept)), ...left];
  if (lost.length === 0) return [];
  return [
    {
      level: "warn",
      text: `the present record also has ${lost.join(", ")}`,
      advice: "name these too if they still send for you",
    },
  ];
}

/** Itself, or inside a network that is listed. */
function isKept(term: string, kept: ReadonlySet<string>): boolean {
  if (kept.has(term)) return true;
  const network = parseNetwork(term.replace(/^ip[46]:/, ""));
  if (network === undefined) return false;
  return [...kept].some((one) => {
    const wider = /^ip[46]:/.test(one) ? parseNetwork(one.replace(/^ip[46]:/, "")) : undefined;
    return wider !== undefined && holds(wider, network);
  });
}
