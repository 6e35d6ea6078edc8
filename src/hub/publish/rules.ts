/** The rule that a request of the edge meets, found again inside: an edge cannot go round it. */

import type { WebRequest } from "#contracts/web";
import type { PublishingRule } from "#model/publishing";
import { type CompiledPolicy, findRule, parseTarget, withoutPort } from "#proxy";

/**
 * @param policy of the application alone
 * @returns undefined when no rule takes the request, the host is not ours, or the target is not in
 *   normal form
 */
export function ruleFor(ask: WebRequest, policy: CompiledPolicy): PublishingRule | undefined {
  const rules = policy.rulesOf(ask.host) ?? policy.rulesOf(withoutPort(ask.host));
  const target = parseTarget(ask.target);
  if (rules === undefined || !target.ok) return undefined;
  const { path, query, notPlain, looseEnd } = target.value;
  if (ask.target !== (ask.target.includes("?") ? `${path}?${query}` : path)) return undefined;
  const found = findRule(rules, path, ask.method);
  if (!found.ok) return undefined;
  const { rule } = found;
  const fits =
    (rule.targets !== "plain" || notPlain === undefined) &&
    (rule.ignoreCase !== true || looseEnd !== true) &&
    (ask.upgrade === undefined || rule.webSocket === true);
  return fits ? rule : undefined;
}
