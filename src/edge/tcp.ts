/**
 * Mail clients' TLS connections, passed inside as ciphertext: the handshake is the inside's, so no
 * program of the DMZ sees a credential or holds the key (docs/decisions/0027).
 */

import type { Duplex } from "node:stream";
import { buffer } from "#base/bytes";
import type { Clock, Timer } from "#base/clock";
import { Unavailable } from "#base/errors";
import { clientNetwork, plainAddress } from "#base/ip";
import { OpenCounts } from "#base/limits";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import { type Endpoint, type Listener, systemNet } from "#base/net";
import { type Parameter, section } from "#base/parameters";
import { join, type LinkStream, type Links } from "#contracts/link";
import type { TcpAnswer, TcpRequest, TcpService } from "#contracts/web";

const published = (what: string, port: number): Parameter<string> => ({
  default: "",
  doc: `Address and port of the web edge for ${what}, as HOST:PORT (usually port ${port}); empty: not published.`,
});

type ClientDoors = Readonly<Record<TcpService, Parameter<string>>>;

const clientDoors: ClientDoors = {
  imaps: published("IMAP with implicit TLS", 993),
  pop3s: { default: "", doc: "Must stay empty: there is no POP3 server yet." },
  submissions: published("submission with implicit TLS", 465),
};

const limitParameters = {
  connections: {
    default: 5_000,
    unit: "count",
    min: 10,
    max: 100_000,
    doc: "Most published IMAP, POP3 and submission connections at once; more are closed unread.",
  },
  connectionsPerAddress: {
    default: 50,
    unit: "count",
    min: 4,
    max: 10_000,
    doc: "Most of them of one IPv4 address or IPv6 /64; raise it when many people share one.",
  },
  helloTimeoutMs: {
    default: 10_000,
    unit: "ms",
    min: 1_000,
    max: 60_000,
    doc: "Time for the first octets of a client's TLS handshake.",
  },
} as const;

/** Section [clients]. */
export const tcpParameters: ClientDoors & typeof limitParameters = {
  ...clientDoors,
  ...limitParameters,
};

export interface TcpSettings {
  /** Absent: not published. */
  readonly listen: Readonly<Partial<Record<TcpService, Endpoint>>>;
  /** Limits of `tcpParameters`; absent ones keep their default. */
  readonly limits?: Readonly<Record<string, unknown>>;
}

export interface TcpDeps {
  readonly links: Pick<Links, "forKind">;
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
}

export interface PublishedTcp extends AsyncDisposable {
  readonly endpoints: ReadonlyMap<TcpService, Endpoint>;
}

/** How long the inside may take to say whether it serves the door. */
const answerWithinMs = 15_000;
/** Content type of a handshake record (RFC 8446 §5.1): whatever else comes is no TLS. */
const handshakeRecord = 22;

export async function publishTcp(settings: TcpSettings, deps: TcpDeps): Promise<PublishedTcp> {
  const limits = section({ clients: settings.limits ?? {} }, "clients", limitParameters);
  const counts = new OpenCounts(limits.connections, limits.connectionsPerAddress);
  const opened = deps.registry.counter("published_tcp", "Client connections, by service and end");
  await using opening = new AsyncDisposableStack();
  const endpoints = new Map<TcpService, Endpoint>();
  const open = new Set<Duplex>();
  for (const [service, at] of Object.entries(settings.listen) as [TcpService, Endpoint][]) {
    const listener: Listener = await systemNet.listen(at, (socket, from) => {
      socket.on("error", () => {});
      const owner = clientNetwork(from.host);
      const full = counts.enter(owner);
      if (full !== undefined) {
        opened.add({ service, end: `full-${full}` });
        socket.destroy();
        return;
      }
      open.add(socket);
      socket.once("close", () => {
        open.delete(socket);
        counts.leave(owner);
      });
      const clientAddress = plainAddress(from.host);
      const ask = { service, clientAddress, clientPort: from.port };
      void pass(socket, ask, limits.helloTimeoutMs, deps).then((end) => {
        opened.add({ service, end });
        socket.destroy();
      });
    });
    opening.use(listener);
    endpoints.set(service, listener.endpoint);
  }
  const listeners = opening.move();
  return {
    endpoints,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await listeners[Symbol.asyncDispose]();
    },
  };
}

/** One connection from its first octets to its end. Resolves with how it ended, for the counter. */
async function pass(
  socket: Duplex,
  ask: TcpRequest,
  helloTimeoutMs: number,
  { links, clock, log }: TcpDeps,
): Promise<string> {
  const first = await firstOctets(socket, clock, helloTimeoutMs);
  if (first === undefined) return "silent";
  if (first[0] !== handshakeRecord) return "not-tls";
  try {
    const link = links.forKind("tcp");
    if (link === undefined) throw new Unavailable("no link");
    const stream = link.open("tcp", ask, { data: first });
    const over = join(stream, socket);
    if (!(await isServed(stream, clock))) {
      stream.abort("not served");
      return "not-served";
    }
    socket.resume();
    await over;
    return "passed";
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    log.write("warn", "tcp.link-down", { service: ask.service });
    return "link-down";
  }
}

function firstOctets(socket: Duplex, clock: Clock, withinMs: number): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const timer: Timer = clock.after(withinMs, () => decide(undefined));
    const took = (chunk: Uint8Array): void => {
      socket.pause();
      decide(buffer(chunk));
    };
    const gone = (): void => decide(undefined);
    const decide = (octets: Buffer | undefined): void => {
      timer.cancel();
      socket.off("data", took).off("end", gone).off("close", gone);
      resolve(octets);
    };
    socket.on("data", took).on("end", gone).on("close", gone);
  });
}

async function isServed(stream: LinkStream, clock: Clock): Promise<boolean> {
  const timer = clock.after(answerWithinMs, () => stream.abort("no answer in time"));
  try {
    return ((await stream.answered) as TcpAnswer | null)?.ok === true;
  } finally {
    timer.cancel();
  }
}
