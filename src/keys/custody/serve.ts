/** The keyring's socket: who proves to hold the secret may ask for signatures, never for a key. */

import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { chmodSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Clock } from "#base/clock";
import { Misconfigured } from "#base/errors";
import type { Log } from "#base/log";
import {
  FrameReader,
  formatFrame,
  isProof,
  nonceLength,
  proofOf,
  readKeyringSecret,
} from "#contracts/keyring";
import { answerTo } from "./answer.ts";
import { type KeyringEvents, keyringEvents } from "./events.ts";
import { type Custody, openCustody } from "./key-folder.ts";

export interface KeyringSettings {
  readonly socket: string;
  readonly keysDirectory: string;
  /** Shared with the hub: 32 octets in hexadecimal. */
  readonly secretFile: string;
}

interface Ports {
  readonly clock: Clock;
  readonly custody: Custody;
  readonly secret: Buffer;
  readonly events: KeyringEvents;
}

/** The hub needs one connection; a few more while it restarts. */
const maxConnections = 16;
const handshakeMs = 5000;
/** Requests of one connection under way; more wait in the socket. */
const maxUnderWay = 64;

/** @throws Misconfigured when keys or secret cannot be read, or another keyring serves there */
export async function serveKeyring(
  settings: KeyringSettings,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<AsyncDisposable> {
  const events = keyringEvents(log);
  const custody = openCustody(settings.keysDirectory);
  const ports = { clock, custody, events, secret: readKeyringSecret(settings.secretFile) };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    serveClient(socket, ports);
  });
  server.maxConnections = maxConnections;
  await removeStale(settings.socket);
  await listen(server, settings.socket);
  events.serving(custody.count);
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      for (const socket of sockets) socket.destroySoon();
      await closed;
    },
  };
}

function serveClient(socket: Socket, ports: Ports): void {
  const reader = new FrameReader();
  const server = randomBytes(nonceLength);
  let isProved = false;
  let underWay = 0;
  const late = ports.clock.after(handshakeMs, () => refuse("too slow to prove itself"));
  const refuse = (why: string): void => {
    ports.events.clientRefused(why);
    socket.destroy();
  };
  const prove = (body: Buffer): void => {
    const nonces = { server, client: body.subarray(0, nonceLength) };
    const proof = body.subarray(nonceLength);
    if (!isProof(proof, proofOf(ports.secret, "client", nonces))) return refuse("wrong proof");
    late.cancel();
    isProved = true;
    reader.trust();
    socket.write(formatFrame({}, proofOf(ports.secret, "server", nonces)));
  };
  socket.on("error", () => socket.destroy());
  socket.on("close", () => late.cancel());
  socket.on("data", (chunk: Buffer) => {
    const isSound = reader.feed(chunk, (frame) => {
      if (socket.destroyed) return;
      if (!isProved) return prove(frame.body);
      underWay += 1;
      if (underWay >= maxUnderWay) socket.pause();
      void answerTo(frame, ports).then((answer) => {
        underWay -= 1;
        if (!socket.destroyed) socket.write(answer);
        if (underWay < maxUnderWay) socket.resume();
      });
    });
    if (!isSound) refuse("not a frame");
  });
  socket.write(formatFrame({}, server));
}

/** A socket that nobody answers on is left from a process that died. */
async function removeStale(path: string): Promise<void> {
  const isServed = await new Promise<boolean>((resolve) => {
    const probe = connect({ path });
    probe.once("connect", () => resolve(true)).once("error", () => resolve(false));
    probe.once("connect", () => probe.destroy());
  });
  if (isServed) throw new Misconfigured(`another keyring serves at ${path}`);
  rmSync(path, { force: true });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      reject(new Misconfigured(`the keyring cannot listen at ${path}`, { cause: error }));
    });
    server.listen({ path }, () => {
      chmodSync(path, 0o600);
      resolve();
    });
  });
}
