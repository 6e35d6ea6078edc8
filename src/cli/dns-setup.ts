/** What the DNS of a domain must know of this installation. */

import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import type { Command } from "commander";
import { isPublicAddress } from "#base/ip";
import { ownStsPolicy } from "#hub";
import { completeOutbound } from "#transport/connectors";
import { adminClient } from "./admin-client.ts";
import { configOf, dataOf } from "./commands/shared.ts";
import type { Config } from "./config/read.ts";
import type { MailSetup } from "./dns-wanted.ts";
import { ExitError, exitCodes } from "./exit.ts";
import { layoutOf } from "./up/layout.ts";

/** @throws ExitError when nothing runs, or the domain is not one of ours */
export async function mailSetup(command: Command, given: string): Promise<MailSetup> {
  const data = dataOf(command);
  const client = adminClient(data);
  const domain = given.toLowerCase();
  const ours = await client.get<{ name: string }[]>("/domains");
  if (!ours.some(({ name }) => name === domain)) {
    const what = `${domain} is not one of our domains: postern domain add ${domain}`;
    throw new ExitError(exitCodes.cannotOpen, what);
  }
  const status = await client.get<{ hostname: string; domain: string }>("/status");
  const { hostname } = status;
  const dkim = await client.get<MailSetup["dkim"]>(`/domains/${encodeURIComponent(domain)}/dkim`);
  const accounts = await client.get<{ address: string }[]>("/accounts");
  const aliases = await client.get<{ address: string }[]>("/aliases");
  const taken = new Set([...accounts, ...aliases].map(({ address }) => address.toLowerCase()));
  const config = configOf(command);
  const isGateway =
    Object.values(config.gateway).some(({ domains }) => domains.includes(domain)) &&
    !accounts.some(({ address }) => address.toLowerCase().endsWith(`@${domain}`));
  return {
    domain,
    isGateway,
    hostname,
    dkim,
    reports: reportsOf(config.reports.address, status.domain, taken),
    stsPolicy: ownStsPolicy(config.mtaSts, hostname),
    ...fromConfig(config),
    ...certificateOf(layoutOf(data).edgeSmtp),
  };
}

/** Where the hub looks for reports: what comes to another address is not read. */
function reportsOf(
  configured: string,
  siteDomain: string,
  taken: ReadonlySet<string>,
): MailSetup["reports"] {
  const address = configured === "" ? `dmarc-reports@${siteDomain}` : configured.toLowerCase();
  return { address, exists: taken.has(address) };
}

function fromConfig({
  listen,
  clients,
  certificates,
  outbound,
}: Config): Pick<MailSetup, "address" | "clientHost" | "ports" | "smartHost"> {
  const [host] = endpoint(listen.smtp);
  const smartHost = smartHostOf(outbound);
  const clientHost = certificates.insideNames.find((name) => !name.startsWith("*"));
  return {
    ...(isIP(host) === 4 && isPublicAddress(host) && { address: host }),
    ...(smartHost !== undefined && isIP(smartHost) === 0 && { smartHost }),
    ...(clientHost !== undefined && { clientHost }),
    ports: {
      submission: publicPort(clients.submissions || listen.submission, 465),
      imap: publicPort(clients.imaps || listen.imap, 993),
      https: publicPort(listen.https, 443),
    },
  };
}

/** First host of the connector that takes what no other does. */
function smartHostOf(outbound: Config["outbound"]): string | undefined {
  const connectors = Object.entries(outbound).map(([name, one]) => completeOutbound(name, one));
  const forAll = connectors.filter(({ spaces }) => spaces.some(({ kind }) => kind === "any"));
  const [used] = forAll.sort((one, other) => one.cost - other.cost);
  return used?.hosts[0]?.host;
}

function endpoint(text: string): readonly [host: string, port: number] {
  const colon = text.lastIndexOf(":");
  return [text.slice(0, Math.max(colon, 0)), Number(text.slice(colon + 1))];
}

/** A door on loopback is reached from outside through the standard port of a forwarder. */
function publicPort(listen: string, standard: number): number {
  const [host, port] = endpoint(listen);
  return /^(?:127\.|\[?::1|localhost)/.test(host) ? standard : port;
}

function certificateOf(folder: string): Pick<MailSetup, "certificate"> {
  try {
    const certificate = new X509Certificate(readFileSync(join(folder, "tls.pem")));
    const key = certificate.publicKey.export({ type: "spki", format: "der" });
    const keySha256 = createHash("sha256").update(key).digest("hex");
    const until = certificate.validToDate.toISOString().slice(0, 10);
    return { certificate: { keySha256, until } };
  } catch {
    return {}; // Not ours to read, or not made yet: then there is no TLSA record to show.
  }
}
