/** The inside's end of the link: dials an edge, keeps dialling, and serves what the edge opens. */

import { connect, type TLSSocket } from "node:tls";
import type { Clock, Timer } from "#base/clock";
import { Unavailable } from "#base/errors";
import type { Log } from "#base/log";
import { type Endpoint, type Net, systemNet } from "#base/net";
import { type Random, systemRandom } from "#base/random";
import {
  exchangeHello,
  type Fingerprint,
  type Link,
  type LinkClass,
  LinkSet,
  type Links,
  linkClasses,
  linkProtocol,
  linkVersion,
  type MuxOptions,
  muxOver,
  pinnedName,
} from "#contracts/link";

export interface DialOptions {
  readonly endpoint: Endpoint;
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly caPem: string;
  /** The edge's certificates: the current one, and the next while it is being renewed. */
  readonly pinnedPeers: readonly Fingerprint[];
  /** Connections held of each class; 1 of each when absent. */
  readonly classes?: Readonly<Record<LinkClass, number>>;
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: Random;
  readonly net?: Net;
  readonly mux?: Partial<MuxOptions>;
}

export interface DialledEdge extends Links, AsyncDisposable {
  /** Resolves when every class is up; rejects with Unavailable when that takes too long. */
  ready(timeoutMs: number): Promise<void>;
  /** Dials at once what is waiting for its turn. */
  hurry(): void;
}

const connectWithinMs = 5000;
const firstRetryMs = 100;
const lastRetryMs = 15_000;
/** A link that lived this long counts as a success: the next retry is a fast one again. */
const provenAfterMs = 5000;

/** How long to wait before the next dial: full jitter, so that many diallers do not march in step. */
export function retryDelayMs(failures: number, random: Random): number {
  const ceilingMs = Math.min(lastRetryMs, firstRetryMs * 2 ** Math.min(failures, 16));
  return firstRetryMs + random.fraction() * (ceilingMs - firstRetryMs);
}

export function dialEdge(options: DialOptions): DialledEdge {
  const { clock, log } = options;
  const random = options.random ?? systemRandom;
  const nonce = random.bytes(16).toString("hex");
  const links = new LinkSet();
  const keepers: Keeper[] = [];
  const where = `${options.endpoint.host}:${options.endpoint.port}`;

  for (const linkClass of linkClasses) {
    const count = options.classes?.[linkClass] ?? 1;
    for (let index = 0; index < count; index += 1) {
      keepers.push(keep(() => once(linkClass), clock, random));
    }
  }

  /** One connection, from dial to end; true when it proved itself. */
  async function once(linkClass: LinkClass): Promise<boolean> {
    let link: Link;
    try {
      const [socket, peer] = await secured(options);
      const own = { version: linkVersion, linkClass, nonce };
      const hello = await exchangeHello(socket, own, clock, connectWithinMs);
      const { version } = hello;
      link = muxOver(socket, "opener-odd", { peer, version, clock, ...options.mux });
      log.write("info", "link.up", { peer, where, linkClass, version });
    } catch (error) {
      log.write("warn", "link.dial-failed", { where, linkClass, because: String(error) });
      return false;
    }
    const upAtMs = clock.tickMs();
    if (keepers.some((keeper) => keeper.stopped)) link.close("hub stops");
    links.add(linkClass, link);
    const why = await link.closed;
    log.write("info", "link.down", { peer: link.peer, where, linkClass, because: why });
    return clock.tickMs() - upAtMs >= provenAfterMs;
  }

  return {
    forKind: (kind) => links.forKind(kind),
    onStream: (handler) => links.onStream(handler),
    onChange: (heard) => links.onChange(heard),
    ready: (timeoutMs) => allUp(links, clock, timeoutMs),
    hurry: () => keepers.forEach((keeper) => keeper.hurry()),
    async [Symbol.asyncDispose]() {
      for (const keeper of keepers) keeper.stop();
      links.closeAll("hub stops");
      await Promise.all(keepers.map((keeper) => keeper.done));
    },
  };
}

interface Keeper {
  readonly stopped: boolean;
  readonly done: Promise<void>;
  hurry(): void;
  stop(): void;
}

/** Runs `once` again and again, with growing pauses while it fails. */
function keep(once: () => Promise<boolean>, clock: Clock, random: Random): Keeper {
  const state = { stopped: false };
  let wake: () => void = () => {};
  const run = async (): Promise<void> => {
    let failures = 0;
    while (!state.stopped) {
      failures = (await once()) ? 0 : failures + 1;
      if (state.stopped) break;
      let timer: Timer | undefined;
      await new Promise<void>((resolve) => {
        wake = resolve;
        timer = clock.after(retryDelayMs(failures, random), resolve);
      });
      timer?.cancel();
    }
  };
  return {
    get stopped() {
      return state.stopped;
    },
    done: run(),
    hurry: () => wake(),
    stop() {
      state.stopped = true;
      wake();
    },
  };
}

function allUp(links: LinkSet, clock: Clock, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const isUp = (): boolean => linkClasses.every((linkClass) => links.count(linkClass) > 0);
    if (isUp()) return resolve();
    const timer = clock.after(timeoutMs, () => {
      stop();
      reject(new Unavailable("edge does not answer"));
    });
    const stop = links.onChange(() => {
      if (!isUp()) return;
      stop();
      timer.cancel();
      resolve();
    });
  });
}

/** A TLS 1.3 connection whose far end has proved to hold a pinned certificate. */
async function secured(options: DialOptions): Promise<readonly [TLSSocket, string]> {
  const raw = await (options.net ?? systemNet).dial(options.endpoint, connectWithinMs);
  const socket = connect({
    socket: raw,
    cert: options.certificatePem,
    key: options.keyPem,
    ca: options.caPem,
    minVersion: "TLSv1.3",
    ALPNProtocols: [linkProtocol],
    // The pin decides; a name would add nothing to it.
    checkServerIdentity: () => undefined,
  });
  return new Promise((resolve, reject) => {
    const refuse = (why: string): void => {
      timer.cancel();
      socket.on("error", () => {});
      socket.destroy();
      reject(new Unavailable(why));
    };
    const timer = options.clock.after(connectWithinMs, () => refuse("no handshake in time"));
    const failed = (error: Error): void => refuse(error.message);
    const gone = (): void => refuse("closed in the handshake");
    socket.once("error", failed).once("close", gone);
    socket.once("secureConnect", () => {
      const peer = pinnedName(socket, options.pinnedPeers);
      if (peer === undefined || socket.alpnProtocol !== linkProtocol) {
        refuse("certificate is not the pinned one");
        return;
      }
      timer.cancel();
      socket.off("error", failed).off("close", gone);
      socket.on("error", () => {});
      resolve([socket, peer]);
    });
  });
}
