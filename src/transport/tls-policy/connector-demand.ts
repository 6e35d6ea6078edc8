/** What a connector alone asks of a host's TLS. */

import type { OutboundConnector } from "#model/connector";
import type { TlsDemand, TlsProof } from "#model/tls-policy";

/** No DNS is asked: for a host inside, or before anything else is known. */
export function connectorDemand({ tls }: OutboundConnector, host: string): TlsDemand {
  const proof = proofOf(tls, host);
  return {
    level: tls.level === "pinned" ? "required" : tls.level,
    serverName: host,
    ...(proof !== undefined && { proof }),
    minVersion: tls.minVersion,
    ...(tls.groups !== undefined && { groups: tls.groups }),
    ...(tls.implicit && { implicit: true }),
    ...(tls.client !== undefined && { client: tls.client }),
  };
}

function proofOf(
  { level, names, pins, authorities }: OutboundConnector["tls"],
  host: string,
): TlsProof | undefined {
  if (level === "pinned") return { kind: "pin", sha256: pins };
  if (level !== "required") return undefined;
  return {
    kind: "authority",
    names: [host, ...names.filter((name) => name !== host)],
    ...(authorities !== undefined && { authorities }),
  };
}
