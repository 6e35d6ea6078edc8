/** Client connections that an edge passes in as ciphertext: the TLS handshake is ours. */

import type { Duplex } from "node:stream";
import { parseIp } from "#base/ip";
import type { Endpoint } from "#base/net";
import { duplexOn, type LinkStream } from "#contracts/link";
import type { TcpAnswer, TcpRequest, TcpService } from "#contracts/web";

/** What serves a raw connection, TLS included, as if it had listened itself. */
export type TcpDoor = (socket: Duplex, from: Endpoint) => void;

/** Takes streams of kind tcp; services without a door are refused. */
export function tcpDoors(
  doors: Readonly<Partial<Record<TcpService, TcpDoor>>>,
): (stream: LinkStream) => void {
  return (stream) => {
    const ask = tcpRequest(stream.header);
    if (ask === undefined) return stream.abort("malformed request");
    const door = doors[ask.service];
    if (door === undefined) {
      stream.answer({ ok: false, why: `${ask.service} is not served` } satisfies TcpAnswer);
      stream.end();
      return;
    }
    const socket = duplexOn(stream);
    socket.on("error", () => {});
    stream.answer({ ok: true } satisfies TcpAnswer);
    door(socket, { host: ask.clientAddress, port: ask.clientPort });
  };
}

const services: readonly TcpService[] = ["imaps", "pop3s", "submissions"];

/** The edge is checked like anybody else: it may be owned. */
function tcpRequest(header: unknown): TcpRequest | undefined {
  const { service, clientAddress, clientPort } = (header ?? {}) as Partial<TcpRequest>;
  if (service === undefined || !services.includes(service)) return undefined;
  if (typeof clientAddress !== "string" || parseIp(clientAddress) === undefined) return undefined;
  if (!Number.isInteger(clientPort) || Number(clientPort) < 0 || Number(clientPort) > 65_535) {
    return undefined;
  }
  return { service, clientAddress, clientPort: Number(clientPort) };
}
