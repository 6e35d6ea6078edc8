/** The rule that a request of the edge meets, found again inside: an edge cannot go round it. */

import type { WebRequest } from "#contracts/web";
import type { PublishingRule } from "#model/publishing";
import { parseTarget } from "#proxy";

/** In the order in which `ruleFor` wants them: the most particular first, as in the edge. */
export function ranked(rules: readonly PublishingRule[]): readonly PublishingRule[] {
  return rules.toSorted((one, other) => rankOf(other) - rankOf(one));
}

/** The longer path first, then what is exact, then what names its hosts. */
function rankOf(rule: PublishingRule): number {
  return rule.path.length * 4 + (rule.exact === true ? 2 : 0) + (rule.hosts.length > 0 ? 1 : 0);
}

/**
 * @param rules ranked
 * @returns undefined when none takes the request, or its target is not in normal form
 */
export function ruleFor(
  ask: WebRequest,
  rules: readonly PublishingRule[],
): PublishingRule | undefined {
  const target = parseTarget(ask.target);
  if (!target.ok) return undefined;
  const { path, query, notPlain } = target.value;
  if (ask.target !== (ask.target.includes("?") ? `${path}?${query}` : path)) return undefined;
  const name = ask.host.replace(/:\d{1,5}$/, "");
  let nearest = -1;
  for (const rule of rules) {
    // Another rule for the very same place may take the method; one further up may not.
    if (rule.path.length < nearest) return undefined;
    if (!holdsForHost(rule, ask.host, name) || !holdsForPath(rule, path)) continue;
    if (rule.methods.includes(ask.method)) {
      const fits = rule.targets !== "plain" || notPlain === undefined;
      return fits && (ask.upgrade === undefined || rule.webSocket === true) ? rule : undefined;
    }
    nearest = rule.path.length;
  }
  return undefined;
}

function holdsForHost({ hosts }: PublishingRule, host: string, name: string): boolean {
  return hosts.length === 0 || hosts.includes(host) || hosts.includes(name);
}

function holdsForPath(rule: PublishingRule, path: string): boolean {
  const [own, asked] =
    rule.ignoreCase === true ? [rule.path.toLowerCase(), path.toLowerCase()] : [rule.path, path];
  if (asked === own) return true;
  return rule.exact !== true && asked.startsWith(own.endsWith("/") ? own : `${own}/`);
}
