/** From the configuration to what each program is started with. */

import { join } from "node:path";
import { Misconfigured } from "#base/errors";
import type { Endpoint } from "#base/net";
import type { LinkSettings } from "#edge/link";
import type { EdgeSmtpSettings } from "#edge/smtp";
import type { EdgeWebSettings } from "#edge/web";
import type { HubSettings } from "#hub";
import { parseRange } from "#identity/hops";
import type { KeyringSettings } from "#keys/custody";
import type { SenderRules } from "#model/decision";
import type { Config } from "../config/read.ts";
import type { Layout } from "./layout.ts";
import { masterSettingsOf } from "./master.ts";
import { fingerprintOf } from "./secrets.ts";

export interface AllSettings {
  readonly "edge-smtp": EdgeSmtpSettings;
  readonly "edge-web": EdgeWebSettings & { readonly link: LinkSettings };
  readonly hub: HubSettings;
  readonly keyring: KeyringSettings;
}

/** @throws Misconfigured unless the text is HOST:PORT or [IPv6]:PORT */
export function endpointOf(text: string, key: string): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port < 1 || port > 65_535) {
    throw new Misconfigured(`${key}: "${text}" is not HOST:PORT`);
  }
  return { host, port };
}

export interface Installation {
  readonly layout: Layout;
  readonly config: Config;
  readonly domain: string;
  readonly hostname: string;
  /** The program's own folder: code and built webmail. */
  readonly application: string;
  readonly version: string;
  readonly policyPublicKey: string;
}

export function settingsOf(installation: Installation): AllSettings {
  return {
    "edge-smtp": edgeSmtpSettings(installation),
    "edge-web": edgeWebSettings(installation),
    hub: hubSettings(installation),
    keyring: keyringSettings(installation),
  };
}

function keyringSettings({ layout, config, hostname }: Installation): KeyringSettings {
  return {
    socket: join(layout.keyring, "keyring.sock"),
    keysDirectory: join(layout.keyring, "keys"),
    secretFile: join(layout.keyring, "secret"),
    master: masterSettingsOf(layout, config),
    logDirectory: join(layout.keyring, "log"),
    hostname,
  };
}

function linkFiles(folder: string): { certificate: string; key: string; authority: string } {
  return {
    certificate: join(folder, "link.pem"),
    key: join(folder, "link.key"),
    authority: join(folder, "link-ca.pem"),
  };
}

function edgeSmtpSettings(installation: Installation): EdgeSmtpSettings {
  const { layout, config, hostname, policyPublicKey } = installation;
  return {
    hostname,
    listen: endpointOf(config.listen.smtp, "listen.smtp"),
    tls: { certificate: join(layout.edgeSmtp, "tls.pem"), key: join(layout.edgeSmtp, "tls.key") },
    link: {
      listen: endpointOf(config.listen.linkSmtp, "listen.linkSmtp"),
      ...linkFiles(layout.edgeSmtp),
      hubFingerprint: fingerprintOf(join(layout.hub, "link.pem")),
    },
    policyPublicKey,
    folder: layout.edgeSmtp,
    spool: config.link.spool === "sealed" ? "sealed" : "reject",
    spoolMib: config.link.spoolMib,
    dns: config.dns,
    egressPorts: config.egress.ports.map(Number),
    egressPrivate: config.egress.private,
    proxyTrusted: config.balancer.trusted,
    smtp: config.smtp,
    edge: config.edge,
  };
}

function edgeWebSettings({ layout, config, hostname }: Installation): AllSettings["edge-web"] {
  const listen = endpointOf(config.listen.https, "listen.https");
  return {
    listen,
    publishedHosts: [hostname, "localhost", "127.0.0.1", "[::1]"],
    tls: { certFile: join(layout.edgeWeb, "tls.pem"), keyFile: join(layout.edgeWeb, "tls.key") },
    limits: config.web,
    link: {
      listen: endpointOf(config.listen.linkWeb, "listen.linkWeb"),
      ...linkFiles(layout.edgeWeb),
      hubFingerprint: fingerprintOf(join(layout.hub, "link.pem")),
    },
  };
}

function hubSettings(installation: Installation): HubSettings {
  const { layout, config, hostname, domain, application } = installation;
  const inHub = (name: string): string => join(layout.hub, name);
  return {
    version: installation.version,
    hostname,
    domain,
    folder: layout.hub,
    distDirectory: join(application, "web/dist"),
    tls: { certificate: inHub("tls.pem"), key: inHub("tls.key") },
    link: {
      ...linkFiles(layout.hub),
      edges: [
        {
          name: "edge-smtp",
          endpoint: endpointOf(config.listen.linkSmtp, "listen.linkSmtp"),
          fingerprint: fingerprintOf(join(layout.edgeSmtp, "link.pem")),
        },
        {
          name: "edge-web",
          endpoint: endpointOf(config.listen.linkWeb, "listen.linkWeb"),
          fingerprint: fingerprintOf(join(layout.edgeWeb, "link.pem")),
        },
      ],
    },
    keyring: {
      socket: join(layout.keyring, "keyring.sock"),
      secretFile: join(layout.keyring, "secret"),
      masterSource: masterSettingsOf(layout, config).source,
    },
    policyKey: inHub("policy.key"),
    sealKeys: inHub("seal-keys.json"),
    listen: {
      submission: endpointOf(config.listen.submission, "listen.submission"),
      imap: endpointOf(config.listen.imap, "listen.imap"),
      console: endpointOf(config.listen.console, "listen.console"),
    },
    consoleTokenFile: inHub("console.token"),
    adminSocket: inHub("admin.sock"),
    adminSecretFile: inHub("admin.secret"),
    ...judgingSettings(config),
    smtp: config.smtp,
    imap: config.imap,
    queue: config.queue,
    directory: config.directory,
    store: config.store,
    backup: config.backup,
    reports: config.reports,
  };
}

/** @throws Misconfigured when a relay is no network */
function judgingSettings(config: Config): Pick<HubSettings, "identity" | "arcSeal" | "judging"> {
  const { ownRelays, trustedSealers, praMode } = config.identity;
  for (const range of ownRelays) {
    if (parseRange(range) === undefined) {
      throw new Misconfigured(`identity.ownRelays: "${range}" is not a network`);
    }
  }
  return {
    identity: {
      ownRelays,
      trustedSealers: trustedSealers.map((name) => name.toLowerCase()),
      praMode: praMode as HubSettings["identity"]["praMode"],
      rules: { spf: config.spf, dmarc: config.dmarc, senderId: config.senderId } as SenderRules,
    },
    arcSeal: config.identity.arcSeal,
    judging: { ...config.spam, filter: config.spamFilter },
  };
}
