/** A TCP port before a real server, which a test makes silent, slow, mad or dead. */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/**
 * open: passes everything on. down: nobody listens. silent: takes connections and says nothing.
 * garbage: answers what no server says. slow: an octet a second of what the server says.
 */
export type ValveState = "open" | "down" | "silent" | "garbage" | "slow";

export class Valve implements AsyncDisposable {
  readonly #to: number;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #state: ValveState = "open";
  port = 0;
  connections = 0;

  constructor(to: number) {
    this.#to = to;
  }

  static async before(port: number): Promise<Valve> {
    const valve = new Valve(port);
    await valve.turn("open");
    return valve;
  }

  /** Ends the connections that there are. */
  async turn(state: ValveState): Promise<void> {
    this.#state = state;
    for (const socket of this.#sockets) socket.destroy();
    if (state === "down") return this.#close();
    if (this.#server !== undefined) return;
    this.#server = createServer((socket) => this.#take(socket));
    this.#server.listen(this.port, "127.0.0.1");
    await once(this.#server, "listening");
    this.port = (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await this.#close();
  }

  async #close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  #take(socket: Socket): void {
    this.connections += 1;
    this.#keep(socket);
    if (this.#state === "silent") return;
    if (this.#state === "garbage") return void socket.write("\u0000\u0001<html>no such thing\r\n");
    const server = connect({ host: "127.0.0.1", port: this.#to });
    this.#keep(server);
    socket.once("close", () => server.destroy());
    server.once("close", () => socket.destroy());
    socket.pipe(server);
    if (this.#state === "slow") void trickle(server, socket);
    else server.pipe(socket);
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => this.#sockets.delete(socket));
  }
}

async function trickle(from: Socket, to: Socket): Promise<void> {
  for await (const chunk of from as AsyncIterable<Buffer>) {
    for (const octet of chunk) {
      if (to.destroyed) return;
      to.write(Buffer.of(octet));
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}
