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
import { type AnswerPorts, answerTo } from "./answer.ts";
import { openCustody } from "./dkim-custody.ts";
import { keyringEvents } from "./events.ts";
import { openCurrentLog } from "./log/current-log.ts";
import { type MasterSettings, openMasters } from "./master/masters.ts";

export interface KeyringSettings {
  readonly socket: string;
  readonly keysDirectory: string;
  /** Shared with the hub: 32 octets in hexadecimal. */
  readonly secretFile: string;
  readonly master: MasterSettings;
  /** Keys of the store's log, and the last head that they signed. */
  readonly logDirectory: string;
  /** Begins the origin of a log that is made at this start. */
  readonly hostname: string;
}

interface Ports extends AnswerPorts {
  readonly secret: Buffer;
}

/** The hub needs one connection; a few more while it restarts. */
const maxConnections = 16;
const handshakeMs = 5000;
/** Requests of one connection under way; more wait in the socket. */
const maxUnderWay = 64;

/**
 * @throws Misconfigured when keys or secret cannot be read, or another keyring serves there;
 *   Unavailable when the token that holds the master key is not there
 */
export async function serveKeyring(
  settings: KeyringSettings,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<AsyncDisposable> {
  const events = keyringEvents(log);
  const secret = readKeyringSecret(settings.secretFile);
  await refuseSecond(settings.socket);
  const custody = await openCustody(settings.keysDirectory);
  const signer = await openCurrentLog(settings.logDirectory, settings.hostname);
  const masters = await openMasters(settings.master, events.masterMade);
  const ports = { clock, custody, events, secret, masters, log: signer };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    serveClient(socket, ports);
  });
  server.maxConnections = maxConnections;
  rmSync(settings.socket, { force: true });
  await listen(server, settings.socket);
  events.serving({ keys: custody.count, master: masters.source, log: signer.keys.name });
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      for (const socket of sockets) socket.destroySoon();
      await closed;
      await masters[Symbol.asyncDispose]();
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
        // Zeroed when it is sent: it may hold a key.
        if (!socket.destroyed) socket.write(answer, () => void answer.fill(0));
        if (underWay < maxUnderWay) socket.resume();
      });
    });
    if (!isSound) refuse("not a frame");
  });
  socket.write(formatFrame({}, server));
}

/**
 * Before anything is made or logged in to: two would sign and write side by side. A socket that
 * nobody answers on is left from a process that died.
 */
async function refuseSecond(path: string): Promise<void> {
  const isServed = await new Promise<boolean>((resolve) => {
    const probe = connect({ path });
    probe.once("connect", () => resolve(true)).once("error", () => resolve(false));
    probe.once("connect", () => probe.destroy());
  });
  if (isServed) throw new Misconfigured(`another keyring serves at ${path}`);
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      reject(new Misconfigured(`the keyring cannot listen at ${path}`, { cause: error }));
    });
    server.listen({ path }, () => {
      // Who may pass the folder may knock: its owner, and as services the hub, by its group.
      chmodSync(path, 0o660);
      resolve();
    });
  });
}
