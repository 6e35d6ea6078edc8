/** The resolver: tries, servers, aliases and the cache around single questions. */

import type { Clock } from "#base/clock";
import { Gate } from "#base/limits";
import type { Endpoint } from "#base/net";
import { pick, type Random } from "#base/random";
import { AnswerCache } from "./cache.ts";
import { type Ask, askByTcp, askByUdp, type Outcome } from "./exchange.ts";
import { formatQuery, parseResponse, type Response } from "./message.ts";
import { encodeName } from "./name.ts";
import type { DnsAnswer, RecordType } from "./record.ts";
import { systemServers } from "./servers.ts";

export interface Resolver {
  /** Never rejects. A text that cannot be a name is a name that does not exist. */
  query<Type extends RecordType>(name: string, type: Type): Promise<DnsAnswer<Type>>;
  /** The answer when it is at hand; a failure is at hand for some seconds (RFC 9520 §3.2). */
  cached<Type extends RecordType>(name: string, type: Type): DnsAnswer<Type> | undefined;
}

export interface ResolverOptions {
  /** Absent or empty: those of the system. Hosts are IP addresses. */
  readonly servers?: readonly Endpoint[];
  readonly clock: Clock;
  readonly random: Random;
  /** For one try. */
  readonly timeoutMs: number;
  /** Tries of one question, each at the next server. */
  readonly attempts: number;
  readonly cacheEntries: number;
  /** Believe "verified by DNSSEC" of servers on other machines too: the way there is safe. */
  readonly trustAuthenticated?: boolean;
}

/** Sockets open at once, and look-ups that wait for one. */
const width = 256;
const depth = 4096;

/** RFC 2308 §5 advises at most three hours; without a word of the server, a minute. Seconds. */
const longestNegative = 10_800;
const unknownNegative = 60;
/** RFC 9520 §3.2: at least one second, at most five minutes. */
const failureTtl = 5;

/** Questions asked for one look-up, when the server leaves following aliases to us. */
const maxHops = 8;

export function createResolver(options: ResolverOptions): Resolver {
  const resolver = new StubResolver(options);
  // The cache holds what was parsed as the asked type; only the compiler does not know.
  return resolver as Resolver;
}

/** What one look-up found, and how long and how large it is. */
interface Finding {
  readonly answer: DnsAnswer;
  readonly ttl: number;
}

class StubResolver {
  readonly #options: ResolverOptions;
  readonly #servers: readonly Endpoint[];
  readonly #cache: AnswerCache;
  readonly #underWay = new Map<string, Promise<DnsAnswer>>();
  readonly #gate = new Gate(width, depth);
  /** Index of the server that answered last. */
  #preferred = 0;

  constructor(options: ResolverOptions) {
    this.#options = options;
    const given = options.servers ?? [];
    this.#servers = given.length > 0 ? given : systemServers();
    this.#cache = new AnswerCache(options.clock, options.cacheEntries);
  }

  cached(name: string, type: RecordType): DnsAnswer | undefined {
    return this.#cache.get(keyOf(name, type))?.answer;
  }

  query(name: string, type: RecordType): Promise<DnsAnswer> {
    const key = keyOf(name, type);
    const known = this.#cache.get(key)?.promise ?? this.#underWay.get(key);
    if (known !== undefined) return known;
    const asked = this.#lookUp(key, name, type).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, asked);
    return asked;
  }

  async #lookUp(key: string, name: string, type: RecordType): Promise<DnsAnswer> {
    const finding = await this.#gate.run(() => this.#follow(name, type));
    if (finding === undefined) return { kind: "failed", why: "too many look-ups under way" };
    const { answer, ttl } = finding;
    this.#cache.put(key, answer, ttl, JSON.stringify(answer).length + key.length);
    return answer;
  }

  async #follow(start: string, type: RecordType): Promise<Finding> {
    let name = start;
    let ttl = Number.MAX_SAFE_INTEGER;
    let authenticated = true;
    for (let hop = 0; hop < maxHops; hop += 1) {
      const outcome = await this.#ask(name, type);
      if (outcome === undefined) return negative(true, unknownNegative);
      if (!outcome.ok) return failure(outcome.fault);
      const { rcode, records, alias, negativeTtl } = outcome.value;
      authenticated &&= outcome.value.authenticated;
      if (records.length > 0) {
        ttl = Math.min(ttl, outcome.value.ttl);
        return { answer: { kind: "found", records, ttl, authenticated }, ttl };
      }
      const endsHere = rcode === 3 || negativeTtl !== undefined;
      if (alias === undefined || endsHere) {
        return negative(rcode === 3, Math.min(ttl, negativeTtl ?? unknownNegative));
      }
      if (alias.includes("\\")) return negative(true, unknownNegative);
      ttl = Math.min(ttl, outcome.value.ttl);
      name = alias;
    }
    return failure("too many aliases");
  }

  /** Undefined when the text is no name. */
  async #ask(name: string, type: RecordType): Promise<Outcome | Refused | undefined> {
    const wireName = encodeName(name);
    if (wireName === undefined) return undefined;
    const { attempts, clock, random, timeoutMs } = this.#options;
    let edns = true;
    let last: Outcome | Refused = { ok: false, fault: "timeout", at: 0 };
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const index = (this.#preferred + attempt) % this.#servers.length;
      const server = this.#servers[index];
      if (server === undefined) break;
      const question = { id: pick(random, 0x10000), name: wireName, type };
      const query = formatQuery(question, edns);
      const read: Ask["read"] = (message) => parseResponse(message, question);
      const outcome = await exchange({ server, query, timeoutMs, clock, read });
      const judged = outcome.ok ? judge(outcome.value) : outcome;
      if (judged.ok) {
        this.#preferred = index;
        return { ok: true, value: this.#trust(judged.value, server) };
      }
      last = judged;
      // Servers that do not know EDNS say so with "format error" (RFC 6891 §7).
      if (judged.fault === "format error" && edns) edns = false;
      else if (isFinal(judged.fault) && this.#servers.length === 1) break;
    }
    return last;
  }

  /** The AD bit is worth what the way from the server is worth (RFC 6840 §5.8). */
  #trust(response: Response, server: Endpoint): Response {
    const local = server.host === "::1" || server.host.startsWith("127.");
    const trusted = local || this.#options.trustAuthenticated === true;
    return trusted ? response : { ...response, authenticated: false };
  }
}

interface Refused {
  readonly ok: false;
  readonly fault: string;
  readonly at: number;
}

async function exchange(ask: Ask): Promise<Outcome> {
  const outcome = await askByUdp(ask);
  const byTcp = outcome.ok ? outcome.value.truncated : outcome.fault === "flooded";
  return byTcp ? askByTcp(ask) : outcome;
}

const rcodeNames: Readonly<Record<number, string>> = {
  1: "format error",
  2: "server failure",
  4: "not implemented",
  5: "refused",
};

function judge(response: Response): { readonly ok: true; readonly value: Response } | Refused {
  if (response.truncated) return { ok: false, fault: "truncated by TCP", at: 0 };
  if (response.rcode === 0 || response.rcode === 3) return { ok: true, value: response };
  return { ok: false, fault: rcodeNames[response.rcode] ?? `rcode ${response.rcode}`, at: 0 };
}

/** What the same server would only say again. */
function isFinal(fault: string): boolean {
  return fault === "server failure" || fault === "refused" || fault === "not implemented";
}

function negative(nxdomain: boolean, ttl: number): Finding {
  return { answer: { kind: "none", nxdomain }, ttl: Math.min(ttl, longestNegative) };
}

function failure(why: string): Finding {
  return { answer: { kind: "failed", why }, ttl: failureTtl };
}

function keyOf(name: string, type: RecordType): string {
  const lower = name.toLowerCase();
  return `${type} ${lower.endsWith(".") ? lower.slice(0, -1) : lower}`;
}
