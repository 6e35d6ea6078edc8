/** Connections as an argument: the machine's network, or a simulated one with faults. */

import { connect, createServer } from "node:net";
import type { Duplex } from "node:stream";
import { Unavailable } from "#base/errors";

export { type ProxyHeader, readProxyHeader, trustOf } from "./proxy-header.ts";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface Listener extends AsyncDisposable {
  readonly endpoint: Endpoint;
}

export interface Net {
  /**
   * Rejects with `Unavailable` when nothing answers within the time.
   *
   * @param from address of this machine that the connection leaves from; absent: the system chooses
   */
  dial(to: Endpoint, timeoutMs: number, from?: string): Promise<Duplex>;
  /** `from` is the peer's address as the system tells it. */
  listen(at: Endpoint, onConnection: (stream: Duplex, from: Endpoint) => void): Promise<Listener>;
}

/** First socket that a service manager hands over (sd_listen_fds(3)). */
const firstInheritedFd = 3;

/**
 * What a server's `listen` takes: the socket that the service manager opened, when it gave us one
 * whose name is this port, so that a program without any privilege serves port 25 or 443; otherwise
 * the address itself.
 */
export function listenTarget({ host, port }: Endpoint): ListenTarget {
  const { LISTEN_PID, LISTEN_FDNAMES = "" } = process.env;
  const names = LISTEN_PID === String(process.pid) ? LISTEN_FDNAMES.split(":") : [];
  const at = names.indexOf(String(port));
  const backlog = 1024;
  return at < 0 ? { host, port, backlog } : { fd: firstInheritedFd + at, backlog };
}

export type ListenTarget =
  | { readonly host: string; readonly port: number; readonly backlog: number }
  | { readonly fd: number; readonly backlog: number };

/** @param code of the system; undefined: nothing came in time */
function silenceOf({ host, port }: Endpoint, code: string | undefined): string {
  if (code === "ECONNREFUSED") return `nobody listens at ${host}:${port}`;
  return `${host}:${port} does not answer${code === undefined ? "" : ` (${code})`}`;
}

export const systemNet: Net = {
  dial(to, timeoutMs, from) {
    return new Promise((resolve, reject) => {
      const local = from === undefined ? {} : { localAddress: from };
      const socket = connect({ host: to.host, port: to.port, noDelay: true, ...local });
      const fail = (error?: Error): void => {
        socket.destroy();
        const { code } = (error ?? {}) as { code?: string };
        const isNotOurs = from !== undefined && (code === "EADDRNOTAVAIL" || code === "EINVAL");
        const why = isNotOurs ? `this machine has no address ${from}` : silenceOf(to, code);
        reject(new Unavailable(why, { cause: error }));
      };
      socket.setTimeout(timeoutMs, () => fail());
      socket.once("error", fail);
      socket.once("connect", () => {
        socket.setTimeout(0);
        socket.removeListener("error", fail);
        resolve(socket);
      });
    });
  },
  listen(at, onConnection) {
    return new Promise((resolve, reject) => {
      const server = createServer({ noDelay: true, pauseOnConnect: false }, (socket) => {
        onConnection(socket, { host: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 });
      });
      server.once("error", reject);
      server.listen(listenTarget(at), () => {
        server.removeListener("error", reject);
        // A connection that cannot be accepted (no descriptor is left) is the client's loss alone.
        server.on("error", () => {});
        const bound = server.address();
        const port = typeof bound === "object" && bound !== null ? bound.port : at.port;
        resolve({
          endpoint: { host: at.host, port },
          [Symbol.asyncDispose]: () => new Promise((done) => void server.close(() => done())),
        });
      });
    });
  },
};
