/** Macro strings of SPF records: read once, expanded for each mail (RFC 7208 §7). */

import { accept, type Result, refuse } from "#base/result";

export type MacroLetter = "s" | "l" | "o" | "d" | "i" | "p" | "v" | "h" | "c" | "r" | "t";

interface Expand {
  readonly letter: MacroLetter;
  /** Rightmost labels to keep; 0 keeps all. */
  readonly keep: number;
  readonly reverse: boolean;
  readonly delimiters: string;
  readonly urlEscape: boolean;
}

/** Literal text and expansions in order. */
export type MacroString = readonly (string | Expand)[];

export type MacroFault = "bad-macro" | "bad-character" | "bad-domain";

/** What the letters stand for; "p" only when some string asks for it. */
export type MacroValues = Readonly<Record<MacroLetter, string>>;

const macro = /%(?:\{([slodiphcrtv])(\d*)(r?)([-.+,/_=]*)\}|[%_-])/giy;
const shorthand: Readonly<Record<string, string>> = { "%%": "%", "%_": " ", "%-": "%20" };
const written: Readonly<Record<string, string>> = { "%": "%%", " ": "%_", "%20": "%-" };

/**
 * @param text untrusted
 * @param use "explanation" allows spaces and the letters c, r and t (§7.2)
 */
export function parseMacroString(
  text: string,
  use: "domain" | "explanation",
): Result<MacroString, MacroFault> {
  const odd = (use === "domain" ? /[^!-~]/ : /[^ -~]/).exec(text);
  if (odd !== null) return refuse("bad-character", odd.index);
  const parts: (string | Expand)[] = [];
  let at = 0;
  while (at < text.length) {
    const percent = text.indexOf("%", at);
    const end = percent < 0 ? text.length : percent;
    if (end > at) parts.push(text.slice(at, end));
    if (percent < 0) break;
    macro.lastIndex = percent;
    const match = macro.exec(text);
    if (match === null) return refuse("bad-macro", percent);
    const part = readExpand(match, use);
    if (part === undefined) return refuse("bad-macro", percent);
    parts.push(part);
    at = macro.lastIndex;
  }
  return accept(parts);
}

function readExpand(
  match: RegExpExecArray,
  use: "domain" | "explanation",
): string | Expand | undefined {
  const [whole, letter = "", digits = "", reverse, delimiters = ""] = match;
  if (letter === "") return shorthand[whole];
  const lower = letter.toLowerCase() as MacroLetter;
  if (use === "domain" && "crt".includes(lower)) return undefined;
  if (digits !== "" && !/[1-9]/.test(digits)) return undefined; // §7.1: must not be zero
  return {
    letter: lower,
    keep: Math.min(Number(digits), 128), // no name has more labels
    reverse: reverse !== "",
    delimiters: delimiters === "" ? "." : delimiters,
    urlEscape: letter !== lower,
  };
}

/** As `parseMacroString`, and the end must be a macro or a top label (§7.1, domain-end). */
export function parseDomainSpec(text: string): Result<MacroString, MacroFault> {
  const parsed = parseMacroString(text, "domain");
  if (!parsed.ok) return parsed;
  const last = parsed.value.at(-1);
  if (last === undefined) return refuse("bad-domain", 0);
  if (typeof last !== "string" || /%[%_-]$/.test(text)) return parsed;
  const label = last.split(".");
  if (label.at(-1) === "") label.pop();
  const isDotted = label.length > 1;
  return isDotted && isTopLabel(label.at(-1) ?? "") ? parsed : refuse("bad-domain", 0);
}

function isTopLabel(label: string): boolean {
  return /^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?$/.test(label) && /[A-Za-z-]/.test(label);
}

export function usesLetter(text: MacroString, letter: MacroLetter): boolean {
  return text.some((part) => typeof part !== "string" && part.letter === letter);
}

/** As it is published; spaces that the record wrote as "%_" come back as such. */
export function formatMacroString(text: MacroString): string {
  return text
    .map((part) => {
      if (typeof part === "string")
        return part.replace(/%20|[% ]/g, (mark) => written[mark] ?? mark);
      const { letter, keep, reverse, delimiters, urlEscape } = part;
      const digits = keep === 0 ? "" : String(keep);
      const marks = delimiters === "." ? "" : delimiters;
      const name = urlEscape ? letter.toUpperCase() : letter;
      return `%{${name}${digits}${reverse ? "r" : ""}${marks}}`;
    })
    .join("");
}

/** @param enough the rest is left out when the text has so many characters */
export function expandMacros(text: MacroString, values: MacroValues, enough: number): string {
  let out = "";
  for (const part of text) {
    if (out.length >= enough) break;
    out += expand(part, values);
  }
  return out;
}

function expand(part: string | Expand, values: MacroValues): string {
  if (typeof part === "string") return part;
  let labels = splitAt(values[part.letter], part.delimiters);
  if (part.reverse) labels.reverse();
  if (part.keep > 0) labels = labels.slice(-part.keep);
  const text = labels.join(".");
  return part.urlEscape ? escapeForUrl(text) : text;
}

function splitAt(text: string, delimiters: string): string[] {
  const labels: string[] = [];
  let from = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (!delimiters.includes(text[at] ?? "")) continue;
    labels.push(text.slice(from, at));
    from = at + 1;
  }
  labels.push(text.slice(from));
  return labels;
}

/** §7.3: everything outside the "unreserved" set of RFC 3986. */
function escapeForUrl(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /[!'()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/**
 * A name for the DNS: no closing dot, whole labels cut from the left beyond 253 (§7.3). Read from
 * the end, so that a record full of macros costs no more than the name.
 */
export function expandDomain(text: MacroString, values: MacroValues): string {
  let name = "";
  for (let at = text.length - 1; at >= 0 && name.length < 256; at -= 1) {
    name = expand(text[at] ?? "", values) + name;
  }
  if (name.endsWith(".")) name = name.slice(0, -1);
  if (name.length <= 253) return name;
  const dot = name.indexOf(".", name.length - 254);
  return dot < 0 ? "" : name.slice(dot + 1);
}
