/** What the web edge publishes: from the administrator's settings to signed rules. */

import { Misconfigured } from "#base/errors";
import { didYouMean, type Values } from "#base/parameters";
import type { Link } from "#contracts/link";
import type {
  LoginOffer,
  LoginWay,
  PublishedText,
  PublishingRule,
  WebPolicy,
} from "#model/publishing";
import { isRulePath, posternRules, type RuleSetName, ruleSetNames, ruleSets } from "#proxy";
import { type Inside, readText } from "./inside.ts";
import { loginOffer } from "./login/index.ts";
import { stsTexts } from "./mta-sts.ts";
import {
  completeUpstream,
  type PublishedApplication,
  upstreamParameters,
} from "./publish/settings.ts";
import { type PolicyPusher, signedPusher } from "./signed-push.ts";

const ruleParameters = {
  ruleSets: {
    default: ["web"],
    doc: "Ready-made rules, one or more of: web, roundcube, sogo, exchange-owa, exchange-ews, exchange-activesync, exchange-mapi, exchange-autodiscover.",
  },
  hosts: {
    default: [],
    doc: "Published names it holds for, of those in web.hosts; empty: all of them.",
  },
  path: {
    default: "",
    doc: "Where the application lies, the same outside and inside; empty: where its rule set says.",
  },
  login: {
    default: "",
    oneOf: ["", "form", "basic", "none"],
    doc: "Login in place of the rule set's own: our form, Basic for programs, or none; empty: its own.",
  },
  methods: {
    default: [],
    doc: "Request methods in place of the rule set's own; empty: its own.",
  },
  webSocket: {
    default: false,
    doc: "Lets pages of the application open WebSockets.",
  },
  bodyMaxBytes: {
    default: 0,
    unit: "bytes",
    min: 0,
    max: 10_737_418_240,
    doc: "Largest request body; 0: what web.bodyMaxBytes says, or the rule set.",
  },
} as const;

/** Keys of a table [publish.NAME]. */
export const publicationParameters: typeof ruleParameters & typeof upstreamParameters = {
  ...ruleParameters,
  ...upstreamParameters,
};

export type Publication = Values<typeof publicationParameters>;

/** @throws Misconfigured naming the key as "publish.NAME.KEY", when the values cannot hold together */
export function completePublication(name: string, given: Publication): PublishedApplication {
  if (!/^[a-z][a-z0-9-]{0,31}$/.test(name)) {
    throw new Misconfigured(`publish.${name}: a name is small letters, digits and "-"`);
  }
  const upstream = Object.fromEntries(
    Object.keys(upstreamParameters).map((key) => [key, given[key as keyof Publication]]),
  );
  return {
    ...completeUpstream(name, upstream as Values<typeof upstreamParameters>),
    rules: rulesOf(name, given),
  };
}

function rulesOf(name: string, given: Publication): readonly PublishingRule[] {
  const wrong = (key: string, why: string): Misconfigured =>
    new Misconfigured(`publish.${name}.${key} ${why}`);
  const hosts = given.hosts.map((host) => {
    if (!isHostName(host)) throw wrong("hosts", `holds "${host}", which is not a host name`);
    return host.toLowerCase();
  });
  for (const method of given.methods) {
    const isMethod = /^[A-Z][A-Z_-]*$/.test(method) && !["CONNECT", "TRACE"].includes(method);
    if (!isMethod) throw wrong("methods", `holds "${method}", which cannot be published`);
  }
  if (given.path !== "" && !isRulePath(given.path)) {
    throw wrong("path", 'must begin with "/" and be made of A-Z a-z 0-9 - . _ ~ and "/"');
  }
  if (given.ruleSets.length === 0) throw wrong("ruleSets", "is empty: nothing would be published");
  const more = {
    ...(given.login !== "" && { login: given.login as LoginWay }),
    ...(given.methods.length > 0 && { methods: given.methods }),
    ...(given.webSocket && { webSocket: true }),
    ...(given.bodyMaxBytes > 0 && { bodyMaxBytes: given.bodyMaxBytes }),
  };
  return given.ruleSets.flatMap((word) => {
    const set = ruleSetNames.includes(word as RuleSetName)
      ? ruleSets[word as RuleSetName]
      : undefined;
    if (set === undefined) {
      const near = didYouMean(word, ruleSetNames);
      const advice = near === undefined ? "" : `; did you mean "${near}"?`;
      throw wrong("ruleSets", `holds "${word}", which is not known${advice}`);
    }
    if (given.path !== "" && set.path === undefined && given.ruleSets.length === 1) {
      throw wrong("path", `does not go with ${word}, whose paths are fixed`);
    }
    const path = given.path === "" ? (set.path ?? "/") : given.path;
    return set.rules(path).map((shape) => ({ application: name, hosts, ...shape, ...more }));
  });
}

/** RFC 1123 §2.1 in small or capital letters, an address, or either with a port. */
function isHostName(host: string): boolean {
  return /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9]\d{0,4})?$/i.test(
    host,
  );
}

/** @throws Misconfigured when a name is none, or an application is published under one that is not */
export function checkPublishedHosts(
  hosts: readonly string[],
  applications: readonly PublishedApplication[],
): readonly string[] {
  for (const host of hosts) {
    if (!isHostName(host))
      throw new Misconfigured(`web.hosts holds "${host}", which is not a host name`);
  }
  const known = hosts.map((host) => host.toLowerCase());
  for (const { name, rules } of applications) {
    const foreign = rules.flatMap((rule) => rule.hosts).find((host) => !known.includes(host));
    if (foreign !== undefined) {
      throw new Misconfigured(
        `publish.${name}.hosts holds "${foreign}", which is not in web.hosts`,
      );
    }
  }
  checkDistinct(applications.flatMap(({ rules }) => rules));
  return [...new Set(known)];
}

/** @throws Misconfigured when nothing but chance would say which of two applications answers */
function checkDistinct(rules: readonly PublishingRule[]): void {
  const seen = new Map<string, PublishingRule>();
  for (const rule of rules) {
    const hosts = rule.hosts.length === 0 ? [""] : rule.hosts;
    for (const place of hosts.flatMap((host) => rule.methods.map((verb) => `${verb} ${host}`))) {
      const other = seen.get(`${place}${rule.path}`);
      seen.set(`${place}${rule.path}`, rule);
      if (other === undefined || other.application === rule.application) continue;
      throw new Misconfigured(
        `publish.${rule.application}.path ${rule.path} is published by [publish.${other.application}] too`,
      );
    }
  }
}

/** A host that an application has altogether is not Postern's own any more, but for the login. */
export function webPolicyOf(
  hosts: readonly string[],
  applications: readonly PublishedApplication[],
  login: LoginOffer,
  version: number,
): WebPolicy {
  const foreign = applications.flatMap(({ rules }) => rules);
  const taken = new Set(foreign.filter(({ path }) => path === "/").flatMap((rule) => rule.hosts));
  const ours = hosts.filter((host) => !taken.has(host));
  const own = ours.length === 0 ? [] : posternRules(taken.size === 0 ? [] : ours);
  return { version, hosts, rules: [...foreign, ...own], login };
}

/** Keeps the web edge's policy in force: pushed with each new link, and when domains come or go. */
export function webPolicyPusher(
  { settings, directory, clock, events }: WebPolicyPorts,
  linkNow: () => Link | undefined,
): PolicyPusher {
  const { publishedHosts, publish, policyKey, mtaSts, hostname } = settings;
  const textsNow = (): readonly PublishedText[] =>
    stsTexts(ownDomains(directory), mtaSts, hostname);
  const offer = loginOffer(settings.login);
  return signedPusher({
    clock,
    events,
    edge: "edge-web",
    policyKeyPem: readText(policyKey),
    linkNow,
    textOf: (version) => {
      const policy = webPolicyOf(publishedHosts, publish, offer, version);
      return JSON.stringify({ ...policy, texts: textsNow() });
    },
  });
}

type WebPolicyPorts = Pick<Inside, "settings" | "directory" | "clock" | "events">;

export function ownDomains(directory: Inside["directory"]): readonly string[] {
  return directory.domains().map(({ name }) => name);
}
