/** One question to one server and its answer, by UDP or TCP (RFC 1035 §4.2, RFC 7766). */

import { Buffer } from "node:buffer";
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import type { Clock } from "#base/clock";
import type { Endpoint } from "#base/net";
import { type Result, refuse } from "#base/result";
import type { Response, ResponseFault } from "./message.ts";

export interface Ask {
  readonly server: Endpoint;
  readonly query: Buffer;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly read: (message: Buffer) => Result<Response, ResponseFault>;
}

export type Outcome = Result<Response, ResponseFault | "timeout" | "unreachable" | "flooded">;

/** Datagrams that do not answer the question; from the next on, somebody is guessing. */
const maxStrays = 4;

/** A socket for each question: its port, chosen by the system, is as hard to guess as the id. */
export function askByUdp({ server, query, timeoutMs, clock, read }: Ask): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(server.host) ? "udp6" : "udp4");
    let strays = 0;
    let done = false;
    const finish = (outcome: Outcome): void => {
      if (done) return;
      done = true;
      timer.cancel();
      socket.close();
      resolve(outcome);
    };
    const timer = clock.after(timeoutMs, () => finish(refuse("timeout")));
    socket.on("error", () => finish(refuse("unreachable")));
    socket.on("message", (message) => {
      const outcome = read(message);
      if (outcome.ok || outcome.fault !== "not-the-answer") return finish(outcome);
      strays += 1;
      if (strays > maxStrays) finish(refuse("flooded"));
    });
    // Connected: the system drops datagrams of others, and tells when nobody listens.
    socket.once("connect", () => {
      if (!done) socket.send(query);
    });
    socket.connect(server.port, server.host);
  });
}

export function askByTcp({ server, query, timeoutMs, clock, read }: Ask): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = connect({ host: server.host, port: server.port, noDelay: true });
    let held = Buffer.alloc(0);
    const finish = (outcome: Outcome): void => {
      timer.cancel();
      socket.destroy();
      resolve(outcome);
    };
    const timer = clock.after(timeoutMs, () => finish(refuse("timeout")));
    socket.on("error", () => finish(refuse("unreachable")));
    socket.on("close", () => finish(refuse("unreachable")));
    socket.on("data", (chunk: Buffer) => {
      held = Buffer.concat([held, chunk]); // the length field bounds it to 64 KiB
      if (held.length < 2) return;
      const end = 2 + held.readUInt16BE(0);
      if (held.length >= end) finish(read(held.subarray(2, end)));
    });
    const size = Buffer.alloc(2);
    size.writeUInt16BE(query.length);
    socket.write(Buffer.concat([size, query]));
  });
}
