/**
 * The edge's half of an enrolment. It makes its keys here, waits at the port of its link, and speaks
 * with nobody but the holder of the certificate that the token names.
 */

import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Clock } from "#base/clock";
import { Denied, Misconfigured, Unavailable } from "#base/errors";
import type { Endpoint } from "#base/net";
import { fingerprintOf, type LinkIdentity } from "../link-identity.ts";
import type { Enrolment } from "./records.ts";
import { enrolProtocol, peerFingerprint, talkOn } from "./talk.ts";
import type { EnrolmentToken } from "./token.ts";

export interface EnrolPlan {
  readonly token: EnrolmentToken;
  /** Where the inside will dial: the link of the mail edge. */
  readonly listen: Endpoint;
  readonly smtp: LinkIdentity;
  readonly web: LinkIdentity;
}

export interface EnrolDeps {
  readonly clock: Clock;
  /** Told when the door is open, and once for each new reason why nothing came of a try. */
  readonly onNews: (what: string) => void;
}

/** Talks with the true inside that came to nothing: another token was meant. */
export const maxFailedTalks = 5;
const maxConnections = 16;
const handshakeWithinMs = 5000;

/**
 * Waits for the inside and is told who it is; `keep` writes it down before the inside is answered.
 *
 * @throws Unavailable when the token's time is over; Denied when the inside means another token;
 *   Misconfigured when the port cannot be had
 */
export async function enrolEdge(
  plan: EnrolPlan,
  { clock, onNews }: EnrolDeps,
  keep: (enrolment: Enrolment) => void,
): Promise<Enrolment> {
  const leftMs = plan.token.expiresAtMs - clock.nowMs();
  if (leftMs <= 0) {
    throw new Unavailable("this token's time is over (or this machine's clock is wrong)");
  }
  const outcome = Promise.withResolvers<Enrolment>();
  let failures = 0;
  let strangers = 0;
  const late = clock.after(leftMs, () => {
    outcome.reject(new Unavailable("the token's time is over, and the inside did not come"));
  });
  const server = serverOf(plan.smtp, (socket) => {
    if (peerFingerprint(socket) !== plan.token.hubFingerprint) {
      strangers += 1;
      if (strangers === 1) onNews("somebody dialled who is not the inside; not answered");
      return void socket.destroy();
    }
    welcomed(plan, socket, clock, keep).then(outcome.resolve, (error: unknown) => {
      if (error instanceof Misconfigured) return outcome.reject(error);
      failures += 1;
      onNews("the inside came and did not take this token");
      if (failures < maxFailedTalks) return;
      outcome.reject(new Denied("the inside means another token: was this one used before?"));
    });
  });
  await listen(server, plan.listen);
  onNews(`waiting for the inside at ${plan.listen.host}:${plan.listen.port}`);
  try {
    return await outcome.promise;
  } finally {
    late.cancel();
    server.close();
  }
}

async function welcomed(
  { token, smtp, web }: EnrolPlan,
  socket: TLSSocket,
  clock: Clock,
  keep: (enrolment: Enrolment) => void,
): Promise<Enrolment> {
  const edge = fingerprintOf(smtp.certificatePem);
  const talk = talkOn(socket, { secret: token.secret, hub: token.hubFingerprint, edge }, clock);
  try {
    talk.say("offer", { smtp: smtp.certificatePem, web: web.certificatePem });
    const enrolment = (await talk.hear("welcome")) as Enrolment;
    if (fingerprintOf(enrolment.hubCertificatePem) !== token.hubFingerprint) {
      throw new Misconfigured("the inside sent another certificate than the token names");
    }
    keep(enrolment);
    talk.say("kept", {});
    await talk.hear("done");
    return enrolment;
  } finally {
    socket.destroySoon();
  }
}

function serverOf(own: LinkIdentity, onSocket: (socket: TLSSocket) => void): Server {
  const server = createServer({
    cert: own.certificatePem,
    key: own.keyPem,
    requestCert: true,
    // The token names the one certificate that is good; no authority is asked.
    rejectUnauthorized: false,
    minVersion: "TLSv1.3",
    ALPNProtocols: [enrolProtocol],
    handshakeTimeout: handshakeWithinMs,
  });
  server.maxConnections = maxConnections;
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.on("secureConnection", (socket) => {
    socket.on("error", () => {});
    onSocket(socket);
  });
  return server;
}

function listen(server: Server, { host, port }: Endpoint): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      const why = `${host}:${port} cannot be had: is the edge running? Stop it first`;
      reject(new Misconfigured(why, { cause: error }));
    });
    server.listen({ host, port }, () => resolve());
  });
}
