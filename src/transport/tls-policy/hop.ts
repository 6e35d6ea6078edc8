/** What is asked about a server before it is dialled, and the answer. */

import type { OutboundConnector } from "#model/connector";
import type { Reply } from "#model/reply";
import type { TlsDemand } from "#model/tls-policy";

/** One server that mail for a domain may go to. */
export interface Hop {
  /** Next-hop domain: that of the recipients, A-labels in lower case. */
  readonly domain: string;
  /** Exchange of the MX, or the connector's host; A-labels in lower case. */
  readonly host: string;
  /** The DNS of the domain named the host: its MX, or its own addresses where it has none. */
  readonly viaMx: boolean;
  /** The answer for MX was verified by DNSSEC. */
  readonly mxAuthenticated: boolean;
  /** So was the one for the host's addresses. */
  readonly addressAuthenticated: boolean;
  readonly connector: OutboundConnector;
  /** The message came with REQUIRETLS (RFC 8689). */
  readonly requireTls: boolean;
  /** Absent: that of the connector's host, else 25. */
  readonly port?: number;
  /** That is dialled; for reports. */
  readonly address?: string;
}

export type HopAnswer =
  | {
      readonly ok: true;
      readonly demand: TlsDemand;
      /** On whose word; "none": nobody demands more than the connector's best effort. */
      readonly policy: "dane" | "mta-sts" | "connector" | "none";
    }
  /** The host must not be used now; why. */
  | { readonly ok: false; readonly reply: Reply };

export function portOf({ port, connector, host }: Hop): number {
  return port ?? connector.hosts.find((one) => one.host === host)?.port ?? 25;
}
