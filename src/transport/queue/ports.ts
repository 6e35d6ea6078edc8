/** What the queue needs of others: the store, ways, hosts, policies of TLS, connections. */

import type { Duplex } from "node:stream";
import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import { Unavailable } from "#base/errors";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { Endpoint } from "#base/net";
import type { Random } from "#base/random";
import type { Messages, QueueStore } from "#contracts/store";
import type { TlsFacts } from "#model/connection";
import type { ConnectorLogin, OutboundConnector } from "#model/connector";
import type { Attempt, QueueItem } from "#model/queue";
import type { Reply } from "#model/reply";
import type { TlsDemand } from "#model/tls-policy";
import type { Timeouts } from "#transport/smtp-client";
import type { FlightLog } from "./flight.ts";
import type { Notice } from "./notices.ts";
import type { QueueParameters } from "./parameters.ts";

/** By which connector mail for a domain goes. */
export interface Way {
  readonly connector: OutboundConnector;
  /** By the MX instead, once none of its hosts has answered for some time; absent: it waits. */
  readonly direct?: OutboundConnector;
  /** It is closed until then. */
  readonly opensAtMs?: number;
}

/** One server that mail for a domain may go to. */
export interface Hop {
  readonly domain: string;
  readonly host: string;
  readonly viaMx: boolean;
  readonly mxAuthenticated: boolean;
  readonly addressAuthenticated: boolean;
  readonly connector: OutboundConnector;
  readonly requireTls: boolean;
  readonly port: number;
  readonly address?: string;
}

export type HopAnswer =
  | {
      readonly ok: true;
      readonly demand: TlsDemand;
      readonly policy: "dane" | "mta-sts" | "connector" | "none";
    }
  | { readonly ok: false; readonly reply: Reply };

export interface HopPolicies {
  demandFor(hop: Hop): Promise<HopAnswer>;
  observed(
    hop: Hop,
    answer: HopAnswer,
    failure?: { readonly phase: string; readonly text: string },
    tls?: TlsFacts,
  ): void;
  /** What the connector alone asks of the host. */
  connectorDemand(connector: OutboundConnector, host: string): TlsDemand;
}

/** How a connection leaves. */
export interface Leaving {
  readonly via: OutboundConnector["via"];
  /** Local address. */
  readonly from?: string;
}

/** The trouble is on our side: no server was asked, so it is no attempt. */
export class NoWayOut extends Unavailable {}

export interface QueueDeps {
  readonly store: QueueStore;
  readonly messages: Pick<Messages, "read" | "stream" | "sizeBytes">;
  readonly wayTo: (domain: string, nowMs: number) => Way;
  readonly hops: HopPolicies;
  /** Newest first. @throws Misconfigured when none can be read */
  readonly secretsOf: (login: ConnectorLogin) => readonly string[];
  readonly resolver: Pick<Resolver, "query">;
  /** @throws Unavailable when nothing answers, NoWayOut when nothing was asked */
  readonly dial: (to: Endpoint, timeoutMs: number, how: Leaving) => Promise<Duplex>;
  /** Why nothing can leave that way now; then nothing is tried until `wake`. */
  readonly outage?: (via: Leaving["via"]) => string | undefined;
  /** Commits the notice as a message of its own. */
  readonly notice: (notice: Notice) => Promise<void>;
  /** Told after each recorded attempt: measures. */
  readonly attempted?: (item: QueueItem, attempt: Attempt) => void;
  /** Which messages were under way when an earlier process died; absent: nobody remembers. */
  readonly flight?: FlightLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly registry: Registry;
  readonly parameters: QueueParameters;
  readonly timeouts: Timeouts;
  /** Our name in EHLO, unless the connector has one, and in notices. */
  readonly heloName: string;
  /** Names of our own MX hosts: mail never goes there. */
  readonly ourNames: readonly string[];
  /** Who is told when the sender's address is not proved to be his. */
  readonly postmaster: string;
}
