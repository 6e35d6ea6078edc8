/** Settings of the resolver, and what they mean to it. */

import { Misconfigured } from "#base/errors";
import { parseIp } from "#base/ip";
import type { Endpoint } from "#base/net";
import type { Parameter, Values } from "#base/parameters";
import type { ResolverOptions } from "./resolver.ts";

/** An alias, not an interface: only that counts as a table of any parameters. */
type Table = {
  readonly servers: Parameter<readonly string[]>;
  readonly timeoutMs: Parameter<number>;
  readonly attempts: Parameter<number>;
  readonly cacheEntries: Parameter<number>;
  readonly trustAuthenticated: Parameter<boolean>;
};

export const dnsParameters: Table = {
  servers: {
    default: [],
    doc: "Recursive servers as ADDRESS, ADDRESS:PORT or [IPV6]:PORT; none: those of the system.",
  },
  timeoutMs: {
    default: 2000,
    unit: "ms",
    min: 50,
    max: 30_000,
    doc: "How long one try may take; raise when the way to the server is slow.",
  },
  attempts: {
    default: 3,
    unit: "count",
    min: 1,
    max: 10,
    doc: "Tries of one look-up, each at the next server.",
  },
  cacheEntries: {
    default: 20_000,
    unit: "count",
    min: 0,
    max: 1_000_000,
    doc: "Answers kept in memory; raise when very many domains write to you.",
  },
  trustAuthenticated: {
    default: false,
    doc: "Believe a server on another machine that it verified an answer by DNSSEC, as one on this machine is believed: only where nobody can change what comes from there. DANE needs one that validates.",
  },
};

export type DnsValues = Values<Table>;

/** @throws Misconfigured when a server is not an address */
export function resolverSettings(
  values: DnsValues,
): Pick<
  ResolverOptions,
  "servers" | "timeoutMs" | "attempts" | "cacheEntries" | "trustAuthenticated"
> {
  return {
    servers: values.servers.map(parseServer),
    timeoutMs: values.timeoutMs,
    attempts: values.attempts,
    cacheEntries: values.cacheEntries,
    trustAuthenticated: values.trustAuthenticated,
  };
}

function parseServer(text: string): Endpoint {
  if (parseIp(text) !== undefined) return { host: text, port: 53 };
  const [, host = "", digits = ""] = /^\[?([0-9A-Fa-f.:]+)\]?:(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (parseIp(host) === undefined || port < 1 || port > 65_535) {
    throw new Misconfigured(`dns.servers: "${text}" is not an address with a port`);
  }
  return { host, port };
}
