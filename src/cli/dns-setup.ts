/** What the DNS of a domain must know of this installation. */

import { createHash, X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import type { Command } from "commander";
import { isPublicAddress } from "#base/ip";
import { adminClient } from "./admin-client.ts";
import { dataOf } from "./commands/shared.ts";
import { type Config, complete, readConfig } from "./config/read.ts";
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
  const { hostname } = await client.get<{ hostname: string }>("/status");
  const dkim = await client.get<MailSetup["dkim"]>(`/domains/${encodeURIComponent(domain)}/dkim`);
  const accounts = await client.get<{ address: string }[]>("/accounts");
  const aliases = await client.get<{ address: string }[]>("/aliases");
  const taken = new Set([...accounts, ...aliases].map(({ address }) => address.toLowerCase()));
  return {
    domain,
    hostname,
    dkim,
    reports: reportsOf(domain, taken),
    ...fromConfig(configOf(command)),
    ...certificateOf(layoutOf(data).edgeSmtp),
  };
}

/** RFC 5321 §4.5.1: every domain has a postmaster, so that is who gets them when nobody is named. */
function reportsOf(domain: string, taken: ReadonlySet<string>): MailSetup["reports"] {
  const address = taken.has(`dmarc@${domain}`) ? `dmarc@${domain}` : `postmaster@${domain}`;
  return { address, exists: taken.has(address) };
}

function configOf(command: Command): Config {
  const { config } = command.optsWithGlobals<{ config?: string }>();
  const path = config ?? layoutOf(dataOf(command)).config;
  return complete(existsSync(path) ? readConfig(path) : {});
}

function fromConfig({ listen, queue }: Config): Pick<MailSetup, "address" | "ports" | "smartHost"> {
  const [host] = endpoint(listen.smtp);
  const [smartHost] = endpoint(queue.smartHost);
  return {
    ...(isIP(host) === 4 && isPublicAddress(host) && { address: host }),
    ...(smartHost !== "" && isIP(smartHost) === 0 && { smartHost }),
    ports: {
      submission: publicPort(listen.submission, 465),
      imap: publicPort(listen.imap, 993),
      https: publicPort(listen.https, 443),
    },
  };
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
