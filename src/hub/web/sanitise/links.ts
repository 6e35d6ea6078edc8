/** Addresses in messages: which links and images may stay, judged as a browser would read them. */

/** The link in normal form, or undefined. Only what opens a page or a letter (RFC 3986, RFC 6068). */
export function safeLink(text: string): string | undefined {
  // Browsers drop these characters before they look for the scheme (WHATWG URL §4.4).
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is dropped
  const trimmed = text.replace(/[\x00-\x20\x7f]/g, "");
  if (trimmed.length > 8192) return undefined;
  if (/^mailto:[^<>"'`\\]*$/i.test(trimmed)) return trimmed;
  if (!/^https?:\/\//i.test(trimmed)) return undefined;
  const url = URL.parse(trimmed);
  if (url === null || url.host === "") return undefined;
  return url.protocol === "https:" || url.protocol === "http:" ? url.href : undefined;
}

export type ImageSource =
  | { readonly kind: "inline"; readonly contentId: string }
  | { readonly kind: "data"; readonly url: string }
  | { readonly kind: "remote"; readonly url: string }
  | { readonly kind: "nothing" };

/** Pixels only: an SVG is a document. */
const dataImage = /^data:image\/(?:png|gif|jpeg|webp);base64,[A-Za-z0-9+/]*={0,2}$/;

export function imageSource(text: string): ImageSource {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is dropped
  const trimmed = text.replace(/[\x00-\x20\x7f]/g, "");
  if (/^cid:/i.test(trimmed)) return { kind: "inline", contentId: trimmed.slice(4) };
  if (/^data:/i.test(trimmed)) {
    return dataImage.test(trimmed) ? { kind: "data", url: trimmed } : { kind: "nothing" };
  }
  // "//host/x" and "\\host\x" would be fetched too.
  const absolute = trimmed.replace(/^(?:https?:)?[\\/]{2}/i, (found) =>
    found.startsWith("h") ? `${found.slice(0, -2)}//` : "https://",
  );
  const url = safeLink(absolute);
  return url?.startsWith("http") ? { kind: "remote", url } : { kind: "nothing" };
}
