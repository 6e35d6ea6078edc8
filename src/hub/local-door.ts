/** The local door: programs of this machine hand in mail at a socket, as they do with sendmail. */

import { chmodSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { buffer } from "#base/bytes";
import type { Envelope, Recipient } from "#model/envelope";
import type { Reply } from "#model/reply";
import { type ContentSink, createSmtpServer, type SmtpHandler } from "#transport/smtp-server";
import type { Inside } from "./inside.ts";
import type { Outgoing } from "./outgoing.ts";
import { refuseRecipient } from "./relay/recipients.ts";

export interface LocalDoorPorts {
  readonly inside: Inside;
  readonly outgoing: Pick<Outgoing, "send">;
}

/** Sessions under way may end their message for so long. */
const drainMs = 20_000;

const notYours: Reply = {
  code: 550,
  status: "5.7.1",
  text: "programs of this machine may not write as that address (sendmail.senders)",
};

/** Nothing is opened where no path is set. */
export async function openLocalDoor({
  inside,
  outgoing,
}: LocalDoorPorts): Promise<AsyncDisposable> {
  const { settings, directory } = inside;
  const { hostname, domain, smtp: limits } = settings;
  const { local: path } = settings.listen;
  const senders = new Set(settings.sendmail.senders.map((one) => one.toLowerCase()));
  /** Where the host name is a domain of ours, too, the names of people there stay theirs. */
  const isUser = (address: string): boolean =>
    domainOf(address) === hostname && directory.resolve(address).length === 0;
  const may = (address: string): boolean => {
    const known = [address.toLowerCase(), `@${domainOf(address)}`];
    return isUser(address) || known.some((one) => senders.has(one));
  };
  const usersTo = settings.sendmail.usersTo || `postmaster@${domain}`;
  /** Names of the machine's users are nobody's mailbox. */
  const real = (address: string): string => (isUser(address) ? usersTo : address);
  const handler: SmtpHandler = {
    mail: (_session, { reversePath }) =>
      reversePath === "" || may(reversePath) ? undefined : notYours,
    recipient: (_session, address) =>
      directory.isLocalDomain(domainOf(real(address)))
        ? refuseRecipient(real(address), inside)
        : undefined,
    begin: (transaction) =>
      sink((octets) => {
        const envelope = withRecipients(transaction.envelope, real);
        return outgoing.send(
          { ...transaction, envelope, octets },
          { login: "local", may, verdicts: [] },
        );
      }),
  };
  await using opening = new AsyncDisposableStack();
  if (path !== undefined) {
    const options = { ...inside, hostname, postmasterDomain: domain, limits, proxyTrusted: [] };
    const server = createSmtpServer({ ...options, listener: "local", implicitTls: false }, handler);
    opening.defer(() => server.drain(drainMs));
    opening.use(await listenAt(path, (stream) => server.attach(stream, nowhere)));
  }
  return opening.move();
}

/** A socket has no address. */
const nowhere = { host: "127.0.0.1", port: 0 };

async function listenAt(path: string, attach: (socket: Socket) => void): Promise<AsyncDisposable> {
  // A socket file left behind by a kill is nobody's: the store's lock says we are the only hub.
  rmSync(path, { force: true });
  const listener = createServer(attach);
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject).listen(path, resolve);
  });
  // A connection that cannot be accepted (no descriptor is left) is the client's loss alone.
  listener.on("error", () => {});
  // Its folder says who may come so far.
  chmodSync(path, 0o666);
  return { [Symbol.asyncDispose]: () => new Promise((done) => void listener.close(() => done())) };
}

/** Holds one message: signing needs the body's hash before the first octet may be committed. */
function sink(send: (octets: readonly Uint8Array[]) => Promise<Reply>): ContentSink {
  const octets: Buffer[] = [];
  return {
    write(chunk) {
      octets.push(buffer(chunk));
    },
    end: () => send(octets),
    abort() {
      octets.length = 0;
    },
  };
}

/** Each once: several users of the machine may be one person. */
function withRecipients(envelope: Envelope, real: (address: string) => string): Envelope {
  const byPath = new Map<string, Recipient>();
  for (const one of envelope.recipients) {
    const path = real(one.path);
    if (!byPath.has(path)) byPath.set(path, { ...one, path });
  }
  return { ...envelope, recipients: [...byPath.values()] };
}

/** "" for what is no address: it is nobody's name here. */
function domainOf(address: string): string {
  const at = address.lastIndexOf("@");
  return at < 0 ? "" : address.slice(at + 1).toLowerCase();
}
