/** The HTTPS listener: who may connect, TLS, and which HTTP the client speaks (RFC 7301, RFC 9325). */

import { createServer as createTcpServer, type Socket, type Server as TcpServer } from "node:net";
import {
  createServer as createTlsServer,
  type TLSSocket,
  type Server as TlsServer,
} from "node:tls";
import type { Clock, Timer } from "#base/clock";
import { clientNetwork, plainAddress } from "#base/ip";
import { OpenCounts } from "#base/limits";
import { type Endpoint, listenTarget, readProxyHeader } from "#base/net";
import { type Certify, contextLastsMs, doorTls } from "#edge/certify";
import type { WebLimits } from "#proxy";
import type { WebEvents } from "./events.ts";
import { type Client, type Front, type Held, momentOf, sweepEveryMs } from "./front.ts";
import { Http1Connection } from "./http1.ts";
import { Http2Connection } from "./http2.ts";
import type { Incoming } from "./incoming.ts";

const handshakeTimeoutMs = 10_000;
/** For a PROXY header of a trusted balancer, which sends it before anything else. */
const proxyTimeoutMs = 5_000;

type TlsFacts = Pick<Certify, "secureContext" | "onChange" | "divert">;

export interface ListenerOptions {
  readonly limits: WebLimits;
  readonly clock: Clock;
  readonly events: WebEvents;
  /** Whose connections begin with a PROXY header. */
  readonly isTrustedProxy: (address: string) => boolean;
  readonly onRequest: (incoming: Incoming) => void;
  /** Called with every look at all connections. */
  readonly onSweep?: () => void;
  /** Absent: HTTP/1.1 in the clear. */
  readonly tls?: TlsFacts;
}

export interface WebListener extends AsyncDisposable {
  readonly endpoint: Endpoint;
  /** Connections of clients that speak HTTP now. */
  readonly size: number;
}

export async function openListener(at: Endpoint, options: ListenerOptions): Promise<WebListener> {
  const listener = new Listener(options);
  await listener.listen(at);
  return listener;
}

class Listener implements WebListener {
  readonly #options: ListenerOptions;
  readonly #server: TcpServer;
  readonly #tls: TlsServer | undefined;
  readonly #counts: OpenCounts;
  readonly #sockets = new Set<Socket>();
  readonly #held = new Set<Held>();
  readonly #front: Front & { readonly now: { tickMs: number; date: string } };
  /** Clients behind a balancer, by the connection that brings them. */
  readonly #proxied = new Map<string, Client>();
  #timer: Timer;
  #tlsTimer: Timer | undefined;

  constructor(options: ListenerOptions) {
    const { limits, events, clock, onRequest, tls } = options;
    this.#options = options;
    this.#front = { limits, events, now: momentOf(clock), onRequest };
    this.#counts = new OpenCounts(limits.connections, limits.connectionsPerAddress);
    this.#server = createTcpServer({ noDelay: true }, (socket) => this.#connected(socket));
    // One above our own cap: those that we turn away are counted there.
    this.#server.maxConnections = limits.connections + 1;
    this.#server.on("drop", () => events.connectionRefused("connections"));
    this.#tls = tls && this.#tlsServer(tls);
    this.#timer = clock.after(sweepEveryMs, () => this.#sweep());
  }

  get endpoint(): Endpoint {
    const bound = this.#server.address();
    if (typeof bound !== "object" || bound === null) return { host: "", port: 0 };
    return { host: bound.address, port: bound.port };
  }

  get size(): number {
    return this.#held.size;
  }

  listen(at: Endpoint): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(listenTarget(at), () => {
        this.#server.off("error", reject);
        // A connection that cannot be accepted (no descriptor is left) is the client's loss alone.
        this.#server.on("error", () => {});
        resolve();
      });
    });
  }

  #tlsServer(tls: TlsFacts): TlsServer {
    const { events, clock } = this.#options;
    const contextOptions = () => ({ ...tls.secureContext(), ...doorTls });
    const server = createTlsServer({
      ...contextOptions(),
      ALPNProtocols: ["h2", "http/1.1"],
      handshakeTimeout: handshakeTimeoutMs,
    });
    const renew = (): void => {
      this.#tlsTimer?.cancel();
      this.#tlsTimer = clock.after(contextLastsMs, renew);
      server.setSecureContext(contextOptions());
    };
    this.#tlsTimer = clock.after(contextLastsMs, renew);
    tls.onChange(renew);
    server.on("tlsClientError", (_error, socket) => {
      events.connectionRefused("tls");
      socket.destroy(); // a handshake that is late is only reported by Node
    });
    server.on("secureConnection", (socket: TLSSocket) => this.#secured(socket));
    return server;
  }

  #connected(socket: Socket): void {
    socket.on("error", () => {});
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    const address = plainAddress(socket.remoteAddress ?? "");
    if (this.#options.isTrustedProxy(address)) this.#readProxyHeader(socket);
    else this.#admit(socket, address);
  }

  /** What a trusted balancer says of the client stands before anything else (CAP-15). */
  #readProxyHeader(socket: Socket): void {
    let octets = Buffer.alloc(0);
    const patience = this.#options.clock.after(proxyTimeoutMs, () => socket.destroy());
    const look = (): void => {
      for (let part = socket.read(); part !== null; part = socket.read()) {
        octets = Buffer.concat([octets, part as Buffer]);
      }
      const header = readProxyHeader(octets);
      if (header.kind === "more" && !socket.readableEnded) return;
      patience.cancel();
      socket.off("readable", look);
      if (header.kind !== "read") {
        this.#options.events.connectionRefused("proxy-header");
        socket.destroy();
        return;
      }
      if (header.end < octets.length) socket.unshift(octets.subarray(header.end));
      // Without an address the balancer speaks for itself.
      const host = header.from?.host ?? socket.remoteAddress ?? "";
      this.#admit(socket, plainAddress(host), header.from !== undefined);
    };
    socket.on("readable", look);
    socket.once("close", () => patience.cancel());
  }

  #admit(socket: Socket, address: string, isProxied = false): void {
    const owner = clientNetwork(address);
    const full = this.#counts.enter(owner);
    if (full !== undefined) {
      this.#options.events.connectionRefused(full === "all" ? "connections" : "address");
      socket.destroy();
      return;
    }
    const key = connectionKey(socket);
    if (isProxied) this.#proxied.set(key, { address, serverName: "" });
    socket.once("close", () => {
      this.#counts.leave(owner);
      if (isProxied) this.#proxied.delete(key);
    });
    const { tls } = this.#options;
    if (tls === undefined)
      this.#hold(socket, new Http1Connection(socket, { address, serverName: "" }, this.#front));
    else tls.divert(socket, (passed) => void this.#tls?.emit("connection", passed));
  }

  #secured(socket: TLSSocket): void {
    const address =
      this.#proxied.get(connectionKey(socket))?.address ?? plainAddress(socket.remoteAddress ?? "");
    const name = socket.servername as unknown;
    const client = { address, serverName: typeof name === "string" ? name : "" };
    const speaksTwo = socket.alpnProtocol === "h2";
    const held = speaksTwo
      ? new Http2Connection(socket, client, this.#front)
      : new Http1Connection(socket, client, this.#front);
    this.#hold(socket, held);
  }

  #hold(socket: Socket, held: Held): void {
    this.#held.add(held);
    socket.once("close", () => this.#held.delete(held));
  }

  #sweep(): void {
    const { clock, onSweep } = this.#options;
    Object.assign(this.#front.now, momentOf(clock));
    for (const held of this.#held) held.sweep();
    onSweep?.();
    this.#timer = clock.after(sweepEveryMs, () => this.#sweep());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer.cancel();
    this.#tlsTimer?.cancel();
    for (const held of this.#held) held.destroy();
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }
}

/** One live connection has it, whatever wraps its socket. */
function connectionKey(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
