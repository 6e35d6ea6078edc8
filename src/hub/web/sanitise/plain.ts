/** Plain text as a document: links become links, quoted lines are indented (RFC 3676 §4.5). */

import { safeLink } from "./links.ts";
import { escapeText } from "./text.ts";

const maxDepth = 12;
const maxInput = 2_000_000;
const webAddress = /\bhttps?:\/\/[^\s<>"'`\\]{1,2000}/gi;

export function plainTextHtml(input: string): string {
  const out: string[] = [];
  let depth = 0;
  const lines = input.slice(0, maxInput).replace(/\r\n?/g, "\n").split("\n");
  for (const line of lines) {
    const mark = /^(?:>[ ]?){1,64}/.exec(line)?.[0] ?? "";
    const wanted = Math.min(mark.split(">").length - 1, maxDepth);
    for (; depth < wanted; depth += 1) out.push("<blockquote>");
    for (; depth > wanted; depth -= 1) out.push("</blockquote>");
    out.push(`${linked(line.slice(mark.length))}\n`);
  }
  for (; depth > 0; depth -= 1) out.push("</blockquote>");
  return `<div class="plain">${out.join("")}</div>`;
}

function linked(line: string): string {
  let html = "";
  let at = 0;
  for (const found of line.matchAll(webAddress)) {
    const text = found[0].replace(/[.,;:!?)\]}]{1,8}$/, "");
    const href = safeLink(text);
    if (href === undefined) continue;
    html += escapeText(line.slice(at, found.index));
    html += `<a href="${escapeText(href)}" target="_blank" rel="noopener noreferrer nofollow">${escapeText(text)}</a>`;
    at = found.index + text.length;
  }
  return html + escapeText(line.slice(at));
}
