/** Where a login may lead back to: a page that is published on the same host (CWE-601, W7). */

import { findRule } from "./compiled-policy.ts";
import type { CheckedRequest } from "./judge.ts";
import { parseTarget } from "./target.ts";

/** Postern's own application is asked by its paths alone. */
const ownPath = /^\/mail\/(?:[A-Za-z0-9_-]+\/)*[A-Za-z0-9_-]*$/;

const longest = 2048;

/**
 * @param text untrusted: what a link or a form says, or the target that a session was missing for
 * @param request of the login, or the one that is sent there: it says the host and the policy
 * @returns the path, with its query where an application is published there; else "/mail/", or the
 *   root where the host is an application's altogether
 */
export function safeReturnPath(
  text: string | null | undefined,
  request: Pick<CheckedRequest, "policy" | "host">,
): string {
  const rules = request.policy.rulesOf(request.host) ?? [];
  const found = findRule(rules, "/mail/", "GET");
  const home = found.ok && found.rule.application === "postern" ? "/mail/" : "/";
  if (text === null || text === undefined || text.length > longest) return home;
  const target = parseTarget(text);
  if (!target.ok) return home;
  const { path, query, notPlain, looseEnd } = target.value;
  if (path === "/login" || path.startsWith("/login/") || path === "/logout") return home;
  const to = findRule(rules, path, "GET");
  if (!to.ok || to.rule.login !== "form") return home;
  if (to.rule.application === "postern") return ownPath.test(path) ? path : home;
  if (to.rule.targets === "plain" && notPlain !== undefined) return home;
  if (to.rule.ignoreCase === true && looseEnd === true) return home;
  return query === "" ? path : `${path}?${query}`;
}
