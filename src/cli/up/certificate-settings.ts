/** Which names each place needs in its certificate, and whether strangers see it. */

import { isIP } from "node:net";
import type { HubSettings } from "#hub";
import type { Config } from "../config/read.ts";

export interface CertificateFacts {
  readonly config: Config;
  readonly hostname: string;
  /** PEM file of the installation's own authority. */
  readonly authority: string;
  /** As the web edge answers for them, some with a port. */
  readonly publishedHosts: readonly string[];
  /** Hosts of the edges' links. */
  readonly edgeHosts: readonly string[];
}

export function certificateSettings(
  { config, hostname, authority, publishedHosts, edgeHosts }: CertificateFacts,
  besidesHub: (file: string) => string,
): HubSettings["certificates"] {
  const { webNames, mailNames, insideNames } = config.certificates;
  const { acme, listen, clients } = config;
  // An edge on a machine of its own stands outside, whatever our own configuration says it listens on.
  const isApart = edgeHosts.some((host) => !isLoopback(host));
  const isSeen = (at: string): boolean => isApart || !isLoopback(hostOf(at));
  const passedIn = [clients.imaps, clients.pop3s, clients.submissions].filter((at) => at !== "");
  return {
    authority,
    places: {
      "edge-web": {
        names: namesOf(webNames, publishedHosts.map(hostOf).filter(isName)),
        outside: isSeen(listen.https),
      },
      "edge-smtp": { names: namesOf(mailNames, [hostname]), outside: isSeen(listen.smtp) },
      hub: { names: namesOf(insideNames, [hostname]), outside: passedIn.some(isSeen) },
    },
    acme: { ...acme, caFile: besidesHub(acme.caFile), eabKeyFile: besidesHub(acme.eabKeyFile) },
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
