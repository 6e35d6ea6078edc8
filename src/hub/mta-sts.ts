/** MTA-STS of our own domains: what it says, and where it is served (RFC 8461). */

import type { Resolver } from "#base/dns";
import { Misconfigured } from "#base/errors";
import type { Parameter, Values } from "#base/parameters";
import {
  formatStsPolicy,
  isPattern,
  longestMaxAge,
  type StsMode,
  stsHost,
  stsPath,
} from "#formats/mta-sts";
import type { PublishedText } from "#model/publishing";

/** An alias, not an interface: only that counts as a table of any parameters. */
type Table = {
  readonly mode: Parameter<string>;
  readonly maxAgeS: Parameter<number>;
  readonly mx: Parameter<readonly string[]>;
};

export const mtaStsParameters: Table = {
  mode: {
    default: "testing",
    oneOf: ["none", "testing", "enforce"],
    doc: "What others are asked to do when TLS to our mail servers cannot be verified: nothing (none: for taking the policy back), report (testing), or not deliver (enforce). Nothing happens before the records of `postern dns show` are published.",
  },
  maxAgeS: {
    default: 604_800,
    unit: "s",
    min: 86_400,
    max: longestMaxAge,
    doc: "How long others keep the policy; raise to some weeks when enforce has been in force for a while.",
  },
  mx: {
    default: [],
    doc: "Names of mail servers besides ours that MX records of the domains name, as mx2.example.net or *.example.net.",
  },
};

export type MtaStsSettings = Values<Table>;

/** @throws Misconfigured where a name is none */
export function checkMtaSts(settings: MtaStsSettings): MtaStsSettings {
  const wrong = settings.mx.find((name) => !isPattern(name.toLowerCase()));
  if (wrong === undefined) return settings;
  throw new Misconfigured(`mtaSts.mx holds "${wrong}", which is not a host name`);
}

/** The same for all domains: their mail comes to the same servers. */
export function ownStsPolicy({ mode, maxAgeS, mx }: MtaStsSettings, hostname: string): string {
  const names = [...new Set([hostname, ...mx].map((name) => name.toLowerCase()))];
  return formatStsPolicy({ mode: mode as StsMode, mx: names, maxAge: maxAgeS });
}

export function stsTexts(
  domains: readonly string[],
  settings: MtaStsSettings,
  hostname: string,
): readonly PublishedText[] {
  const text = ownStsPolicy(settings, hostname);
  return [{ hosts: domains.map(stsHost), path: stsPath, text }];
}

/**
 * Policy hosts that lead where the host name leads: an authority proves only those, and one that it
 * cannot prove would cost the certificate of all.
 *
 * @param before stays for hosts whose DNS does not answer now
 */
export async function provableHosts(
  domains: readonly string[],
  hostname: string,
  resolver: Pick<Resolver, "query">,
  before: readonly string[],
): Promise<readonly string[]> {
  const ours = await addressesOf(hostname, resolver);
  const isOurs = async (host: string): Promise<boolean> => {
    const theirs = await addressesOf(host, resolver);
    if (ours === undefined || theirs === undefined) return before.includes(host);
    return theirs.some((address) => ours.includes(address));
  };
  const hosts = domains.map(stsHost);
  const answers = await Promise.all(hosts.map(isOurs));
  return hosts.filter((_, index) => answers[index]);
}

async function addressesOf(
  host: string,
  resolver: Pick<Resolver, "query">,
): Promise<readonly string[] | undefined> {
  const answers = await Promise.all([resolver.query(host, "A"), resolver.query(host, "AAAA")]);
  const found = answers.flatMap((one) => (one.kind === "found" ? one.records : []));
  const isSilent = found.length === 0 && answers.some(({ kind }) => kind === "failed");
  return isSilent ? undefined : found.map(({ address }) => address);
}
