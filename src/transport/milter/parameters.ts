/** What an administrator may set about milters. */

import { Misconfigured } from "#base/errors";
import type { Endpoint } from "#base/net";
import type { Parameter, Values } from "#base/parameters";
import type { Milter } from "./types.ts";

export const milterParameters: {
  readonly sockets: Parameter<readonly string[]>;
  readonly timeoutMs: Parameter<number>;
  readonly maxBytes: Parameter<number>;
  readonly whenDown: Parameter<string>;
} = {
  sockets: {
    default: [],
    doc: "Milters that are asked about mail from outside, as inet:PORT@HOST or unix:/PATH; mail goes there unencrypted.",
  },
  timeoutMs: {
    default: 30_000,
    unit: "ms",
    min: 100,
    max: 240_000,
    doc: "For all that one milter does with one message; raise for scanners of large files.",
  },
  maxBytes: {
    default: 10_485_760,
    unit: "bytes",
    min: 65_536,
    max: 104_857_600,
    doc: "Larger messages go to Junk unasked; each message under way takes so much memory at most.",
  },
  whenDown: {
    default: "defer",
    oneOf: ["defer", "pass"],
    doc: "A milter does not answer, or not in its protocol: 451, or the message passes without it.",
  },
};

/** @throws Misconfigured on a socket of neither form */
export function miltersOf(values: Values<typeof milterParameters>): readonly Milter[] {
  const { timeoutMs, maxBytes } = values;
  return values.sockets.map((name) => ({ name, endpoint: endpointOf(name), timeoutMs, maxBytes }));
}

function endpointOf(socket: string): Endpoint | string {
  const path = /^unix:(\/.+)$/.exec(socket)?.[1];
  if (path !== undefined) return path;
  const found = /^inet:(\d{1,5})@(?:\[([0-9a-fA-F:.]+)\]|([^:\s[\]@]+))$/.exec(socket);
  const port = Number(found?.[1]);
  const host = found?.[2] ?? found?.[3];
  if (host === undefined || port < 1 || port > 65_535) {
    throw new Misconfigured(
      `milters.sockets: "${socket}" is neither inet:PORT@HOST nor unix:/PATH`,
    );
  }
  return { host, port };
}
