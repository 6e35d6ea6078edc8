/** How the hosts of each connector did lately: what the last attempts said, since the hub started. */

import type { Attempt } from "#model/queue";

export interface HostHealth {
  /** Host and address, as the trace names them. */
  readonly remote: string;
  readonly succeededAtMs?: number;
  readonly failedAtMs?: number;
  /** The words of the last failure. */
  readonly failure?: string;
}

export interface Health {
  attempted(connector: string, attempt: Attempt): void;
  /** The latest first. */
  of(connector: string): readonly HostHealth[];
}

/** Ours: by MX there may be ten thousand hosts; the latest tell enough. */
const maxHosts = 256;
const maxText = 300;

export function connectorHealth(): Health {
  const connectors = new Map<string, Map<string, HostHealth>>();
  return {
    attempted(connector, attempt) {
      const hosts = connectors.get(connector) ?? new Map<string, HostHealth>();
      connectors.set(connector, hosts);
      const before = hosts.get(attempt.remote);
      hosts.delete(attempt.remote); // so that the map is in order of the last attempt
      hosts.set(attempt.remote, { ...before, ...said(attempt) });
      const [oldest] = hosts.keys();
      if (hosts.size > maxHosts && oldest !== undefined) hosts.delete(oldest);
    },
    of: (connector) => [...(connectors.get(connector)?.values() ?? [])].reverse(),
  };
}

/** A server that refuses one recipient for good has answered well enough. */
function said(attempt: Attempt): HostHealth {
  const { remote, atMs, outcome, unanswered, reply } = attempt;
  const isGood = outcome === "delivered" || (outcome === "failed" && unanswered !== true);
  if (isGood) return { remote, succeededAtMs: atMs };
  const words = typeof reply.text === "string" ? reply.text : reply.text.join(" ");
  const failure = `${reply.code} ${reply.status ?? ""} ${words}`.replace(/ +/g, " ");
  return { remote, failedAtMs: atMs, failure: failure.slice(0, maxText) };
}
