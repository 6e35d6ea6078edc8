/**
 * HTML as a browser would cut it into tags and text (WHATWG HTML §13.2.5), in one linear pass.
 * Where this cut could differ from a browser's, the caller's re-serialising makes it not matter.
 */

export interface Attribute {
  /** Lower case. */
  readonly name: string;
  /** Character references not yet decoded. */
  readonly raw: string;
}

export type Token =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "open"; readonly name: string; readonly attributes: readonly Attribute[] }
  | { readonly kind: "close"; readonly name: string };

/** Their content is not markup; it ends at their own end tag only. */
const rawText = new Set([
  ...["script", "style", "xmp", "iframe", "noembed", "noframes", "noscript"],
  ...["title", "textarea"],
]);

const maxAttributes = 64;
const isLetter = (code: number): boolean => (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a;
const isSpace = (code: number): boolean =>
  code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0c || code === 0x0d;

/** Content of raw text elements is left out. */
export function* tokensOf(html: string): Generator<Token> {
  let at = 0;
  while (at < html.length) {
    const less = html.indexOf("<", at);
    if (less < 0) {
      yield { kind: "text", text: html.slice(at) };
      return;
    }
    const next = html.charCodeAt(less + 1);
    const after = html.charCodeAt(less + 2);
    const closing = next === 0x2f && isLetter(after);
    if (!isLetter(next) && !closing) {
      const end = skipDeclaration(html, less);
      if (end === undefined) {
        yield { kind: "text", text: html.slice(at, less + 1) }; // a "<" that is only a "<"
        at = less + 1;
        continue;
      }
      if (less > at) yield { kind: "text", text: html.slice(at, less) };
      at = end;
      continue;
    }
    if (less > at) yield { kind: "text", text: html.slice(at, less) };
    const tag = readTag(html, less + (closing ? 2 : 1));
    at = tag.end;
    if (!tag.complete) return; // a tag that never ends is no tag (§13.2.5, eof-in-tag)
    if (closing) yield { kind: "close", name: tag.name };
    else {
      yield { kind: "open", name: tag.name, attributes: tag.attributes };
      if (tag.name === "plaintext") return;
      if (rawText.has(tag.name)) {
        at = endOfRaw(html, at, tag.name);
        yield { kind: "close", name: tag.name };
      }
    }
  }
}

/** Behind a comment, doctype or processing instruction; undefined when there is none. */
function skipDeclaration(html: string, at: number): number | undefined {
  const next = html[at + 1];
  if (next !== "!" && next !== "?" && next !== "/") return undefined;
  if (next === "/" && at + 2 >= html.length) return undefined;
  if (html.startsWith("<!--", at)) {
    // "<!-->" and "<!--->" are whole comments (§13.2.5.43).
    const short = /^-?>/.exec(html.slice(at + 4, at + 6));
    if (short !== null) return at + 4 + short[0].length;
    const end = html.indexOf("--", at + 4);
    for (let dash = end; dash >= 0; dash = html.indexOf("--", dash + 1)) {
      if (html[dash + 2] === ">") return dash + 3;
      if (html.startsWith("--!>", dash)) return dash + 4;
    }
    return html.length;
  }
  const end = html.indexOf(">", at);
  return end < 0 ? html.length : end + 1;
}

interface Tag {
  readonly name: string;
  readonly attributes: readonly Attribute[];
  readonly end: number;
  readonly complete: boolean;
}

function readTag(html: string, from: number): Tag {
  let at = from;
  while (at < html.length && !endsName(html.charCodeAt(at))) at += 1;
  const name = html.slice(from, Math.min(at, from + 64)).toLowerCase();
  const attributes: Attribute[] = [];
  const seen = new Set<string>();
  while (at < html.length) {
    const code = html.charCodeAt(at);
    if (code === 0x3e) return { name, attributes, end: at + 1, complete: true };
    if (isSpace(code) || code === 0x2f) {
      at += 1;
      continue;
    }
    const read = readAttribute(html, at);
    at = read.end;
    // The first of a name counts (§13.2.5.33).
    if (!seen.has(read.name) && attributes.length < maxAttributes) {
      seen.add(read.name);
      attributes.push({ name: read.name, raw: read.raw });
    }
  }
  return { name, attributes, end: at, complete: false };
}

function endsName(code: number): boolean {
  return isSpace(code) || code === 0x2f || code === 0x3e;
}

function readAttribute(html: string, from: number): Attribute & { readonly end: number } {
  let at = from + 1; // even a "=" first belongs to the name (§13.2.5.32)
  while (at < html.length && !endsName(html.charCodeAt(at)) && html[at] !== "=") at += 1;
  const name = html.slice(from, Math.min(at, from + 64)).toLowerCase();
  let value = at;
  while (value < html.length && isSpace(html.charCodeAt(value))) value += 1;
  if (html[value] !== "=") return { name, raw: "", end: at };
  value += 1;
  while (value < html.length && isSpace(html.charCodeAt(value))) value += 1;
  const quote = html[value];
  if (quote === '"' || quote === "'") {
    const end = html.indexOf(quote, value + 1);
    const stop = end < 0 ? html.length : end;
    return { name, raw: html.slice(value + 1, stop), end: Math.min(stop + 1, html.length) };
  }
  let end = value;
  while (end < html.length && !isSpace(html.charCodeAt(end)) && html[end] !== ">") end += 1;
  return { name, raw: html.slice(value, end), end };
}

/** Behind the end tag of a raw text element, or the end of everything. */
function endOfRaw(html: string, from: number, name: string): number {
  for (let at = html.indexOf("</", from); at >= 0; at = html.indexOf("</", at + 2)) {
    const stop = at + 2 + name.length;
    if (html.slice(at + 2, stop).toLowerCase() !== name) continue;
    if (stop < html.length && !endsName(html.charCodeAt(stop))) continue;
    const end = html.indexOf(">", stop);
    return end < 0 ? html.length : end + 1;
  }
  return html.length;
}
