/** The proof that a name is ours, told in a TLS handshake: tls-alpn-01 (RFC 8737). */

import { Buffer } from "node:buffer";
import { generateKeyPairSync, sign } from "node:crypto";
import type { Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import type { Clock, Timer } from "#base/clock";
import type { Random } from "#base/random";
import { formatCertificate, formatPem } from "#formats/x509";
import { type ClientHello, peekClientHello } from "./client-hello.ts";
import type { Credential } from "./credential.ts";

/** RFC 8737 §6.2. */
export const acmeProtocol = "acme-tls/1";

const dayMs = 86_400_000;
const challengeMs = 600_000;
/** Until the first message is there, and again until the handshake is over. */
const handshakeMs = 10_000;
/** Connections that are looked at together; more go on unseen, as they do without a challenge. */
const maxPeeking = 256;
/** An order has no more names in it. */
const maxPending = 100;

export interface Challenges {
  /** @returns false when there is no room */
  offer(name: string, keyAuthorizationSha256: Buffer): boolean;
  withdraw(name: string): void;
  challengeFor(name: string): Credential | undefined;
  divert(socket: Socket, pass: (socket: Socket) => void): void;
}

export function challenges(clock: Clock, random: Random): Challenges {
  const pending = new Map<string, { readonly credential: Credential; readonly timer: Timer }>();
  let peeking = 0;
  const withdraw = (name: string): void => {
    pending.get(name)?.timer.cancel();
    pending.delete(name);
  };
  const challengeFor = (name: string): Credential | undefined => pending.get(name)?.credential;
  return {
    offer(name, digest) {
      withdraw(name);
      if (pending.size >= maxPending) return false;
      const credential = challengeCredential(name, digest, clock.nowMs(), random);
      pending.set(name, { credential, timer: clock.after(challengeMs, () => withdraw(name)) });
      return true;
    },
    withdraw,
    challengeFor,
    divert(socket, pass) {
      if (pending.size === 0 || peeking >= maxPeeking) return pass(socket);
      peeking += 1;
      peek(socket, clock, (hello) => {
        peeking -= 1;
        if (hello === undefined) return;
        const { serverName, protocols } = hello;
        // RFC 8737 §3: the validator offers this protocol alone.
        const isAsked = protocols.length === 1 && protocols[0] === acmeProtocol;
        const credential = isAsked ? challengeFor(serverName) : undefined;
        if (credential === undefined) pass(socket);
        else prove(socket, credential, clock);
      });
    },
  };
}

/** Signs itself, for that name alone, with the digest in it (RFC 8737 §3). */
function challengeCredential(
  name: string,
  digest: Buffer,
  nowMs: number,
  random: Random,
): Credential {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const facts = {
    serial: Buffer.concat([Buffer.of(1), random.bytes(15)]),
    commonName: "ACME challenge",
    notBeforeMs: nowMs - dayMs,
    notAfterMs: nowMs + dayMs,
    publicKey: publicKey.export({ type: "spki", format: "der" }),
    usage: "server",
    dnsNames: [name],
    acmeIdentifier: digest,
  } as const;
  const der = formatCertificate(facts, (octets) => sign("sha256", octets, privateKey));
  return {
    cert: formatPem("CERTIFICATE", der),
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
  };
}

/**
 * Calls back once, with what was read put back into the socket; what is no TLS names nothing.
 *
 * @param seen gets undefined when the client is gone
 */
function peek(socket: Socket, clock: Clock, seen: (hello: ClientHello | undefined) => void): void {
  let octets: Buffer = Buffer.alloc(0);
  const done = (hello: ClientHello | undefined): void => {
    timer.cancel();
    socket.off("data", look).off("close", gone).off("end", gone);
    socket.pause();
    if (hello !== undefined && octets.length > 0) socket.unshift(octets);
    seen(hello);
    if (hello !== undefined) socket.off("error", fail);
  };
  const look = (chunk: Buffer): void => {
    octets = octets.length === 0 ? chunk : Buffer.concat([octets, chunk]);
    const read = peekClientHello(octets);
    if (read.ok) done(read.value);
    else if (read.fault === "not-a-client-hello") done({ serverName: "", protocols: [] });
  };
  const gone = (): void => {
    socket.destroy();
    done(undefined);
  };
  const fail = (): void => {};
  const timer = clock.after(handshakeMs, () => socket.destroy());
  socket.on("data", look).on("close", gone).on("end", gone).on("error", fail);
}

/** The handshake is all there is to it (RFC 8737 §4): no octet of an application is taken or sent. */
function prove(socket: Socket, credential: Credential, clock: Clock): void {
  const tls = new TLSSocket(socket, {
    isServer: true,
    secureContext: createSecureContext({ ...credential, minVersion: "TLSv1.2" }),
    ALPNProtocols: [acmeProtocol],
  });
  const timer = clock.after(handshakeMs, () => tls.destroy());
  tls.on("error", () => tls.destroy());
  tls.on("close", () => timer.cancel());
  tls.on("end", () => tls.end());
  tls.resume();
}
