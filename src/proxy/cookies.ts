/** The two cookies of the front: the session's opaque handle and the login form's token (RFC 6265). */

/** `__Host-` binds a cookie to this very host, over TLS, with Path=/ (RFC 6265bis §4.1.3.2). */
export const sessionCookie = "__Host-postern";
export const formCookie = "__Host-postern-form";

const handle = /^[A-Za-z0-9_-]{16,256}$/;

/** The value of a cookie, or undefined: also when it comes twice or is not a handle of ours. */
export function readCookie(header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined;
  let found: string | undefined;
  for (const pair of header.split(";")) {
    const equals = pair.indexOf("=");
    if (equals < 0 || pair.slice(0, equals).trim() !== name) continue;
    if (found !== undefined) return undefined;
    found = pair.slice(equals + 1).trim();
  }
  return found !== undefined && handle.test(found) ? found : undefined;
}

/** @param maxAgeSeconds absent: until the browser closes */
export function setCookie(
  name: string,
  value: string,
  sameSite: "Lax" | "Strict",
  maxAgeSeconds?: number,
): string {
  const age = maxAgeSeconds === undefined ? "" : `; Max-Age=${maxAgeSeconds}`;
  return `${name}=${value}; Path=/; Secure; HttpOnly; SameSite=${sameSite}${age}`;
}

export function clearCookie(name: string): string {
  return setCookie(name, "", "Lax", 0);
}
