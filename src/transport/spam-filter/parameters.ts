/** What an administrator may set about an external spam filter. */

import { Misconfigured } from "#base/errors";
import type { Endpoint } from "#base/net";
import type { Values } from "#base/parameters";
import type { SpamFilter, SpamFilterName } from "./types.ts";

export const spamFilterParameters = {
  filter: {
    default: "none",
    oneOf: ["none", "rspamd", "spamassassin"],
    doc: "External spam filter that is asked about mail from outside.",
  },
  address: {
    default: "",
    doc: "HOST:PORT or path of a Unix socket; mail goes there unencrypted. Empty: the filter's own port on 127.0.0.1.",
  },
  timeoutMs: {
    default: 10_000,
    unit: "ms",
    min: 100,
    max: 120_000,
    doc: "Wait for the filter's answer; then the message is judged without it.",
  },
  maxBytes: {
    default: 524_288,
    unit: "bytes",
    min: 1_024,
    max: 52_428_800,
    doc: "Larger messages are judged without the filter; raise when spam comes with large files.",
  },
} as const;

const usualPorts: Readonly<Record<SpamFilterName, number>> = { rspamd: 11_333, spamassassin: 783 };

/** @returns undefined when no filter is wanted. @throws Misconfigured on an address of neither form */
export function spamFilterOf(values: Values<typeof spamFilterParameters>): SpamFilter | undefined {
  const { filter, address, timeoutMs, maxBytes } = values;
  if (filter !== "rspamd" && filter !== "spamassassin") return undefined;
  return { kind: filter, endpoint: endpointOf(address, usualPorts[filter]), timeoutMs, maxBytes };
}

function endpointOf(address: string, usualPort: number): Endpoint | string {
  if (address === "") return { host: "127.0.0.1", port: usualPort };
  if (address.startsWith("/")) return address;
  const found = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):(\d{1,5})$/.exec(address);
  const host = found?.[1] ?? found?.[2];
  const port = Number(found?.[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new Misconfigured(`spamFilter.address: "${address}" is neither HOST:PORT nor a path`);
  }
  return { host, port };
}
