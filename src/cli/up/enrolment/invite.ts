/**
 * The inside's half of an enrolment. It dials the edge, as the inside always does, until the edge
 * answers with a proof that it has the token. The token is never written down here: it ends with
 * this call, by use, by time, or by too many wrong answers.
 */

import { connect, type TLSSocket } from "node:tls";
import { type Clock, sleep } from "#base/clock";
import { Denied, Unavailable } from "#base/errors";
import { type Endpoint, systemNet } from "#base/net";
import { systemRandom } from "#base/random";
import { fingerprintOf } from "../link-identity.ts";
import type { Enrolment } from "./records.ts";
import { enrolProtocol, peerFingerprint, talkOn, WrongProof } from "./talk.ts";
import { type EnrolmentToken, secretLength } from "./token.ts";

export interface Invitation {
  readonly token: EnrolmentToken;
  /** Where the edge waits. */
  readonly at: Endpoint;
  readonly enrolment: Enrolment;
  /** Of the inside's link certificate; it stays in this process. */
  readonly hubKeyPem: string;
}

/** Certificates that the edge made, in PEM; each key stays on the edge. */
export interface OfferedCertificates {
  readonly smtp: string;
  readonly web: string;
}

export interface InviteDeps {
  readonly clock: Clock;
  /** Told once for each new reason why nothing came of a try. */
  readonly onTrouble: (why: string) => void;
  readonly signal?: AbortSignal;
}

/** Wrong proofs before the invitation ends: nobody guesses, so somebody else sits at the address. */
export const maxWrongProofs = 5;
const dialAgainMs = 1000;
const connectWithinMs = 5000;

export function makeToken(hubCertificatePem: string, expiresAtMs: number): EnrolmentToken {
  const secret = systemRandom.bytes(secretLength);
  return { secret, hubFingerprint: fingerprintOf(hubCertificatePem), expiresAtMs };
}

/**
 * Dials until the edge is enrolled; `keep` writes down its certificates before the edge is told.
 *
 * @throws Unavailable when the token's time is over; Denied after too many wrong proofs
 */
export async function inviteEdge(
  invitation: Invitation,
  deps: InviteDeps,
  keep: (offered: OfferedCertificates) => void,
): Promise<void> {
  const { token, at } = invitation;
  const { clock, onTrouble, signal } = deps;
  let wrongProofs = 0;
  let told = "";
  while (clock.nowMs() < token.expiresAtMs) {
    signal?.throwIfAborted();
    try {
      return await tryOnce(invitation, clock, keep);
    } catch (error) {
      if (error instanceof WrongProof) wrongProofs += 1;
      else if (!(error instanceof Unavailable)) throw error;
      if (wrongProofs >= maxWrongProofs) {
        throw new Denied(
          `${at.host}:${at.port} answered ${wrongProofs} times without the token: is another edge, or somebody else, at this address?`,
        );
      }
      if (error.message !== told) onTrouble(error.message);
      told = error.message;
    }
    await sleep(clock, dialAgainMs);
  }
  throw new Unavailable("the token's time is over, and no edge came: invite again");
}

async function tryOnce(
  { token, at, enrolment, hubKeyPem }: Invitation,
  clock: Clock,
  keep: (offered: OfferedCertificates) => void,
): Promise<void> {
  const socket = await dial(at, enrolment.hubCertificatePem, hubKeyPem);
  try {
    const edge = peerFingerprint(socket);
    if (edge === undefined) throw new Unavailable("the edge shows no certificate");
    const ends = { secret: token.secret, hub: token.hubFingerprint, edge };
    const talk = talkOn(socket, ends, clock);
    // The edge proves itself first: to anybody else nothing at all is said.
    const offered = (await talk.hear("offer")) as OfferedCertificates;
    if (fingerprintOf(offered.smtp) !== edge) throw new WrongProof("offered another certificate");
    fingerprintOf(offered.web);
    talk.say("welcome", enrolment);
    await talk.hear("kept");
    keep(offered);
    talk.say("done", {});
    talk.end();
  } finally {
    socket.destroySoon();
  }
}

async function dial(at: Endpoint, cert: string, key: string): Promise<TLSSocket> {
  const raw = await systemNet.dial(at, connectWithinMs);
  return new Promise((resolve, reject) => {
    // Nobody vouches for the certificate yet: the proof will, or the connection is dropped.
    const options = { cert, key, minVersion: "TLSv1.3", rejectUnauthorized: false } as const;
    const socket = connect({ ...options, socket: raw, ALPNProtocols: [enrolProtocol] });
    const refuse = (why: string): void => {
      socket.on("error", () => {});
      socket.destroy();
      reject(new Unavailable(`${at.host}:${at.port}: ${why}`));
    };
    socket.setTimeout(connectWithinMs, () => refuse("no handshake in time"));
    const gone = (): void => refuse("waits for no enrolment");
    socket.once("error", gone).once("close", gone);
    socket.once("secureConnect", () => {
      if (socket.alpnProtocol !== enrolProtocol) return gone();
      socket.setTimeout(0);
      socket.off("close", gone).on("error", () => {});
      resolve(socket);
    });
  });
}
