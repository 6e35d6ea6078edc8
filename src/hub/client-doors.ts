/** IMAP and submission, for clients that reach a port of the inside and for those the edge passes in. */

import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type SecureContext, TLSSocket } from "node:tls";
import { createImapServer } from "#access/imap";
import type { Sessions } from "#access/sessions";
import type { Clock } from "#base/clock";
import { plainAddress } from "#base/ip";
import { systemNet } from "#base/net";
import type { LinkStream } from "#contracts/link";
import type { Submit } from "#contracts/submission";
import { type Certify, currentContext } from "#edge/certify";
import type { AccountId } from "#model/mailbox";
import type { Inside } from "./inside.ts";
import { submissionServer } from "./submission.ts";
import { type TcpDoor, tcpDoors } from "./tcp-doors.ts";

export interface ClientDoors extends AsyncDisposable {
  /** Takes streams of kind tcp. */
  handle(stream: LinkStream): void;
}

/** Opens all or none. Both speak TLS from the first octet (RFC 8314 §3.3). */
export async function openClientDoors(
  inside: Inside,
  certify: Certify,
  submit: Submit,
  sessions: Pick<Sessions, "revocations">,
): Promise<ClientDoors> {
  const { settings, clock } = inside;
  await using opening = new AsyncDisposableStack();
  const tls = currentContext(certify, clock);
  const { hostname } = settings;
  const revocations = (account: AccountId): number => sessions.revocations(account);
  const imap = createImapServer({ ...inside, limits: settings.imap, revocations, hostname });
  const imaps: TcpDoor = (socket, from) =>
    secured(socket, tls(), clock, (secure) => imap.attach(secure, plainAddress(from.host)));
  // Open sessions are ended by their protocol's own drain or with the process.
  const listener = await systemNet.listen(settings.listen.imap, imaps);
  opening.defer(() => void listener[Symbol.asyncDispose]());
  const submission = submissionServer({
    options: { ...inside, hostname, limits: settings.smtp, tls },
    ...inside,
    submit,
    revocations,
  });
  opening.defer(() => submission.drain(drainMs));
  await submission.listen(settings.listen.submission);
  const opened = opening.move();
  return {
    handle: tcpDoors({
      imaps,
      submissions: (socket, from) => submission.attach(socket, from),
    }),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

/** Sessions under way may end their message for so long. */
const drainMs = 20_000;
const handshakeMs = 10_000;

/** A handshake that fails, or takes longer than its time, ends the connection. */
function secured(
  socket: Duplex,
  secureContext: SecureContext,
  clock: Clock,
  serve: (secure: TLSSocket) => void,
): void {
  // Any stream will do (the types say less than the documentation of node:tls).
  const secure = new TLSSocket(socket as Socket, { isServer: true, secureContext });
  const timer = clock.after(handshakeMs, () => secure.destroy());
  const fail = (): void => void secure.destroy();
  socket.on("error", fail);
  secure.on("error", fail);
  secure.once("close", () => timer.cancel());
  secure.once("secure", () => {
    timer.cancel();
    serve(secure);
  });
}
