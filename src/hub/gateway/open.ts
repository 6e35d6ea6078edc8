/** Gateways as the settings name them, and how the servers behind them are asked. */

import { Misconfigured, Unavailable } from "#base/errors";
import { systemNet } from "#base/net";
import type { Keyring } from "#contracts/keyring";
import type { DirectoryAdmin } from "#directory";
import type { ConnectorHost, OutboundConnector } from "#model/connector";
import { chooseOutbound, readSecrets } from "#transport/connectors";
import { openSession, type Timeouts } from "#transport/smtp-client";
import { connectorDemand } from "#transport/tls-policy";
import type { HubSettings } from "../settings.ts";
import type { Asking } from "./callout.ts";
import { type GatewayPorts, type Gateways, startGateways } from "./index.ts";

type Ports = Omit<GatewayPorts, "gateways" | "hostsOf" | "open">;

const dialMs = 5000;
const stepMs = 10_000;
/** Somebody waits for the answer in a session, not in a queue. */
const timeouts: Timeouts = {
  greetingMs: stepMs,
  helloMs: stepMs,
  tlsMs: stepMs,
  mailMs: stepMs,
  recipientMs: stepMs,
  dataStartMs: stepMs,
  dataBlockMs: stepMs,
  dataEndMs: stepMs,
  quitMs: 2000,
  totalMs: 15_000,
};

/** @throws Misconfigured when a list cannot be used */
export function openGateways(
  { gateways, outbound, hostname }: Pick<HubSettings, "gateways" | "outbound" | "hostname">,
  ports: Ports,
): Gateways {
  const wayTo = (domain: string): OutboundConnector | undefined => chooseOutbound(outbound, domain);
  return startGateways({
    ...ports,
    gateways,
    hostsOf: (domain) => wayTo(domain)?.hosts ?? [],
    async open(domain, host) {
      const connector = wayTo(domain);
      if (connector === undefined) throw new Unavailable(`no connector leads to ${domain}`);
      return await openAsking(connector, host, hostname, ports);
    },
  });
}

async function openAsking(
  connector: OutboundConnector,
  at: ConnectorHost,
  hostname: string,
  { clock }: Ports,
): Promise<Asking> {
  const { login, protocol, heloName = hostname } = connector;
  // Before the dialling: a secret that is missing must not leave a connection behind.
  const secrets = login && readSecrets(login).map(({ secret }) => secret);
  const opening = await openSession({
    stream: await systemNet.dial(at, dialMs),
    heloName,
    protocol,
    tls: connectorDemand(connector, at.host),
    ...(login && secrets && { login: { ...login, secrets } }),
    timeouts,
    clock,
  });
  if (opening.ok) return opening.session;
  const { text } = opening.failure.reply;
  throw new Unavailable(
    `${at.host}:${at.port}: ${typeof text === "string" ? text : text.join(" ")}`,
  );
}

/** What is said in the configuration alone is enough: gateway domains are domains of ours. */
export async function addGatewayDomains(
  domains: readonly string[],
  directory: Pick<DirectoryAdmin, "domains" | "addDomain">,
  keyring: Pick<Keyring, "makeDkimKeys">,
): Promise<void> {
  const known = new Set(directory.domains().map(({ name }) => name));
  for (const domain of domains) {
    if (known.has(domain)) continue;
    const outcome = await directory.addDomain(domain, "configuration");
    if (!outcome.ok) throw new Misconfigured(`gateway domain ${domain}: ${outcome.fault}`);
    await keyring.makeDkimKeys(domain);
  }
}
