/** From the configuration to what each program is started with. */

import { isIP } from "node:net";
import { join, resolve } from "node:path";
import { Misconfigured } from "#base/errors";
import { isPublicAddress, networkFault } from "#base/ip";
import type { Endpoint } from "#base/net";
import type { LinkSettings } from "#edge/link";
import { checkAbuse, type EdgeSmtpSettings } from "#edge/smtp";
import type { TcpSettings } from "#edge/tcp";
import type { EdgeWebSettings } from "#edge/web";
import {
  checkDoors,
  checkGateways,
  checkMtaSts,
  checkPublishedHosts,
  checkSendmail,
  completeGateway,
  completePublication,
  type HubSettings,
  lmtpDoorOf,
  localSocketOf,
} from "#hub";
import type { KeyringSettings } from "#keys/custody";
import type { SenderRules } from "#model/decision";
import {
  checkInbound,
  checkOutbound,
  completeInbound,
  completeOutbound,
} from "#transport/connectors";
import { miltersOf } from "#transport/milter";
import { checkQueue } from "#transport/queue";
import { spamFilterOf } from "#transport/spam-filter";
import type { Config } from "../config/read.ts";
import { certificateSettings } from "./certificate-settings.ts";
import type { Layout } from "./layout.ts";
import { linkFileNames } from "./link-identity.ts";
import { masterSettingsOf } from "./master.ts";
import type { ProgramName } from "./roles.ts";

export interface AllSettings {
  readonly "edge-smtp": EdgeSmtpSettings;
  readonly "edge-web": EdgeWebSettings & { readonly link: LinkSettings; readonly tcp: TcpSettings };
  readonly hub: HubSettings;
  readonly keyring: KeyringSettings;
}

/** @throws Misconfigured unless the text is HOST:PORT or [IPv6]:PORT */
export function endpointOf(text: string, key: string): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || !isPort(port)) {
    throw new Misconfigured(`${key}: "${text}" is not HOST:PORT`);
  }
  return { host, port };
}

function isPort(port: number): boolean {
  return port >= 1 && port <= 65_535;
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
  readonly pins: LinkPins;
}

/** Who may be at the other end of a link. */
export interface LinkPins {
  /** Of the certificate that the inside dials with. */
  readonly hubFingerprint: string;
  /** None on the edge's own machine. */
  readonly edges: HubSettings["link"]["edges"];
}

type Makers = { readonly [Name in ProgramName]: (from: Installation) => AllSettings[Name] };

const makers: Makers = {
  "edge-smtp": edgeSmtpSettings,
  "edge-web": edgeWebSettings,
  hub: hubSettings,
  keyring: keyringSettings,
};

/** Settings of these programs alone: a machine of the DMZ is told nothing of the inside. */
export function settingsOf(
  installation: Installation,
  programs: readonly ProgramName[],
): Partial<AllSettings> {
  return Object.fromEntries(programs.map((name) => [name, makers[name](installation)]));
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
    certificate: join(folder, linkFileNames.certificate),
    key: join(folder, linkFileNames.key),
    authority: join(folder, linkFileNames.peers),
  };
}

function edgeSmtpSettings(installation: Installation): EdgeSmtpSettings {
  const { layout, config, hostname, policyPublicKey, pins } = installation;
  return {
    hostname,
    listen: endpointOf(config.listen.smtp, "listen.smtp"),
    tls: { certificate: join(layout.edgeSmtp, "tls.pem"), key: join(layout.edgeSmtp, "tls.key") },
    link: {
      listen: endpointOf(config.listen.linkSmtp, "listen.linkSmtp"),
      ...linkFiles(layout.edgeSmtp),
      hubFingerprint: pins.hubFingerprint,
    },
    policyPublicKey,
    folder: layout.edgeSmtp,
    spool: config.link.spool === "sealed" ? "sealed" : "reject",
    spoolMib: config.link.spoolMib,
    dns: config.dns,
    egressPorts: egressPortsOf(config),
    egressPrivate: config.egress.private,
    proxyTrusted: networksOf("balancer.mail", config.balancer.mail),
    smtp: config.smtp,
    edge: config.edge,
    abuse: checkAbuse(config.abuse, config.identity.ownRelays),
  };
}

function edgeWebSettings(installation: Installation): AllSettings["edge-web"] {
  const { layout, config, pins } = installation;
  const listen = endpointOf(config.listen.https, "listen.https");
  return {
    listen,
    publishedHosts: publishingOf(installation).publishedHosts,
    policyPublicKey: installation.policyPublicKey,
    tls: { certFile: join(layout.edgeWeb, "tls.pem"), keyFile: join(layout.edgeWeb, "tls.key") },
    proxyTrusted: networksOf("balancer.web", config.balancer.web),
    limits: config.web,
    tcp: tcpSettings(config),
    link: {
      listen: endpointOf(config.listen.linkWeb, "listen.linkWeb"),
      ...linkFiles(layout.edgeWeb),
      hubFingerprint: pins.hubFingerprint,
    },
  };
}

/** @throws Misconfigured when a door is published that nothing inside serves */
function tcpSettings({ clients }: Config): TcpSettings {
  const { imaps, pop3s, submissions, ...limits } = clients;
  if (pop3s !== "")
    throw new Misconfigured("clients.pop3s: there is no POP3 server; leave it empty");
  const given = Object.entries({ imaps, submissions }).filter(([, at]) => at !== "");
  const listen = given.map(([name, at]) => [name, endpointOf(at, `clients.${name}`)]);
  return { listen: Object.fromEntries(listen), limits };
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
    certificates: certificateSettings(
      {
        config,
        hostname,
        authority: layout.siteAuthority,
        edgeHosts: installation.pins.edges.map(({ endpoint }) => endpoint.host),
      },
      (file) => besides(layout.hub, file),
    ),
    link: {
      ...linkFiles(layout.hub),
      edges: installation.pins.edges,
    },
    keyring: {
      socket: join(layout.keyring, "keyring.sock"),
      secretFile: inHub("keyring.secret"),
      masterSource: masterSettingsOf(layout, config).source,
    },
    policyKey: inHub("policy.key"),
    ...publishingOf(installation),
    sealKeys: inHub("seal-keys.json"),
    listen: {
      submission: endpointOf(config.listen.submission, "listen.submission"),
      imap: endpointOf(config.listen.imap, "listen.imap"),
      console: endpointOf(config.listen.console, "listen.console"),
      ...insideDoors(config),
    },
    publishedClients: tcpSettings(config).listen,
    consoleTokenFile: inHub("console.token"),
    adminSocket: inHub("admin.sock"),
    adminSecretFile: inHub("admin.secret"),
    ...judgingSettings(config),
    smtp: config.smtp,
    submission: config.submission,
    imap: config.imap,
    queue: checkQueue(config.queue),
    sendmail: checkSendmail(config.sendmail),
    ...connectorsOf(installation),
    directory: config.directory,
    login: {
      ...config.login,
      oidcSecretFile: besides(layout.hub, config.login.oidcSecretFile),
      oidcCaFile: besides(layout.hub, config.login.oidcCaFile),
    },
    store: config.store,
    backup: config.backup,
    reports: config.reports,
    mtaSts: checkMtaSts(config.mtaSts),
  };
}

/** @throws Misconfigured when what is published does not hold together */
function publishingOf({
  config,
  hostname,
  layout,
}: Installation): Pick<HubSettings, "publishedHosts" | "publish"> {
  const names = [hostname, "localhost", "127.0.0.1", "[::1]", ...config.web.hosts];
  const publish = Object.entries(config.publish).map(([name, given]) =>
    completePublication(name, { ...given, caFile: besides(layout.hub, given.caFile) }),
  );
  return { publishedHosts: checkPublishedHosts(names, publish), publish };
}

/**
 * The doors for servers inside, where they are configured.
 *
 * @throws Misconfigured when one of them cannot be read
 */
export function insideDoors({
  listen,
}: Config): Pick<HubSettings["listen"], "relay" | "lmtp" | "local"> {
  const local = localSocketOf(listen.local);
  return {
    ...(local !== undefined && { local }),
    ...(listen.relay !== "" && { relay: endpointOf(listen.relay, "listen.relay") }),
    ...(listen.lmtp !== "" && { lmtp: lmtpDoorOf(listen.lmtp, endpointOf) }),
  };
}

/** @throws Misconfigured when connectors, gateways and doors do not hold together */
function connectorsOf({
  config,
  layout,
}: Installation): Pick<HubSettings, "outbound" | "inbound" | "gateways"> {
  const inHub = (file: string): string => besides(layout.hub, file);
  const outbound = Object.entries(config.outbound).map(([name, given]) => {
    const { tlsAuthorityFile, tlsCertificateFile, tlsKeyFile, secretFiles } = given;
    return completeOutbound(name, {
      ...given,
      tlsAuthorityFile: inHub(tlsAuthorityFile),
      tlsCertificateFile: inHub(tlsCertificateFile),
      tlsKeyFile: inHub(tlsKeyFile),
      secretFiles: secretFiles.map(inHub),
    });
  });
  const inbound = Object.entries(config.inbound).map(([name, given]) =>
    completeInbound(name, { ...given, secretFiles: given.secretFiles.map(inHub) }),
  );
  checkOutbound(outbound);
  checkInbound(inbound);
  const gateways = Object.entries(config.gateway).map(([name, given]) => {
    const { listFile, ldapSecretFile, ldapCaFile } = given;
    return completeGateway(name, {
      ...given,
      listFile: inHub(listFile),
      ldapSecretFile: inHub(ldapSecretFile),
      ldapCaFile: inHub(ldapCaFile),
    });
  });
  checkGateways(gateways, outbound);
  checkDoors(insideDoors(config), inbound);
  return { outbound, inbound, gateways };
}

/** @throws Misconfigured when one is none, or a connector leads where the edge may not dial */
function egressPortsOf({ egress, outbound }: Config): readonly number[] {
  const wrong = egress.ports.find((text) => !/^\d{1,5}$/.test(text) || !isPort(Number(text)));
  if (wrong !== undefined) throw new Misconfigured(`egress.ports: "${wrong}" is not a port`);
  const ports = egress.ports.map(Number);
  for (const [name, given] of Object.entries(outbound)) {
    const { via, hosts } = completeOutbound(name, given);
    for (const { host, port } of via === "edge" ? hosts : []) {
      const fault = (why: string): Misconfigured =>
        new Misconfigured(`outbound.${name}.hosts leads to ${host}, port ${port}: ${why}`);
      if (!ports.includes(port)) throw fault("add the port to egress.ports");
      if (isIP(host) !== 0 && !isPublicAddress(host) && !egress.private) {
        throw fault("a private address needs egress.private, or via = inside");
      }
    }
  }
  return ports;
}

/** @throws Misconfigured when a relay is no network, or a filter has no address */
function judgingSettings(config: Config): Pick<HubSettings, "identity" | "arcSeal" | "judging"> {
  miltersOf(config.milters);
  spamFilterOf(config.spamFilter);
  const { ownRelays, trustedSealers, praMode } = config.identity;
  return {
    identity: {
      ownRelays: networksOf("identity.ownRelays", ownRelays),
      trustedSealers: trustedSealers.map((name) => name.toLowerCase()),
      praMode: praMode as HubSettings["identity"]["praMode"],
      rules: { spf: config.spf, dmarc: config.dmarc, senderId: config.senderId } as SenderRules,
    },
    arcSeal: config.identity.arcSeal,
    judging: { ...config.spam, filter: config.spamFilter, milters: config.milters },
  };
}

/** @throws Misconfigured when one of them is no network */
function networksOf(key: string, networks: readonly string[]): readonly string[] {
  for (const text of networks) {
    const fault = networkFault(text);
    if (fault !== undefined) throw new Misconfigured(`${key}: "${text}" ${fault}`);
  }
  return networks;
}

/** The file's place, wherever the command was started; nothing stays nothing. */
function besides(folder: string, path: string): string {
  return path === "" ? "" : resolve(folder, path);
}
