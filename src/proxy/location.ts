/** References that an answer may send somebody to (RFC 9110 §10.2.2): of this host and no other. */

/** Visible characters alone; "\" is read as "/" by browsers. */
const visible = /^[\x21-\x5b\x5d-\x7e\x80-\xff]+$/;
const schemed = /^[a-z][a-z0-9+.-]*:/i;

/**
 * @param reference a path, a relative reference, or an absolute one with the published host
 * @param host with its port where the client named it
 * @returns as it may go out, without scheme and host; undefined when it leads elsewhere
 */
export function ownLocation(reference: string, host: string): string | undefined {
  if (!visible.test(reference) || reference.length > 8192) return undefined;
  if (reference.startsWith("//")) return underHost(reference.slice(2), host, "https:");
  const scheme = schemed.exec(reference)?.[0].toLowerCase();
  // A path segment with a colon is no scheme only behind a slash, a "?" or a "#".
  if (scheme === undefined) return reference;
  // An application behind a front may believe that it is asked in the clear.
  if (scheme !== "https:" && scheme !== "http:") return undefined;
  const rest = reference.slice(scheme.length);
  return rest.startsWith("//") ? underHost(rest.slice(2), host, scheme) : undefined;
}

/** RFC 9110 §4.2.3: a name with the port of its scheme is the name alone. */
const defaultPorts = { "https:": /:443$/, "http:": /:80$/ };

function underHost(
  rest: string,
  host: string,
  scheme: keyof typeof defaultPorts,
): string | undefined {
  const end = rest.search(/[/?#]/);
  const authority = end < 0 ? rest : rest.slice(0, end);
  const asked = host.replace(defaultPorts["https:"], "");
  if (authority.toLowerCase().replace(defaultPorts[scheme], "") !== asked) return undefined;
  const path = end < 0 ? "/" : rest.slice(end);
  const whole = path.startsWith("/") ? path : `/${path}`;
  return whole.startsWith("//") ? undefined : whole;
}
