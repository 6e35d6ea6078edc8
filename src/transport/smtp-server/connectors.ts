/** Which inbound connector a client comes by, what is demanded of it, and for whom it may send. */

import type { SecureContext } from "node:tls";
import type { Connection } from "#model/connection";
import type { InboundConnector, InboundDoor } from "#model/connector";
import type { Reply } from "#model/reply";
import { isGroupAmong } from "./groups.ts";
import * as replies from "./replies.ts";
import type { PeerPort, PeerRules, ShownCertificate } from "./types.ts";

/** What of a connector shapes a handshake. */
type TlsFloor = Pick<InboundConnector, "minVersion" | "groups">;

export interface ConnectorPorts {
  readonly door: InboundDoor;
  /** Those in force; the same array as long as none changes. */
  readonly connectors: () => readonly InboundConnector[];
  /** `matchInbound` of #transport/connectors. */
  readonly match: (
    connectors: readonly InboundConnector[],
    door: InboundDoor,
    peer: { address: string; certificate?: string; key?: string; user?: string },
  ) => InboundConnector | undefined;
  /** The certificate that is served now; without a floor as for everybody. */
  readonly context?: (floor: TlsFloor | undefined) => SecureContext;
}

export interface ConnectorRules extends PeerPort {
  tls?(connection: Connection): SecureContext;
  /** SASL mechanisms for who may be a partner with a login; empty for everybody else. */
  mechanisms(connection: Connection): readonly string[];
  /** Undefined: this client may send with that reverse path. */
  refuseSender(connection: Connection, reversePath: string): Reply | undefined;
}

export function connectorRules(ports: ConnectorPorts): ConnectorRules {
  const { door, match, context } = ports;
  const here = onceFor(ports.connectors, (all) => all.filter((one) => one.door === door));
  const byNetwork = onceFor(here, boundToNetworks);

  /** Whose address this is, whatever else it asks for. */
  const ownerOf = ({ clientAddress }: Connection): InboundConnector | undefined => {
    const found = match(byNetwork(), door, { address: clientAddress });
    return found && here().find(({ name }) => name === found.name);
  };
  const arrivedBy = ({ connector }: Connection): InboundConnector | undefined =>
    connector === undefined ? undefined : here().find(({ name }) => name === connector);

  return {
    rules(connection, shown) {
      if (here().length === 0) return {};
      const { clientAddress: address, authenticated: user } = connection;
      const print = shown && { certificate: shown.sha256, key: shown.keySha256 };
      const arrived = match(here(), door, {
        address,
        ...print,
        ...(user !== undefined && { user }),
      });
      const rules = peerRules(arrived, ownerOf(connection), shown);
      return user === undefined || arrived?.user === user
        ? rules
        : { ...rules, isLoginUnfit: true };
    },
    asksCertificate: ({ clientAddress }) =>
      here().some((one) => one.certificates.length > 0 && mayBe(one, clientAddress, ports)),
    ...(context && { tls: (connection) => context(ownerOf(connection)) }),
    mechanisms({ clientAddress, tls }) {
      const isOffered = here().some(
        (one) => one.user !== undefined && mayBe(one, clientAddress, ports),
      );
      if (!isOffered || tls === undefined) return [];
      return tls.version === "TLSv1.3" ? boundMechanisms : mechanisms;
    },
    refuseSender(connection, reversePath) {
      if (here().length === 0) return undefined;
      const arrived = arrivedBy(connection);
      return (
        refusePeer(connection, arrived, ownerOf(connection)) ??
        refuseDomain(reversePath, arrived, here())
      );
    },
  };
}

const mechanisms: readonly string[] = ["SCRAM-SHA-256", "PLAIN"];
/** The binding needs TLS 1.3 (RFC 9266 §4.2). */
const boundMechanisms: readonly string[] = ["SCRAM-SHA-256-PLUS", ...mechanisms];

/** Makes something of a list once, and again when there is another list. */
function onceFor(
  source: () => readonly InboundConnector[],
  make: (all: readonly InboundConnector[]) => readonly InboundConnector[],
): () => readonly InboundConnector[] {
  let seen: readonly InboundConnector[] | undefined;
  let made: readonly InboundConnector[] = [];
  return () => {
    const now = source();
    if (now !== seen) [seen, made] = [now, make(now)];
    return made;
  };
}

/** As if the address alone were asked for. */
function boundToNetworks(all: readonly InboundConnector[]): readonly InboundConnector[] {
  return all
    .filter(({ networks }) => networks.length > 0)
    .map((one) => {
      const { user: _user, ...rest } = one;
      return { ...rest, certificates: [] };
    });
}

/** Could a client with that address come by it, if it had all the rest? */
function mayBe(connector: InboundConnector, address: string, ports: ConnectorPorts): boolean {
  if (connector.networks.length === 0) return true;
  return ports.match(boundToNetworks([connector]), ports.door, { address }) !== undefined;
}

function peerRules(
  arrived: InboundConnector | undefined,
  owner: InboundConnector | undefined,
  shown: ShownCertificate | undefined,
): PeerRules {
  const isPinned =
    shown !== undefined &&
    arrived?.certificates.some((one) => one === shown.sha256 || one === shown.keySha256) === true;
  return {
    ...(arrived && { connector: arrived.name }),
    ...(isPinned && { proof: "pin" as const }),
    ...((arrived?.requireTls || owner?.requireTls) && { requireTls: true }),
    ...(owner && { floor: { connector: owner.name, minVersion: owner.minVersion } }),
  };
}

/** Has it all that its connector, or the connector of its network, asks for? */
function refusePeer(
  { tls, authenticated }: Connection,
  arrived: InboundConnector | undefined,
  owner: InboundConnector | undefined,
): Reply | undefined {
  if (tls === undefined && (owner?.requireTls || arrived?.requireTls)) return replies.tlsFirst;
  if (owner !== undefined && owner !== arrived && !isProven(arrived)) {
    // Nobody sends from a partner's network without what shows that it is the partner.
    if (owner.user !== undefined && authenticated === undefined) return replies.authRequired;
    if (isProven(owner)) return replies.needsCertificate;
  }
  if (arrived === undefined || tls === undefined) return undefined;
  // Who is known by certificate or login alone had its handshake before.
  const isOld = arrived.minVersion === "TLSv1.3" && tls.version !== "TLSv1.3";
  return isOld || !isGroupAmong(tls.group, arrived.groups) ? replies.weakTls : undefined;
}

function isProven(connector: InboundConnector | undefined): boolean {
  return (
    connector !== undefined && (connector.certificates.length > 0 || connector.user !== undefined)
  );
}

/** Notices have no reverse path, and come from anywhere (RFC 5321 §4.5.5). */
function refuseDomain(
  reversePath: string,
  arrived: InboundConnector | undefined,
  all: readonly InboundConnector[],
): Reply | undefined {
  if (reversePath === "") return undefined;
  const domain = reversePath.slice(reversePath.lastIndexOf("@") + 1);
  if (arrived !== undefined && arrived.senderDomains.length > 0) {
    return arrived.senderDomains.includes(domain) ? undefined : replies.notYourDomain;
  }
  const isKept = all.some(({ senderDomains }) => senderDomains.includes(domain));
  return isKept ? replies.partnersDomain : undefined;
}
