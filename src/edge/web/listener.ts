/** The HTTPS listener: TLS, sizes, times and counts that hold before a request is a request. */

import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { errorPage, ownHeaders, pagePolicy, type WebLimits } from "#proxy";
import type { WebEvents } from "./events.ts";
import type { EdgeWebSettings } from "./settings.ts";

/** TLS 1.2 with forward secrecy and AEAD only; 1.3 brings its own suites (RFC 9325 §4.2). */
const suites = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

export type OnRequest = (request: IncomingMessage, response: ServerResponse) => void;

export function readCertificate(tls: EdgeWebSettings["tls"]): { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) };
}

export function makeListener(
  tls: EdgeWebSettings["tls"],
  limits: WebLimits,
  events: WebEvents,
  onRequest: OnRequest,
): Server {
  const server = createServer({
    ...readCertificate(tls),
    minVersion: "TLSv1.2",
    ciphers: suites,
    honorCipherOrder: true,
    ALPNProtocols: ["http/1.1"],
    handshakeTimeout: 10_000,
    maxHeaderSize: limits.headerMaxBytes,
    headersTimeout: limits.headerTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: 1_000,
    insecureHTTPParser: false,
    requireHostHeader: false, // looked for by ourselves, with an answer of ours
    joinDuplicateHeaders: false,
    noDelay: true,
  });
  server.maxConnections = limits.connections;
  server.maxRequestsPerSocket = limits.requestsPerConnection;
  server.maxHeadersCount = 0; // would drop fields in silence; counted by ourselves instead
  server.timeout = limits.idleTimeoutMs;

  server.on("request", onRequest);
  server.on("checkContinue", onRequest);
  server.on("checkExpectation", onRequest);
  server.on("upgrade", (_request, socket: Duplex) => endWith(socket, 400));
  server.on("connect", (_request, socket: Duplex) => endWith(socket, 405));
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    events.connectionRefused(error.code ?? "parser");
    endWith(socket, parserStatus[error.code ?? ""] ?? 400);
  });
  server.on("tlsClientError", () => events.connectionRefused("tls"));
  server.on("drop", () => events.connectionRefused("connections"));
  capPerAddress(server, limits.connectionsPerAddress, events);
  return server;
}

const parserStatus: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** For a connection whose request could not be read: what follows on it means nothing. */
function endWith(socket: Duplex, status: number): void {
  if (!socket.writable || (socket as Socket).bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const page = errorPage(status);
  const headers = ownHeaders({
    "content-type": "text/html; charset=utf-8",
    "content-length": String(Buffer.byteLength(page)),
    "content-security-policy": pagePolicy,
    connection: "close",
  });
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} Refused\r\n${lines.join("")}\r\n${page}`, () => socket.destroy());
  socket.on("error", () => socket.destroy());
}

function capPerAddress(server: Server, most: number, events: WebEvents): void {
  const open = new Map<string, number>();
  server.on("connection", (socket: Socket) => {
    const key = networkOf(socket.remoteAddress ?? "");
    const count = open.get(key) ?? 0;
    if (count >= most) {
      events.connectionRefused("address");
      socket.destroy();
      return;
    }
    open.set(key, count + 1);
    socket.once("close", () => {
      const left = (open.get(key) ?? 1) - 1;
      if (left > 0) open.set(key, left);
      else open.delete(key);
    });
  });
}

/** What counts as one client: an IPv4 address, or an IPv6 /64. */
export function networkOf(address: string): string {
  const plain = plainAddress(address);
  if (!plain.includes(":")) return plain;
  const [head = "", tail] = plain.split("::");
  const groups = head === "" ? [] : head.split(":");
  const missing = tail === undefined ? 0 : 8 - groups.length - tail.split(":").length;
  return [...groups, ...Array<string>(Math.max(missing, 0)).fill("0"), ...(tail ?? "").split(":")]
    .slice(0, 4)
    .join(":");
}

export function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

/** The name of the handshake, "" for a client that named an address or nothing. */
export function serverNameOf(request: IncomingMessage): string {
  const name = (request.socket as TLSSocket).servername;
  return typeof name === "string" ? name : "";
}
