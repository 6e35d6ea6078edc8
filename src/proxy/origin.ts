/** Whose page caused a request: Fetch Metadata first, Origin where a client lacks it (W3C, RFC 6454). */

/** True when a request that changes something was caused by a page of ours. */
export function isOwnAct(headers: ReadonlyMap<string, string>, host: string): boolean {
  const site = headers.get("sec-fetch-site");
  const origin = headers.get("origin");
  const own = origin === `https://${host}`;
  if (site === undefined) return own;
  // A form of a page with "no-referrer" says Origin: null; the browser's own word then decides.
  return site === "same-origin" && (own || origin === undefined || origin === "null");
}

/**
 * True when a reading request may be answered: our own pages read anything, a link elsewhere or
 * the address bar may open a document and nothing else.
 */
export function mayRead(headers: ReadonlyMap<string, string>): boolean {
  const site = headers.get("sec-fetch-site");
  if (site === undefined || site === "same-origin") return true;
  if (site === "none") return true;
  const destination = headers.get("sec-fetch-dest") ?? "";
  return headers.get("sec-fetch-mode") === "navigate" && destination === "document";
}

/** True when a person looks at the answer, so that a page and a redirect make sense. */
export function isNavigation(headers: ReadonlyMap<string, string>): boolean {
  const mode = headers.get("sec-fetch-mode");
  if (mode !== undefined) return mode === "navigate";
  return (headers.get("accept") ?? "").includes("text/html");
}
