/** Header fields of a request, looked at one by one (RFC 9110 §5, §7.6.1). */

import type { HeaderList } from "#contracts/web";

export type FieldFault =
  | "header-count"
  | "header-name"
  | "header-value"
  | "repeated-header"
  | "hop-by-hop"
  | "expectation"
  | "upgrade";

/**
 * Of RFC 9110 §5.6.2 letters, digits and hyphens alone: CGI readers take "_" for "-", and some of
 * them "." and every other sign too (RFC 3875 §4.1.18).
 */
const token = /^[a-z0-9-]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const badValue = /[\x00-\x08\x0a-\x1f\x7f]/;

/** Mean something to one hop only; no client of ours needs them, and every trick does. */
const hopByHop: ReadonlySet<string> = new Set([
  "keep-alive",
  "proxy-connection",
  "trailer",
  "http2-settings",
  "proxy-authorization",
  "proxy-authenticate",
]);

/** Lists by their definition, or dropped anyway; anything else that comes twice has no meaning. */
const mayRepeat: ReadonlySet<string> = new Set([
  "accept",
  "accept-charset",
  "accept-encoding",
  "accept-language",
  "cache-control",
  "forwarded",
  "if-match",
  "if-none-match",
  "pragma",
  "prefer",
  "sec-websocket-extensions",
  "sec-websocket-protocol",
  "via",
  "x-forwarded-for",
]);

export interface CheckedFields {
  readonly headers: HeaderList;
  /** In lower case; "" when there is none. */
  readonly host: string;
  readonly upgrade?: "websocket";
}

/** @param headers names in lower case, as the transport read them; untrusted */
export function checkFields(
  headers: HeaderList,
  version: "1.1" | "2",
  maxCount: number,
): CheckedFields | FieldFault {
  if (headers.length > maxCount) return "header-count";
  const seen = new Set<string>();
  let [host, connection, upgrade] = ["", "", ""];
  let cookies = 0;
  for (const [name, value] of headers) {
    if (!token.test(name)) return "header-name";
    if (badValue.test(value)) return "header-value";
    if (hopByHop.has(name)) return "hop-by-hop";
    const repeated = seen.size === seen.add(name).size;
    switch (name) {
      case "host":
        host = value.toLowerCase();
        break;
      case "connection":
        connection = value.toLowerCase();
        break;
      case "upgrade":
        upgrade = value.toLowerCase();
        break;
      case "te":
        // The one value that HTTP/2 knows (RFC 9113 §8.2.2); it asks for nothing we do.
        if (version !== "2" || value !== "trailers") return "hop-by-hop";
        break;
      case "expect":
        if (value.toLowerCase() !== "100-continue") return "expectation";
        break;
      case "cookie":
        cookies += 1;
        if (version === "2") continue; // may be split there (RFC 9113 §8.2.3)
        break;
    }
    if (repeated && !mayRepeat.has(name)) return "repeated-header";
  }
  const options = connection === "" ? [] : connection.split(",").map((one) => one.trim());
  const wantsUpgrade = upgrade !== "" || options.includes("upgrade");
  if (wantsUpgrade && !(upgrade === "websocket" && options.includes("upgrade"))) return "upgrade";
  // Naming any other field in Connection would ask us to drop it.
  const odd = options.some((one) => one !== "close" && one !== "keep-alive" && one !== "upgrade");
  if (odd || (version === "2" && connection !== "")) return "hop-by-hop"; // RFC 9113 §8.2.2
  return {
    headers: cookies > 1 ? joinCookies(headers) : headers,
    host,
    ...(wantsUpgrade && { upgrade: "websocket" as const }),
  };
}

function joinCookies(headers: HeaderList): HeaderList {
  const whole = headers.filter(([name]) => name === "cookie").map(([, value]) => value);
  return [...headers.filter(([name]) => name !== "cookie"), ["cookie", whole.join("; ")]];
}
