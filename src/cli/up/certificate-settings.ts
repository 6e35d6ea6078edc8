/** Which names each place needs in its certificate, and whether strangers see it. */

import { isIP } from "node:net";
import { Misconfigured } from "#base/errors";
import type { HubSettings } from "#hub";
import type { Config } from "../config/read.ts";

type CertificatePlace = keyof HubSettings["certificates"]["places"];

export interface CertificateFacts {
  readonly config: Config;
  readonly hostname: string;
  /** PEM file of the installation's own authority. */
  readonly authority: string;
  /** Hosts of the edges' links. */
  readonly edgeHosts: readonly string[];
}

export function certificateSettings(
  { config, hostname, authority, edgeHosts }: CertificateFacts,
  besidesHub: (file: string) => string,
): HubSettings["certificates"] {
  const { acme, listen, clients } = config;
  const names = certificateNames(config, hostname);
  if (acme.directory !== "" && !/^https:\/\/[^\s/]/.test(acme.directory)) {
    throw new Misconfigured(`acme.directory: "${acme.directory}" must begin with https://`);
  }
  const wrong = acme.contact.find((address) => !/^mailto:[^\s@]+@[^\s@]+$/.test(address));
  if (wrong !== undefined) {
    throw new Misconfigured(`acme.contact: "${wrong}" must be mailto: and an address`);
  }
  // An edge on a machine of its own stands outside, whatever our own configuration says it listens on.
  const isApart = edgeHosts.some((host) => !isLoopback(host));
  const isSeen = (at: string): boolean => isApart || !isLoopback(hostOf(at));
  const passedIn = [clients.imaps, clients.pop3s, clients.submissions].filter((at) => at !== "");
  return {
    authority,
    places: {
      "edge-web": { names: names["edge-web"], outside: isSeen(listen.https) },
      "edge-smtp": { names: names["edge-smtp"], outside: isSeen(listen.smtp) },
      hub: { names: names.hub, outside: passedIn.some(isSeen) },
    },
    areNamesGiven: config.certificates.webNames.length > 0,
    acme: { ...acme, caFile: besidesHub(acme.caFile), eabKeyFile: besidesHub(acme.eabKeyFile) },
  };
}

/** The names that clients use at each place. */
export function certificateNames(
  { certificates, web }: Config,
  hostname: string,
): Readonly<Record<CertificatePlace, readonly string[]>> {
  const { webNames, mailNames, insideNames } = certificates;
  return {
    "edge-web": namesOf(webNames, [hostname, ...web.hosts.map(hostOf).filter(isName)]),
    "edge-smtp": namesOf(mailNames, [hostname]),
    hub: namesOf(insideNames, [hostname]),
  };
}

function namesOf(given: readonly string[], otherwise: readonly string[]): readonly string[] {
  const names = given.length > 0 ? given : otherwise;
  return [...new Set(names.map((name) => name.toLowerCase()))];
}

function hostOf(text: string): string {
  return text.replace(/:\d{1,5}$/, "").replace(/^\[(.*)\]$/, "$1");
}

function isName(host: string): boolean {
  return isIP(host) === 0 && host !== "localhost";
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}
