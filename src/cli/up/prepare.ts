/** Makes a data folder ready: certificates, keys, secrets, and the settings of every program. */

import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Config, complete, type GivenConfig, readConfig } from "../config/read.ts";
import { type Layout, layoutOf } from "./layout.ts";
import {
  folder,
  makeCertificates,
  makePolicyKey,
  makeSealKeyFile,
  sharedSecret,
  writePrivate,
} from "./secrets.ts";
import { type AllSettings, settingsOf } from "./settings.ts";

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
  readonly layout: Layout;
  readonly config: Config;
  readonly domain: string;
  readonly hostname: string;
  readonly settings: AllSettings;
  /** Absent when the configuration names a domain. */
  readonly demo?: Demo;
  readonly consoleToken: string;
}

export function prepare(
  data: string,
  given: GivenConfig,
  { application, version }: { readonly application: string; readonly version: string },
  nowMs: number,
): Prepared {
  const layout = layoutOf(data);
  const demo = given["site"]?.["domain"] ? undefined : demoOf(layout.demo);
  // A demonstration often runs where no DNS answers; its strangers are still shown as not checked.
  const config = complete(
    demo === undefined ? given : { ...given, spf: { temperror: "accept", ...given["spf"] } },
  );
  const domain = demo?.domain ?? config.site.domain.toLowerCase();
  const hostname = config.site.hostname === "" ? `mail.${domain}` : config.site.hostname;
  makeCertificates(layout, hostname, nowMs);
  makeSealKeyFile(join(layout.hub, "seal-keys.json"));
  folder(layout.logs);
  folder(layout.store);
  folder(join(layout.keyring, "keys"));
  sharedSecret(join(layout.keyring, "secret"));
  sharedSecret(join(layout.hub, "admin.secret"));
  const policyPublicKey = makePolicyKey(join(layout.hub, "policy.key"));
  const installation = { layout, config, domain, hostname, application, version, policyPublicKey };
  return {
    layout,
    config,
    domain,
    hostname,
    settings: settingsOf(installation),
    ...(demo !== undefined && { demo }),
    consoleToken: sharedSecret(join(layout.hub, "console.token"), 16),
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
