/** How mail leaves: the connectors, what their hops demand, and who dials. */

import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { Clock } from "#base/clock";
import { type Endpoint, systemNet } from "#base/net";
import type { OutboundConnector } from "#model/connector";
import {
  chooseOutbound,
  defaultOutbound,
  directOf,
  isOpenNow,
  nextOpenAtMs,
  readSecrets,
} from "#transport/connectors";
import {
  type HopPolicies,
  type Leaving,
  NoWayOut,
  type QueueDeps,
  type Way,
} from "#transport/queue";
import { connectorDemand, createTlsPolicies, type TlsPolicies } from "#transport/tls-policy";
import type { Edges } from "./edges.ts";
import { dialThroughEdge, NoAnswer, resolverThroughEdge } from "./egress.ts";
import type { Inside } from "./inside.ts";

type Ports = "wayTo" | "hops" | "secretsOf" | "resolver" | "dial" | "outage";

export interface WaysOut extends AsyncDisposable, Pick<QueueDeps, Ports> {
  readonly policies: TlsPolicies;
}

export function waysOut(inside: Inside, edges: Edges): WaysOut {
  const { settings, clock } = inside;
  const resolver = resolverThroughEdge(() => edges.smtp.forKind("resolve"), clock);
  const dial = dialler(edges, clock);
  const policies = createTlsPolicies({
    ...inside,
    resolver,
    dial: (to, timeoutMs) => dial(to, timeoutMs, { via: "edge" }),
    file: join(settings.folder, "mta-sts.json"),
    report: (evidence) => inside.reports.noteTls(evidence),
  });
  const hops: HopPolicies = {
    demandFor: (hop) => policies.demandFor(hop),
    observed: (hop, answer, failure, tls) => policies.observed(hop, answer, failure, tls),
    connectorDemand,
  };
  return {
    wayTo: (domain, nowMs) => wayTo(settings.outbound, domain, nowMs),
    hops,
    policies,
    secretsOf: (login) => readSecrets(login).map(({ secret }) => secret),
    resolver,
    dial,
    outage: (via) =>
      via === "edge" && edges.smtp.forKind("dial") === undefined
        ? "there is no link to the mail edge"
        : undefined,
    [Symbol.asyncDispose]: () => policies[Symbol.asyncDispose](),
  };
}

function wayTo(connectors: readonly OutboundConnector[], domain: string, nowMs: number): Way {
  const connector = chooseOutbound(connectors, domain) ?? defaultOutbound;
  return {
    connector,
    ...(connector.whenDown === "direct" && { direct: directOf(connector) }),
    ...(!isOpenNow(connector, nowMs) && { opensAtMs: nextOpenAtMs(connector, nowMs) }),
  };
}

/** The hub itself dials what a connector says is inside, and nothing else. */
function dialler(edges: Edges, clock: Clock): QueueDeps["dial"] {
  return async (to: Endpoint, timeoutMs: number, { via, from }: Leaving): Promise<Duplex> => {
    if (via === "inside") return systemNet.dial(to, timeoutMs, from);
    const leaving = { ...to, ...(from !== undefined && { from }) };
    try {
      return await dialThroughEdge(edges.smtp.forKind("dial"), leaving, timeoutMs, clock);
    } catch (error) {
      // Only what the edge says of the other side counts as an attempt.
      if (error instanceof NoAnswer) throw new NoWayOut(error.message, { cause: error });
      throw error;
    }
  };
}
