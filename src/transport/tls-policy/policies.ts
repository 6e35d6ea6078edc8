/** What a hop's TLS has to be, from its connector and from what the DNS and the web say of its domain. */

import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { Endpoint } from "#base/net";
import type { Random } from "#base/random";
import type { TlsFacts } from "#model/connection";
import { findDane } from "./dane.ts";
import { decide, type Findings, type StsFinding } from "./decide.ts";
import { tlsPolicyEvents } from "./events.ts";
import { evidenceOf, type SessionFailure, type TlsEvidence } from "./evidence.ts";
import { type Hop, type HopAnswer, portOf } from "./hop.ts";
import { StsPolicies } from "./sts.ts";
import { openStsBook } from "./sts-book.ts";
import { fetchPolicy } from "./sts-fetch.ts";

export interface TlsPolicies extends AsyncDisposable {
  demandFor(hop: Hop): Promise<HopAnswer>;
  /**
   * Says how it went, for reports.
   *
   * @param failure absent: the session began, or nothing was dialled because the answer said no
   * @param tls of the session; absent: it was in the clear
   */
  observed(hop: Hop, answer: HopAnswer, failure?: SessionFailure, tls?: TlsFacts): void;
  /** What holds, for an administrator to read. */
  explain(hop: Hop): Promise<{ readonly findings: Findings; readonly answer: HopAnswer }>;
}

export interface TlsPolicyDeps {
  /** Its "authenticated" is believed (docs/decisions/0030-who-validates-dnssec.md). */
  readonly resolver: Pick<Resolver, "query">;
  /** To port 443 of policy hosts. @throws Unavailable */
  readonly dial: (to: Endpoint, timeoutMs: number) => Promise<Duplex>;
  /** Where policies are kept; "" keeps them in memory. */
  readonly file: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly registry: Registry;
  /** Trust anchors for policy hosts, PEM; absent: those of Node. */
  readonly authorities?: readonly string[];
  readonly report?: (evidence: TlsEvidence) => void;
}

export function createTlsPolicies(deps: TlsPolicyDeps): TlsPolicies {
  const events = tlsPolicyEvents(deps.log, deps.registry);
  const book = openStsBook(deps.file, deps.clock.nowMs(), events.putAside);
  const fetch = (domain: string) => fetchPolicy(domain, deps);
  const sts = new StsPolicies({ ...deps, book, fetch, events });
  /** Of answers that were given, for what is told of them. */
  const found = new WeakMap<HopAnswer, Findings>();

  const look = async (hop: Hop): Promise<Findings> => {
    const [dane, policy] = await Promise.all([daneOf(hop, deps), stsOf(hop, sts)]);
    return { dane, sts: policy };
  };
  const explain: TlsPolicies["explain"] = async (hop) => {
    const findings = await look(hop);
    return { findings, answer: decide(hop, findings) };
  };
  return {
    explain,
    async demandFor(hop) {
      const { findings, answer } = await explain(hop);
      found.set(answer, findings);
      if (!answer.ok) events.refused(hop.domain, hop.host, String(answer.reply.text));
      return answer;
    },
    observed(hop, answer, failure, tls) {
      const findings = found.get(answer);
      if (findings === undefined || deps.report === undefined || !isReported(hop)) return;
      const outcome = { ...(failure && { failure }), ...(tls && { tls }) };
      for (const one of evidenceOf(hop, answer, findings, outcome)) deps.report(one);
    },
    [Symbol.asyncDispose]: () => sts.stop(),
  };
}

/** The administrator's own word, or a host inside: nothing of the world's is asked. */
function isSettled({ connector }: Hop): boolean {
  const { level } = connector.tls;
  return level === "none" || level === "pinned" || connector.via === "inside";
}

function isReported(hop: Hop): boolean {
  return !isSettled(hop) && isIP(hop.host) === 0;
}

function daneOf(hop: Hop, { resolver }: TlsPolicyDeps): Promise<Findings["dane"]> {
  return isSettled(hop) ? Promise.resolve({ kind: "none" }) : findDane(hop, portOf(hop), resolver);
}

async function stsOf(hop: Hop, sts: StsPolicies): Promise<StsFinding> {
  const isDomain = !hop.domain.startsWith("[") && isIP(hop.domain) === 0;
  return hop.viaMx && isDomain && !isSettled(hop) ? sts.find(hop.domain) : {};
}
