/** Connections as an argument: the machine's network, or a simulated one with faults. */

import { connect, createServer } from "node:net";
import type { Duplex } from "node:stream";
import { Unavailable } from "#base/errors";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface Listener extends AsyncDisposable {
  readonly endpoint: Endpoint;
}

export interface Net {
  /** Rejects with `Unavailable` when nothing answers within the time. */
  dial(to: Endpoint, timeoutMs: number): Promise<Duplex>;
  /** `from` is the peer's address as the system tells it. */
  listen(at: Endpoint, onConnection: (stream: Duplex, from: Endpoint) => void): Promise<Listener>;
}

export const systemNet: Net = {
  dial(to, timeoutMs) {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: to.host, port: to.port, noDelay: true });
      const fail = (error?: Error): void => {
        socket.destroy();
        reject(new Unavailable(`no connection to ${to.host}:${to.port}`, { cause: error }));
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
      server.listen({ host: at.host, port: at.port, backlog: 1024 }, () => {
        server.removeListener("error", reject);
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
