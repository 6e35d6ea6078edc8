/** Header fields that every answer carries, and those that the inside may add. */

/** Two years, as preload lists ask (RFC 6797 §6.1). */
const hsts = "max-age=63072000; includeSubDomains";

const everywhere: Readonly<Record<string, string>> = {
  "strict-transport-security": hsts,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "x-frame-options": "SAMEORIGIN",
  "x-dns-prefetch-control": "off",
  "permissions-policy":
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), " +
    "magnetometer=(), microphone=(), midi=(), payment=(), usb=(), browsing-topics=()",
};

/** For answers that say nothing about their content. */
const closedPolicy =
  "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/** Fields of an inside answer that go out; the rest is dropped. */
const fromInside = new Set([
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-length",
  "content-security-policy",
  "content-type",
  "etag",
  "location",
  "retry-after",
  "vary",
]);

/** A page or an empty answer of the edge itself. */
export function ownHeaders(extra: Readonly<Record<string, string>>): Record<string, string> {
  return {
    ...everywhere,
    "content-security-policy": closedPolicy,
    "cache-control": "no-store",
    ...extra,
  };
}

/** What the inside answered, filtered; without a word about caching it is not stored. */
export function relayedHeaders(given: Readonly<Record<string, string>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(given)) {
    const low = name.toLowerCase();
    if (!fromInside.has(low) || typeof value !== "string" || /[\r\n\0]/.test(value)) continue;
    // A redirect stays on this host.
    if (low === "location" && !/^\/(?![/\\])[\x21-\x7e]*$/.test(value)) continue;
    kept[low] = value;
  }
  return {
    "content-security-policy": closedPolicy,
    "cache-control": "no-store",
    ...kept,
    ...everywhere,
  };
}
