/**
 * Foreign HTML made harmless: cut into tokens, matched against lists, written anew. The output
 * holds only what this file writes; the frame that shows it runs no script either (W15, W17).
 */

import { attributes, dropAlone, dropWhole, elements, empty } from "./elements.ts";
import { imageSource, safeLink } from "./links.ts";
import { filterStyle } from "./style.ts";
import { cleanText, decodeReferences, escapeText } from "./text.ts";
import { type Attribute, tokensOf } from "./tokens.ts";

export interface SanitiseOptions {
  /** Keep images from elsewhere: the reader asked for them. */
  readonly remoteImages: boolean;
  /** A `data:` URL for a Content-ID of this message, when there is such a picture. */
  inlineImage(contentId: string): string | undefined;
}

export interface Sanitised {
  readonly html: string;
  /** References that would have made the reader's browser fetch something. */
  readonly remoteCount: number;
}

/** Deeper ones lose their tags, not their text: browsers cut at 512. */
const maxDepth = 128;
/** Ours: what a person reads is shorter. In UTF-16 units. */
const maxInput = 4_000_000;

export function sanitiseHtml(input: string, options: SanitiseOptions): Sanitised {
  const out: string[] = [];
  const open: string[] = [];
  let remoteCount = 0;
  let dropping: { readonly name: string; depth: number } | undefined;
  for (const token of tokensOf(input.slice(0, maxInput))) {
    if (dropping !== undefined) {
      if (token.kind === "text" || token.name !== dropping.name) continue;
      dropping.depth += token.kind === "open" ? 1 : -1;
      if (dropping.depth === 0) dropping = undefined;
      continue;
    }
    if (token.kind === "text") {
      out.push(cleanText(token.text));
      continue;
    }
    const { name } = token;
    if (token.kind === "open") {
      remoteCount += remoteIn(name, token.attributes);
      if (dropWhole.has(name)) {
        if (!dropAlone.has(name)) dropping = { name, depth: 1 };
        continue;
      }
      if (!elements.has(name) || open.length >= maxDepth) continue;
      out.push(openTag(name, token.attributes, options));
      if (!empty.has(name)) open.push(name);
    } else if (elements.has(name) && !empty.has(name)) closeTag(name, open, out);
  }
  while (open.length > 0) out.push(`</${open.pop()}>`);
  return { html: out.join(""), remoteCount };
}

/** Closes what is open inside it too; an end tag without a beginning is left out. */
function closeTag(name: string, open: string[], out: string[]): void {
  const at = open.lastIndexOf(name);
  if (at < 0) return;
  while (open.length > at) out.push(`</${open.pop()}>`);
}

function openTag(name: string, given: readonly Attribute[], options: SanitiseOptions): string {
  const values = new Map(given.map(({ name: key, raw }) => [key, decodeReferences(raw)]));
  if (name === "img") return image(values, options);
  let tag = `<${name}${plainAttributes(values)}`;
  if (name === "a") {
    const href = safeLink(values.get("href") ?? "");
    if (href !== undefined) {
      tag += ` href="${escapeText(href)}" target="_blank" rel="noopener noreferrer nofollow"`;
    }
  }
  return `${tag}>`;
}

function plainAttributes(values: ReadonlyMap<string, string>): string {
  let text = "";
  for (const [key, value] of values) {
    if (key === "style") {
      const { style } = filterStyle(value);
      if (style !== "") text += ` style="${escapeText(style)}"`;
    } else if (attributes.get(key)?.test(value)) text += ` ${key}="${escapeText(value)}"`;
  }
  return text;
}

function image(values: ReadonlyMap<string, string>, options: SanitiseOptions): string {
  const source = imageSource(values.get("src") ?? "");
  const url =
    source.kind === "inline"
      ? options.inlineImage(source.contentId)
      : source.kind === "data" || (source.kind === "remote" && options.remoteImages)
        ? source.url
        : undefined;
  if (url !== undefined) {
    return `<img${plainAttributes(values)} src="${escapeText(url)}" referrerpolicy="no-referrer">`;
  }
  const alt = (values.get("alt") ?? "").trim().slice(0, 200);
  return alt === "" ? "" : `<span class="no-image">${escapeText(alt)}</span>`;
}

const fetching = new Set([
  ...["src", "srcset", "background", "poster", "data", "lowsrc", "dynsrc", "xlink:href"],
  ...["action", "formaction", "ping", "code", "codebase", "archive", "longdesc", "manifest"],
]);

/** How many references of a tag would fetch something, for the bar that says so. */
function remoteIn(name: string, given: readonly Attribute[]): number {
  let count = 0;
  for (const { name: key, raw } of given) {
    const value = raw.length > 0 ? decodeReferences(raw) : "";
    if (key === "style") count += filterStyle(value).remote ? 1 : 0;
    else if (fetching.has(key) || (key === "href" && (name === "link" || name === "image"))) {
      count += imageSource(value).kind === "remote" ? 1 : 0;
    }
  }
  return count;
}
