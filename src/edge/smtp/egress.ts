/** Connections that the inside makes through the edge: a dumb, policy-bound way out. */

import { lookup as systemLookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { Unavailable } from "#base/errors";
import { isPublicAddress } from "#base/ip";
import type { Net } from "#base/net";
import { join, type LinkStream } from "#contracts/link";
import type { EdgeEvents } from "./events.ts";

export interface EgressPorts {
  readonly net: Net;
  readonly events: EdgeEvents;
  readonly ports: readonly number[];
  /** May loopback and private addresses be dialled? */
  readonly mayDialPrivate: boolean;
  readonly connections: number;
  /** Addresses of a host name. The inside resolves names itself; this is for smart hosts by name. */
  readonly lookup?: (host: string) => Promise<readonly string[]>;
}

const maxTimeoutMs = 120_000;

/** Serves streams of kind dial. */
export function egress(ports: EgressPorts): (stream: LinkStream) => void {
  let open = 0;
  return (stream) => {
    const asked = parseDial(stream.header);
    if (asked === undefined)
      return stream.abort("dial: host, port, timeoutMs and perhaps from expected");
    if (open >= ports.connections) {
      return refuse(stream, "too many connections from the edge", { isBusy: true });
    }
    open += 1;
    void dial(asked, ports)
      .then(
        ([socket, address]) => {
          ports.events.dialled("open");
          stream.answer({ address });
          return join(stream, socket);
        },
        (error: unknown) => {
          const denied = error instanceof NotAllowed;
          ports.events.dialled(denied ? "refused" : "failed");
          refuse(stream, error instanceof Error ? error.message : "cannot connect");
        },
      )
      .finally(() => (open -= 1));
  };
}

class NotAllowed extends Unavailable {}

interface Dial {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  /** Address of the edge that the connection leaves from. */
  readonly from?: string;
}

function parseDial(header: unknown): Dial | undefined {
  const { host, port, timeoutMs, from } = (header ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof host !== "string" || !/^[0-9A-Za-z.:_-]{1,255}$/.test(host)) return undefined;
  if (!isCount(port, 65_535) || !isCount(timeoutMs, Number.MAX_SAFE_INTEGER)) return undefined;
  const asked = { host, port, timeoutMs: Math.min(timeoutMs, maxTimeoutMs) };
  if (from === undefined) return asked;
  return typeof from === "string" && isIP(from) > 0 ? { ...asked, from } : undefined;
}

function isCount(value: unknown, most: number): value is number {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) <= most;
}

/** @param more isBusy: nobody was asked, as the edge has too much to do */
function refuse(stream: LinkStream, why: string, more: { readonly isBusy?: true } = {}): void {
  stream.answer({ refused: why, ...more });
  stream.end();
}

async function dial(asked: Dial, ports: EgressPorts): Promise<readonly [Duplex, string]> {
  if (!ports.ports.includes(asked.port)) throw new NotAllowed(`port ${asked.port} is not allowed`);
  // The address that was looked at is the one that is dialled: a name could change its mind.
  const addresses = isIP(asked.host) > 0 ? [asked.host] : await found(asked.host, ports);
  const { from, port, timeoutMs } = asked;
  const address = addresses.find((one) => ports.mayDialPrivate || isPublicAddress(one));
  if (address === undefined) throw new NotAllowed("address is not public");
  if (from !== undefined && isIP(from) !== isIP(address)) {
    throw new NotAllowed(`${address} cannot be reached from ${from}`);
  }
  return [await ports.net.dial({ host: address, port }, timeoutMs, from), address];
}

async function found(host: string, ports: EgressPorts): Promise<readonly string[]> {
  try {
    if (ports.lookup !== undefined) return await ports.lookup(host);
    return (await systemLookup(host, { all: true })).map(({ address }) => address);
  } catch (error) {
    throw new Unavailable(`${host}: no address`, { cause: error });
  }
}
