/** What an edge says of partners, held against the connectors that there are: evidence, never orders. */

import type { Connection } from "#model/connection";
import type { InboundConnector } from "#model/connector";
import type { AuthVerdict, ConnectorVerdict, Partner } from "#model/verdict";
import { matchInbound } from "#transport/connectors";

/**
 * The connection without what does not fit: an edge may hold an older policy, or be somebody else's
 * by now. The latter can still claim a connector and all that it asks for.
 */
export function believed(
  connection: Connection,
  connectors: readonly InboundConnector[],
): Connection {
  const { connector: name, authenticated: _login, ...rest } = connection;
  if (name === undefined) return rest;
  const named = connectors.find((one) => one.door === "edge" && one.name === name);
  return named !== undefined && fits(connection, named) ? connection : rest;
}

function fits(connection: Connection, named: InboundConnector): boolean {
  const { clientAddress: address, authenticated: user, tls } = connection;
  if (user !== named.user) return false;
  if (named.certificates.length > 0 && tls?.proof !== "pin") return false;
  const rest = { ...named, certificates: [] };
  // With neither network nor user left there is nothing more to ask.
  if (rest.networks.length === 0) return true;
  return matchInbound([rest], "edge", { address, ...(user !== undefined && { user }) }) === rest;
}

/** @param connection believed, or of a door of our own */
export function partnerOf({ connector, authenticated, tls }: Connection): Partner | undefined {
  if (connector === undefined) return undefined;
  if (authenticated !== undefined) return { connector, identity: authenticated, by: "login" };
  if (tls?.proof !== "pin" || tls.peerCertificate === undefined) return undefined;
  return { connector, identity: tls.peerCertificate, by: "certificate" };
}

/** @param connection believed, or of a door of our own */
export function partnerVerdicts({
  connector,
  authenticated,
  tls,
}: Connection): readonly (AuthVerdict | ConnectorVerdict)[] {
  if (connector === undefined) return [];
  const verdicts: (AuthVerdict | ConnectorVerdict)[] = [];
  const common = { result: "pass", connector } as const;
  if (authenticated !== undefined) {
    verdicts.push({ method: "auth", login: authenticated, ...common });
  }
  if (tls?.proof === "pin" && tls.peerCertificate !== undefined) {
    verdicts.push({ method: "connector", certificate: tls.peerCertificate, ...common });
  }
  return verdicts;
}
