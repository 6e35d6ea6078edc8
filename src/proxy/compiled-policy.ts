/** The policy made ready for the hot path: rules of each host, the most particular first. */

import type { LoginOffer, PublishingRule, WebPolicy } from "#model/publishing";

export interface CompiledRule {
  readonly rule: PublishingRule;
  /** In lower case where the rule ignores it. */
  readonly path: string;
  /** What every path below begins with. */
  readonly below: string;
}

export interface CompiledPolicy {
  /** 0 until the inside has told one: hosts are known then, and nothing is published. */
  readonly version: number;
  readonly login: LoginOffer;
  /**
   * @param host from the request, in lower case, with its port where it names one
   * @returns undefined for a host that is not ours
   */
  rulesOf(host: string): readonly CompiledRule[] | undefined;
  /** By path, of a host that has texts and nothing else; host as above. */
  textsOf(host: string): ReadonlyMap<string, string> | undefined;
}

/** @param listeningPort what a host without a port may also be asked under */
export function compilePolicy(policy: WebPolicy, listeningPort: () => number): CompiledPolicy {
  const byHost = new Map<string, readonly CompiledRule[]>();
  for (const host of policy.hosts) {
    const [entry, name] = [host.toLowerCase(), withoutPort(host.toLowerCase())];
    const holds = ({ hosts }: PublishingRule): boolean =>
      hosts.length === 0 || hosts.some((one) => one === entry || one === name);
    byHost.set(entry, policy.rules.filter(holds).map(compileRule).sort(moreParticular));
  }
  const texts = textsByHost(policy, byHost);
  const known = <Value>(all: ReadonlyMap<string, Value>, host: string): Value | undefined => {
    const found = all.get(host);
    if (found !== undefined) return found;
    const name = withoutPort(host);
    const port = host.slice(name.length + 1);
    return port === String(listeningPort()) ? all.get(name) : undefined;
  };
  return {
    version: policy.version,
    login: policy.login,
    rulesOf: (host) => known(byHost, host),
    textsOf: (host) => known(texts, host),
  };
}

/** A host of the front's own keeps its rules, whatever texts are said of it. */
function textsByHost(
  { texts = [] }: WebPolicy,
  hosts: ReadonlyMap<string, unknown>,
): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const byHost = new Map<string, Map<string, string>>();
  for (const { hosts: named, path, text } of texts) {
    for (const host of named) {
      const own = byHost.get(host) ?? new Map<string, string>();
      if (!hosts.has(host)) byHost.set(host, own.set(path, text));
    }
  }
  return byHost;
}

export function withoutPort(host: string): string {
  const colon = host.lastIndexOf(":");
  return colon > host.lastIndexOf("]") ? host.slice(0, colon) : host;
}

function compileRule(rule: PublishingRule): CompiledRule {
  const path = rule.ignoreCase === true ? rule.path.toLowerCase() : rule.path;
  return { rule, path, below: path.endsWith("/") ? path : `${path}/` };
}

/** The longer path first; then what names its hosts, then what is not of Postern itself. */
function moreParticular(one: CompiledRule, other: CompiledRule): number {
  const rank = ({ rule, path }: CompiledRule): number =>
    path.length * 8 +
    (rule.exact === true ? 4 : 0) +
    (rule.hosts.length > 0 ? 2 : 0) +
    (rule.application === "postern" ? 0 : 1);
  return rank(other) - rank(one);
}

export type Found =
  | { readonly ok: true; readonly rule: PublishingRule }
  | { readonly ok: false; readonly allow?: string };

/** Default deny: nothing but a listed path, and nothing but a listed method of it. */
export function findRule(rules: readonly CompiledRule[], path: string, method: string): Found {
  let lower: string | undefined;
  let allow: string | undefined;
  let nearest = -1;
  for (const { rule, path: rulePath, below } of rules) {
    // Another rule for the very same place may take the method; one further up may not.
    if (rulePath.length < nearest) break;
    let compared = path;
    if (rule.ignoreCase === true) compared = lower ??= path.toLowerCase();
    if (compared !== rulePath && (rule.exact === true || !compared.startsWith(below))) continue;
    if (rule.methods.includes(method)) return { ok: true, rule };
    nearest = rulePath.length;
    const listed = rule.methods.join(", ");
    allow = allow === undefined ? listed : `${allow}, ${listed}`;
  }
  return allow === undefined ? { ok: false } : { ok: false, allow };
}
