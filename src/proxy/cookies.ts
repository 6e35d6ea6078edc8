/** Cookies of the front, and those that an application may set beside them (RFC 6265). */

/** `__Host-` binds a cookie to this very host, over TLS, with Path=/ (RFC 6265bis §4.1.3.2). */
export const sessionCookie = "__Host-postern";
export const formCookie = "__Host-postern-form";

/** Session handles and what waits for a second step: both travel in cookies. */
export const handleShape: RegExp = /^[A-Za-z0-9_-]{16,256}$/;

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
  return found !== undefined && handleShape.test(found) ? found : undefined;
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

/**
 * Every name that begins as ours does, however it is written: browsers compare prefixes without case.
 * A pair without a name counts too, as its value would be read as one ("=__Host-postern=x").
 */
export function isOurCookie(pair: string): boolean {
  const equals = pair.indexOf("=");
  const name = equals < 0 ? pair : pair.slice(0, equals);
  const whole = name.trim() === "" ? pair.slice(equals + 1) : name;
  return whole.trim().toLowerCase().startsWith("__host-postern");
}

/** RFC 6265 §4.1.1 in width: no control, and nothing that ends the field. */
const printable = /^[\x20-\x7e\x80-\xff]+$/;

/**
 * What an application may set: for this host alone and over TLS, under a name that is not ours.
 *
 * @param field value of a Set-Cookie of the inside
 * @returns undefined when it must not go out
 */
export function foreignCookie(field: string, crossOrigin: boolean): string | undefined {
  if (!printable.test(field) || field.length > 8192) return undefined;
  const [pair = "", ...attributes] = field.split(";").map((part) => part.trim());
  if (pair.indexOf("=") < 1 || isOurCookie(pair)) return undefined; // without a name: see there
  const kept = [pair];
  let sameSite = "SameSite=Lax";
  for (const attribute of attributes) {
    const name = attribute.split("=", 1)[0]?.trim().toLowerCase() ?? "";
    if (name === "" || name === "domain" || name === "secure") continue;
    if (name === "samesite") {
      if (crossOrigin || !/=\s*none$/i.test(attribute)) sameSite = attribute;
      continue;
    }
    kept.push(attribute);
  }
  return [...kept, "Secure", sameSite].join("; ");
}
