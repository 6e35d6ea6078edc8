/** The readable text of parts, and the first words of a message. */

import { Buffer } from "node:buffer";
import { decodeCharset } from "#formats/encoded-word";
import type { MimePart } from "#model/description";
import { bodyPartsOf } from "./body-parts.ts";
import { decodeBody } from "./decode.ts";

export function parameterOf(part: MimePart, name: string): string | null {
  return part.parameters.find(([key]) => key === name)?.[1] ?? null;
}

/**
 * A text part as a string: transfer encoding and charset undone, line ends as LF.
 *
 * @param octets the whole message the part's offsets count in
 * @param mostOctets of the encoded body that are looked at
 */
export function textOf(
  octets: Uint8Array,
  part: MimePart,
  mostOctets: number = Number.POSITIVE_INFINITY,
): string {
  const end = Math.min(part.bodyEnd, part.bodyStart + mostOctets);
  return bodyText(octets.subarray(part.bodyStart, end), part);
}

/** The same from the octets of the part's body alone. */
export function bodyText(body: Uint8Array, part: MimePart): string {
  const decoded = decodeBody(body, part.encoding);
  const text = decodeCharset(decoded, charsetOf(part, decoded));
  return text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text;
}

function charsetOf(part: MimePart, decoded: Uint8Array): string | null {
  const given = parameterOf(part, "charset");
  if (given !== null || part.subtype !== "html") return given;
  const head = Buffer.from(decoded.subarray(0, 1024)).toString("latin1");
  return /<meta[^>]{0,200}charset=["']?([A-Za-z0-9_-]{1,40})/i.exec(head)?.[1] ?? null;
}

const previewLength = 256;
const firstOctets = 1024;
const previewOctets = 16_384;

/** White space folded; empty when the message has no text. */
export function previewOf(octets: Uint8Array, root: MimePart): string {
  const { textBody } = bodyPartsOf(root);
  for (const part of textBody) {
    if (part.type !== "text") continue;
    const read = (most: number): string => {
      const raw = textOf(octets, part, most);
      return fold(part.subtype === "html" ? htmlToText(raw) : raw);
    };
    const first = part.subtype === "html" ? "" : read(firstOctets); // nearly always enough
    const text = first.length > previewLength - 30 ? first : read(previewOctets);
    if (text !== "") return text;
  }
  return "";
}

/** @returns at most 256 characters, cut at a word where one ends near */
function fold(text: string): string {
  const folded = text
    .replace(/(?:[\s\p{Cc}\ufffc]|\u034f|(?!\u200d)\p{Cf})+/gu, " ") // a joiner holds emoji together
    .trim();
  if (folded.length <= previewLength) return folded.toWellFormed();
  const cut = folded.slice(0, previewLength);
  const space = cut.lastIndexOf(" ");
  const short = space > previewLength - 30 ? cut.slice(0, space) : cut;
  return short.replace(/[\ud800-\udbff]$/, "");
}

const named: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  nbsp: " ",
  shy: "",
  zwnj: "",
  zwj: "",
  copy: "©",
  reg: "®",
  euro: "€",
  hellip: "…",
  ndash: "–",
  mdash: "—",
  lsquo: "‘",
  rsquo: "’",
  ldquo: "“",
  rdquo: "”",
  bull: "•",
  middot: "·",
  auml: "ä",
  ouml: "ö",
  uuml: "ü",
  Auml: "Ä",
  Ouml: "Ö",
  Uuml: "Ü",
  szlig: "ß",
  eacute: "é",
  egrave: "è",
  agrave: "à",
  ccedil: "ç",
};

/** Elements whose content nobody reads. */
const hidden = new Set(["head", "style", "script", "title", "template", "noscript", "svg"]);
const breaking = /^\/?(p|div|br|tr|li|ul|ol|h[1-6]|table|blockquote|section|article|hr|pre)$/;

/** Text for search and preview, never for display as HTML. Linear; no attempt at layout. */
export function htmlToText(html: string): string {
  const out: string[] = [];
  let at = 0;
  while (at < html.length) {
    const open = html.indexOf("<", at);
    if (open < 0) {
      out.push(html.slice(at));
      break;
    }
    if (open > at) out.push(html.slice(at, open));
    at = skipTag(html, open, out);
  }
  return out.join("").replace(/&(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});?/g, entity);
}

/** Behind the tag at `open`, and behind what it hides. */
function skipTag(html: string, open: number, out: string[]): number {
  if (html.startsWith("<!--", open)) {
    const close = html.indexOf("-->", open + 4);
    return close < 0 ? html.length : close + 3;
  }
  const tag = /^\/?[A-Za-z][A-Za-z0-9]{0,15}/.exec(html.slice(open + 1, open + 18))?.[0];
  if (tag === undefined && html[open + 1] !== "!" && html[open + 1] !== "?") {
    out.push("<");
    return open + 1;
  }
  const close = html.indexOf(">", open);
  if (close < 0) return html.length;
  const name = tag?.toLowerCase() ?? "";
  if (hidden.has(name)) return behindElement(html, name, close + 1);
  if (breaking.test(name)) out.push("\n");
  else if (name === "td" || name === "th" || name === "img") out.push(" ");
  return close + 1;
}

function behindElement(html: string, name: string, from: number): number {
  const end = new RegExp(`</${name}`, "gi");
  end.lastIndex = from;
  const found = end.exec(html);
  if (found === null) return html.length;
  const close = html.indexOf(">", found.index);
  return close < 0 ? html.length : close + 1;
}

function entity(whole: string, name: string): string {
  if (!name.startsWith("#")) return named[name] ?? whole;
  const code = /^#[xX]/.test(name) ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
  return code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff)
    ? String.fromCodePoint(code)
    : " ";
}
