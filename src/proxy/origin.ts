/** Whose page caused a request: Fetch Metadata first, Origin where a client lacks it (W3C, RFC 6454). */

import type { HeaderList } from "#contracts/web";
import type { PublishingRule } from "#model/publishing";

export type FieldOf = (name: string) => string | undefined;

/** The first field of that name. */
export function fieldIn(headers: HeaderList, wanted: string): string | undefined {
  for (const [name, value] of headers) if (name === wanted) return value;
  return undefined;
}

/** True when a request that changes something was caused by a page of ours. */
export function isOwnAct(field: FieldOf, host: string): boolean {
  const site = field("sec-fetch-site");
  const origin = field("origin");
  const own = origin === `https://${host}`;
  if (site === undefined) return own;
  // A form of a page with "no-referrer" says Origin: null; the browser's own word then decides.
  return site === "same-origin" && (own || origin === undefined || origin === "null");
}

/**
 * True when a reading request may be answered: our own pages read anything, a link elsewhere or
 * the address bar may open a document and nothing else.
 */
export function mayRead(field: FieldOf): boolean {
  const site = field("sec-fetch-site");
  if (site === undefined || site === "same-origin" || site === "none") return true;
  return field("sec-fetch-mode") === "navigate" && field("sec-fetch-dest") === "document";
}

/** True when a person looks at the answer, so that a page and a redirect make sense. */
export function isNavigation({ headers }: { readonly headers: HeaderList }): boolean {
  const mode = fieldIn(headers, "sec-fetch-mode");
  if (mode !== undefined) return mode === "navigate";
  return (fieldIn(headers, "accept") ?? "").includes("text/html");
}

/** Methods that change nothing (RFC 9110 §9.2.1) and that a link or the address bar can cause. */
const reading: ReadonlySet<string> = new Set(["GET", "HEAD"]);

/** Whether the rule takes a request from whoever caused this one (W9, W13). */
export function mayCause(
  field: FieldOf,
  asked: { readonly method: string; readonly host: string; readonly upgrade: boolean },
  rule: Pick<PublishingRule, "login" | "crossOrigin">,
): boolean {
  const { method, host, upgrade } = asked;
  // RFC 6455 §10.2: a page of any origin can open a WebSocket, and no preflight asks before.
  if (upgrade) return field("origin") === `https://${host}` && isOwnAct(field, host);
  // Neither looks at a cookie or at credentials that a browser adds by itself.
  if (rule.crossOrigin === true || rule.login === "none") return true;
  // Programs say neither; a browser that remembers Basic credentials says at least one.
  if (rule.login === "basic" && field("sec-fetch-site") === undefined) {
    const origin = field("origin");
    return origin === undefined || origin === `https://${host}`;
  }
  return reading.has(method) ? mayRead(field) : isOwnAct(field, host);
}
