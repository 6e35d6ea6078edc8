/** Makes a data folder ready: certificates, keys, secrets, and the settings of every program. */

import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Misconfigured } from "#base/errors";
import type { Endpoint } from "#base/net";
import { type Config, complete, type GivenConfig, readConfig } from "../config/read.ts";
import { certificateNames } from "./certificate-settings.ts";
import { peersOf, readEdges, readEnrolment } from "./enrolment/records.ts";
import { folderOf, type Layout, layoutOf } from "./layout.ts";
import { fingerprintOf, keepLinkIdentity, writeLinkPeers } from "./link-identity.ts";
import { hasInside, programsOf, type Role } from "./roles.ts";
import {
  folder,
  makeCertificates,
  makePolicyKey,
  makeSealKeyFile,
  sharedSecret,
  writePrivate,
} from "./secrets.ts";
import { type AllSettings, endpointOf, type LinkPins, settingsOf } from "./settings.ts";

/** Accounts of a demonstration, kept so that every start shows the same ones. */
export interface Demo {
  readonly domain: string;
  readonly accounts: readonly {
    readonly address: string;
    readonly displayName: string;
    readonly password: string;
  }[];
}

export interface Prepared {
  readonly role: Role;
  readonly layout: Layout;
  readonly config: Config;
  readonly domain: string;
  readonly hostname: string;
  /** Of the key that signs what the edges are told. */
  readonly policyPublicKey: string;
  /** Of the programs of this role. */
  readonly settings: Partial<AllSettings>;
  /** Absent when the configuration names a domain. */
  readonly demo?: Demo;
  /** Where the hub runs. */
  readonly consoleToken?: string;
}

/** The folder that is made ready, and what this machine is there for. */
export interface Place {
  readonly role: Role;
  readonly data: string;
  readonly given: GivenConfig;
}

/** @throws Misconfigured when something is missing that only an administrator can give */
export function prepare(
  { role, data, given }: Place,
  { application, version }: { readonly application: string; readonly version: string },
  nowMs: number,
): Prepared {
  const layout = layoutOf(data);
  const isDemo = role === "all" && !given["site"]?.["domain"];
  const demo = isDemo ? demoOf(layout.demo) : undefined;
  // A demonstration often runs where no DNS answers; its strangers are still shown as not checked.
  const config = complete(
    demo === undefined ? given : { ...given, spf: { temperror: "accept", ...given["spf"] } },
  );
  const { domain, hostname } = hasInside(role)
    ? namesOf(config, demo?.domain)
    : readEnrolment(layout);
  for (const path of foldersOf(role, layout)) folder(path);
  makeCertificates(layout, role, { hostname, names: certificateNames(config, hostname) }, nowMs);
  const told = hasInside(role) ? prepareInside(layout) : readEnrolment(layout);
  const { policyPublicKey } = told;
  const pins = pinsOf(role, layout, config, nowMs);
  const installation = { layout, config, domain, hostname, application, version };
  return {
    role,
    layout,
    config,
    domain,
    hostname,
    policyPublicKey,
    settings: settingsOf({ ...installation, policyPublicKey, pins }, programsOf[role]),
    ...(demo !== undefined && { demo }),
    ...("consoleToken" in told && { consoleToken: told.consoleToken }),
  };
}

function namesOf(config: Config, demoDomain?: string): { domain: string; hostname: string } {
  const domain = demoDomain ?? config.site.domain.toLowerCase();
  if (domain === "") throw new Misconfigured("site.domain is missing in postern.toml");
  const hostname = config.site.hostname === "" ? `mail.${domain}` : config.site.hostname;
  for (const [key, name] of Object.entries({ domain, hostname })) {
    if (!hostName.test(name)) throw new Misconfigured(`site.${key}: "${name}" is not a host name`);
  }
  return { domain, hostname };
}

/** RFC 1123 §2.1, in short: what it refuses could stand in no certificate. */
const hostName = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/i;

/**
 * What no single line of the file shows: the settings of every program are made, and nothing else.
 *
 * @throws Misconfigured naming the key as SECTION.KEY
 */
export function checkTogether(data: string, given: GivenConfig): Partial<AllSettings> {
  const config = complete(given);
  return settingsOf(
    {
      ...{
        layout: layoutOf(data),
        config,
        ...namesOf(config, config.site.domain || "postern.test"),
      },
      ...{ application: data, version: "", policyPublicKey: "" },
      pins: { hubFingerprint: "", edges: [] },
    },
    programsOf.all,
  );
}

function foldersOf(role: Role, layout: Layout): readonly string[] {
  return [
    layout.logs,
    ...programsOf[role].map((name) => folderOf(name, layout)),
    ...(hasInside(role) ? [layout.pki, layout.store, join(layout.keyring, "keys")] : []),
  ];
}

/** Keys and secrets of the inside, made once. */
function prepareInside(layout: Layout): { policyPublicKey: string; consoleToken: string } {
  const inHub = (name: string): string => join(layout.hub, name);
  makeSealKeyFile(inHub("seal-keys.json"));
  // Each of the two reads a copy of its own: they may run as different users.
  writePrivate(inHub("keyring.secret"), sharedSecret(join(layout.keyring, "secret")));
  sharedSecret(inHub("admin.secret"));
  return {
    policyPublicKey: makePolicyKey(inHub("policy.key")),
    consoleToken: sharedSecret(inHub("console.token"), 16),
  };
}

/** Who may be at the other end of each link, written where the programs look. */
function pinsOf(role: Role, layout: Layout, config: Config, nowMs: number): LinkPins {
  const { edgeSmtp, edgeWeb, hub } = layout;
  if (role === "edge") {
    const { hubCertificatePem } = readEnrolment(layout);
    for (const path of [edgeSmtp, edgeWeb]) writeLinkPeers(path, [hubCertificatePem]);
    return { hubFingerprint: fingerprintOf(hubCertificatePem), edges: [] };
  }
  const own = keepLinkIdentity(hub, "hub", nowMs);
  const hubFingerprint = fingerprintOf(own);
  if (role === "inside") {
    const edges = readEdges(layout);
    writeLinkPeers(
      hub,
      edges.flatMap(({ smtp, web }) => [smtp.certificatePem, web.certificatePem]),
    );
    return { hubFingerprint, edges: peersOf(edges) };
  }
  const smtp = keepLinkIdentity(edgeSmtp, "edge-smtp", nowMs);
  const web = keepLinkIdentity(edgeWeb, "edge-web", nowMs);
  for (const path of [edgeSmtp, edgeWeb]) writeLinkPeers(path, [own]);
  writeLinkPeers(hub, [smtp, web]);
  const at = (key: "linkSmtp" | "linkWeb"): Endpoint => endpointOf(config.listen[key], key);
  return {
    hubFingerprint,
    edges: [
      { name: "edge-smtp", endpoint: at("linkSmtp"), fingerprint: fingerprintOf(smtp) },
      { name: "edge-web", endpoint: at("linkWeb"), fingerprint: fingerprintOf(web) },
    ],
  };
}

/** What the file sets; without one named, FOLDER/postern.toml, which may be missing. */
export function givenConfig(data: string, configFile: string | undefined): GivenConfig {
  if (configFile !== undefined) return readConfig(configFile);
  const { config } = layoutOf(data);
  return existsSync(config) ? readConfig(config) : {};
}

function demoOf(path: string): Demo {
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as Demo;
  const domain = "postern.test";
  const account = (name: string, displayName: string): Demo["accounts"][number] => ({
    address: `${name}@${domain}`,
    displayName,
    password: randomBytes(12).toString("base64url"),
  });
  const demo = { domain, accounts: [account("ana", "Ana Demo"), account("ben", "Ben Demo")] };
  writePrivate(path, JSON.stringify(demo, null, 2));
  return demo;
}
