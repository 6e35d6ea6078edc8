/** The relay door: servers inside hand in what leaves, as people do by submission (RFC 6409 §6). */

import { buffer } from "#base/bytes";
import type { Directory } from "#contracts/directory";
import { fields, maxHeaderBytes, parseHeader, valueOf } from "#formats/message";
import { parseReceived } from "#formats/received";
import type { Connection } from "#model/connection";
import type { InboundConnector } from "#model/connector";
import type { Reply } from "#model/reply";
import {
  type ContentSink,
  createSmtpServer,
  type SmtpHandler,
  type SmtpServer,
  type SmtpServerOptions,
  type Transaction,
} from "#transport/smtp-server";
import type { Gateways } from "../gateway/index.ts";
import type { Party, Sending } from "../outbound.ts";
import { partnerOf, partnerVerdicts } from "../partners.ts";
import type { DoorPeers } from "./peers.ts";
import { refuseRecipient } from "./recipients.ts";

export interface RelayPorts {
  readonly options: Omit<SmtpServerOptions, "listener" | "implicitTls" | "proxyTrusted" | "tls">;
  readonly peers: DoorPeers;
  readonly directory: Directory;
  readonly gateways: Pick<Gateways, "domains" | "ask">;
  readonly send: (sending: Sending, party: Party) => Promise<Reply>;
}

/** RFC 5321 §6.3: in all, and of those that say "by" us. */
const mostReceived = 100;
const mostByUs = 5;

const denied: Reply = { code: 550, status: "5.7.1", text: "relaying denied" };
const notYours: Reply = {
  code: 550,
  status: "5.7.1",
  text: "your connector is not for mail from that domain",
};
const looping: Reply = { code: 554, status: "5.4.6", text: "this message goes round in circles" };
const uninvited: Reply = { code: 554, status: "5.7.1", text: "no connector is for your address" };

export function relayServer(ports: RelayPorts): SmtpServer {
  const { options, peers, directory } = ports;
  const mayUse = (connection: Connection, domain: string): boolean =>
    sendsFor(peers.connectorOf(connection), domain, directory);
  const handler: SmtpHandler = {
    connected: ({ clientAddress }) => (peers.isInvited(clientAddress) ? undefined : uninvited),
    mail({ connection }, { reversePath }) {
      const refusal = peers.refuse(connection, reversePath);
      if (refusal !== undefined || reversePath === "") return refusal;
      return mayUse(connection, domainOf(reversePath)) ? undefined : notYours;
    },
    recipient({ connection }, path) {
      if (directory.isLocalDomain(domainOf(path))) return refuseRecipient(path, ports);
      return peers.connectorOf(connection)?.mayRelay === true ? undefined : denied;
    },
    begin: (transaction) => sink(transaction, ports),
  };
  const tls = peers.tls?.bind(peers);
  const secured = { ...(tls && { tls }), sasl: peers, peers };
  return createSmtpServer(
    { ...options, ...secured, listener: "relay", implicitTls: false, proxyTrusted: [] },
    handler,
  );
}

/** Its own list; without one, the domains of ours. */
function sendsFor(
  connector: InboundConnector | undefined,
  domain: string,
  directory: Pick<Directory, "isLocalDomain">,
): boolean {
  if (connector === undefined) return false;
  const { senderDomains } = connector;
  return senderDomains.length > 0
    ? senderDomains.includes(domain)
    : directory.isLocalDomain(domain);
}

/** Holds one message: signing needs the body's hash before the first octet may be committed. */
function sink(
  transaction: Transaction,
  { peers, directory, send, options }: RelayPorts,
): ContentSink {
  const octets: Buffer[] = [];
  const { connection } = transaction;
  return {
    write(chunk) {
      octets.push(buffer(chunk));
    },
    async end() {
      const connector = peers.connectorOf(connection);
      if (connector === undefined) return denied;
      if (isLooping(octets, options.hostname)) return looping;
      const partner = partnerOf(connection);
      const party = {
        login: connector.name,
        may: (address: string) => sendsFor(connector, domainOf(address), directory),
        verdicts: partnerVerdicts(connection),
        ...(partner && { partner }),
      };
      return await send({ ...transaction, octets }, party);
    },
    abort() {
      octets.length = 0;
    },
  };
}

/** What a server inside sends back to us was here before: soon enough it is the same message. */
function isLooping(octets: readonly Buffer[], hostname: string): boolean {
  const header = parseHeader(Buffer.concat(octets).subarray(0, maxHeaderBytes));
  const received = fields(header, "received");
  if (received.length > mostReceived) return true;
  const byUs = received.filter((one) => parseReceived(valueOf(header, one)).by === hostname);
  return byUs.length > mostByUs;
}

function domainOf(path: string): string {
  return path.slice(path.lastIndexOf("@") + 1).toLowerCase();
}
