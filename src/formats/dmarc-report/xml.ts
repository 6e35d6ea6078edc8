/**
 * The part of XML 1.0 that reports need: elements, text, comments, CDATA, the five entities and
 * numeric references. Attributes are read over, but for the root's namespace. A DTD is refused, so
 * there are no entities that could grow.
 */

import { accept, type Result, refuse } from "#base/result";

export type XmlFault = "bad-xml" | "doctype" | "entity" | "too-deep" | "too-large";

export interface XmlElement {
  /** Without the prefix, where it is the root's. */
  readonly name: string;
  /** All the text directly inside, without outer white space. */
  readonly text: string;
  readonly children: readonly XmlElement[];
  /** Where it begins. */
  readonly at: number;
}

/** Ours. Reports are five elements deep. */
const maxDepth = 12;
/** Ours: elements inside one child of the root. */
const maxElements = 20_000;
/** Ours: a tag with its attributes, in characters. */
const maxTag = 4096;
/** Ours: text of one element that is kept, in characters. */
const maxText = 4096;

const openTag = /^([A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)(?=[\s/]|$)/;
const closeTag = /^([A-Za-z_][\w.:-]*)\s*$/;
const declaration = /\sxmlns(:[\w.-]+)?\s*=\s*(?:"([^"]*)"|'([^']*)')/g;

type Writable = { name: string; text: string; children: Writable[]; at: number };

interface Open {
  readonly element: Writable;
  /** As written, for the end tag. */
  readonly written: string;
}

/**
 * @param text untrusted; the caller bounds its length
 * @param each gets every child of the root once it is closed; false ends the reading with "bad-xml"
 * @returns name and namespace of the root
 */
export function readXml(
  text: string,
  each: (child: XmlElement) => boolean,
): Result<{ readonly name: string; readonly namespace: string }, XmlFault> {
  const reader = new Reader(text, each);
  return reader.read();
}

class Reader {
  readonly #text: string;
  readonly #each: (child: XmlElement) => boolean;
  readonly #open: Open[] = [];
  #root: { readonly name: string; readonly namespace: string; readonly prefix: string } | undefined;
  #elements = 0;
  #at = 0;

  constructor(text: string, each: (child: XmlElement) => boolean) {
    this.#text = text;
    this.#each = each;
  }

  read(): Result<{ readonly name: string; readonly namespace: string }, XmlFault> {
    if (this.#text.startsWith("\ufeff")) this.#at = 1;
    while (this.#at < this.#text.length) {
      const fault = this.#text[this.#at] === "<" ? this.#markup() : this.#characters();
      if (fault !== undefined) return refuse(fault, this.#at);
    }
    if (this.#root === undefined || this.#open.length > 0) return refuse("bad-xml", this.#at);
    return accept({ name: this.#root.name, namespace: this.#root.namespace });
  }

  #markup(): XmlFault | undefined {
    const text = this.#text;
    const at = this.#at;
    if (text.startsWith("<!--", at)) return this.#skip(4, "-->");
    if (text.startsWith("<?", at)) return this.#skip(2, "?>");
    if (text.startsWith("<![CDATA[", at)) {
      const end = text.indexOf("]]>", at + 9);
      if (end < 0 || this.#open.length === 0) return "bad-xml";
      this.#append(text.slice(at + 9, Math.min(end, at + 9 + maxText)));
      this.#at = end + 3;
      return undefined;
    }
    if (text.startsWith("<!", at)) return "doctype";
    const end = tagEnd(text, at + 1);
    if (end < 0) return "bad-xml";
    const inner = text.slice(at + 1, end);
    const fault = inner.startsWith("/") ? this.#close(inner.slice(1)) : this.#start(inner);
    if (fault === undefined) this.#at = end + 1;
    return fault;
  }

  #skip(length: number, end: string): XmlFault | undefined {
    const found = this.#text.indexOf(end, this.#at + length);
    if (found < 0) return "bad-xml";
    this.#at = found + end.length;
    return undefined;
  }

  #start(inner: string): XmlFault | undefined {
    const found = openTag.exec(inner);
    const local = found?.[2];
    if (found === null || local === undefined) return "bad-xml";
    const prefix = found[1] ?? "";
    if (this.#root === undefined) {
      this.#root = { name: local, namespace: namespaceOf(inner, prefix), prefix };
    } else if (this.#open.length === 0) return "bad-xml"; // a second root
    if (this.#open.length >= maxDepth) return "too-deep";
    this.#elements += 1;
    if (this.#elements > maxElements) return "too-large";
    const name = prefix === this.#root.prefix ? local : prefix + local;
    const element = { name, text: "", children: [], at: this.#at };
    const parent = this.#open.at(-1)?.element;
    if (this.#open.length > 1) parent?.children.push(element); // the root keeps none
    this.#open.push({ element, written: prefix + local });
    return inner.endsWith("/") ? this.#end() : undefined;
  }

  #close(inner: string): XmlFault | undefined {
    const name = closeTag.exec(inner)?.[1];
    return name === undefined || name !== this.#open.at(-1)?.written ? "bad-xml" : this.#end();
  }

  #end(): XmlFault | undefined {
    const closed = this.#open.pop()?.element;
    if (closed === undefined) return "bad-xml";
    closed.text = closed.text.trim();
    if (this.#open.length !== 1) return undefined;
    this.#elements = 1;
    return this.#each(closed) ? undefined : "bad-xml";
  }

  #characters(): XmlFault | undefined {
    const next = this.#text.indexOf("<", this.#at);
    const end = next < 0 ? this.#text.length : next;
    const run = this.#text.slice(this.#at, end);
    if (this.#open.length === 0) {
      if (run.trim() !== "") return "bad-xml";
    } else {
      // Cut before it is decoded; half a reference at the cut is no fault.
      const kept = run.length > maxText ? run.slice(0, maxText).replace(/&[^;&]{0,9}$/, "") : run;
      const decoded = decode(kept);
      if (decoded === undefined) return "entity";
      this.#append(decoded);
    }
    this.#at = end;
    return undefined;
  }

  #append(text: string): void {
    const element = this.#open.at(-1)?.element;
    if (element !== undefined && element.text.length < maxText) {
      element.text = (element.text + text).slice(0, maxText);
    }
  }
}

/** What the root declares for its own prefix, "" when nothing. */
function namespaceOf(tag: string, prefix: string): string {
  for (const [, name = "", double, single] of tag.matchAll(declaration)) {
    if (`${name.slice(1)}${name && ":"}` === prefix) return double ?? single ?? "";
  }
  return "";
}

/** The ">" of a tag, beyond quoted values; -1 when there is none near. */
function tagEnd(text: string, start: number): number {
  const first = text.indexOf(">", start);
  if (first < 0 || first - start > maxTag) return -1;
  if (!/["'<]/.test(text.slice(start, first))) return first;
  let quote = "";
  const last = Math.min(text.length, start + maxTag);
  for (let at = start; at < last; at += 1) {
    const char = text[at] ?? "";
    if (quote !== "") quote = char === quote ? "" : quote;
    else if (char === '"' || char === "'") quote = char;
    else if (char === ">") return at;
    else if (char === "<") return -1;
  }
  return -1;
}

const entities: Readonly<Record<string, string>> = {
  lt: "<",
  gt: ">",
  amp: "&",
  quot: '"',
  apos: "'",
};

/** Undefined when there is another reference than XML itself has. */
function decode(text: string): string | undefined {
  if (!text.includes("&")) return text;
  let isSound = true;
  const decoded = text.replace(/&([^;&]{0,9};)?/g, (_, reference: string | undefined) => {
    const name = reference?.slice(0, -1) ?? "";
    const number = /^#(?:x([0-9a-f]{1,6})|(\d{1,7}))$/i.exec(name);
    if (number === null) {
      const value = Object.hasOwn(entities, name) ? entities[name] : undefined;
      isSound &&= value !== undefined;
      return value ?? "";
    }
    const code = number[1] === undefined ? Number(number[2]) : Number.parseInt(number[1], 16);
    const isCharacter = code <= 0x10_ffff && (code < 0xd800 || code > 0xdfff) && code > 0;
    isSound &&= isCharacter;
    return isCharacter ? String.fromCodePoint(code) : "";
  });
  return isSound ? decoded : undefined;
}

/** Text for an element; what XML 1.0 §2.2 cannot hold becomes a question mark. */
export function escapeXml(text: string): string {
  return text
    .replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "?")
    .replace(/&/g, "&amp;")
    .replace(/</g, "&lt;")
    .replace(/>/g, "&gt;");
}
