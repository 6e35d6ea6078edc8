/** What FETCH asks for (RFC 9051 §6.4.5, RFC 3501 §6.4.5, RFC 7162, RFC 8474, RFC 8970). */

import type { Scanner } from "./scanner.ts";

/** Part of a message: `1.2.HEADER.FIELDS (FROM)`. */
export interface Section {
  readonly path: readonly number[];
  readonly text: "" | "HEADER" | "HEADER.FIELDS" | "HEADER.FIELDS.NOT" | "TEXT" | "MIME";
  /** Field names as written. */
  readonly fields: readonly string[];
}

export interface Partial {
  readonly start: number;
  readonly count: number;
}

export type SimpleItem =
  | "FLAGS"
  | "UID"
  | "INTERNALDATE"
  | "RFC822.SIZE"
  | "ENVELOPE"
  | "BODY"
  | "BODYSTRUCTURE"
  | "MODSEQ"
  | "EMAILID"
  | "THREADID"
  | "PREVIEW";

export interface SectionItem {
  readonly kind: "section" | "binary" | "binary-size";
  /** Name in the response, without the partial: `BODY[1.MIME]`. */
  readonly label: string;
  readonly section: Section;
  readonly partial?: Partial;
  readonly marksSeen: boolean;
}

export type FetchItem = { readonly kind: "simple"; readonly name: SimpleItem } | SectionItem;

const simpleItems: ReadonlySet<string> = new Set<SimpleItem>([
  "FLAGS",
  "UID",
  "INTERNALDATE",
  "RFC822.SIZE",
  "ENVELOPE",
  "BODYSTRUCTURE",
  "MODSEQ",
  "EMAILID",
  "THREADID",
]);

const fast = ["FLAGS", "INTERNALDATE", "RFC822.SIZE"] as const;
const macros: Readonly<Record<string, readonly SimpleItem[]>> = {
  FAST: fast,
  ALL: [...fast, "ENVELOPE"],
  FULL: [...fast, "ENVELOPE", "BODY"],
};

const simple = (name: SimpleItem): FetchItem => ({ kind: "simple", name });

const whole = { path: [], fields: [] } as const;
/** Spellings of RFC 3501 for sections. */
const old: Readonly<Record<string, SectionItem>> = {
  RFC822: { kind: "section", label: "RFC822", section: { ...whole, text: "" }, marksSeen: true },
  "RFC822.HEADER": {
    kind: "section",
    label: "RFC822.HEADER",
    section: { ...whole, text: "HEADER" },
    marksSeen: false,
  },
  "RFC822.TEXT": {
    kind: "section",
    label: "RFC822.TEXT",
    section: { ...whole, text: "TEXT" },
    marksSeen: true,
  },
};

/** Our limit: no client asks for more at once. */
const maxItems = 200;

/** A macro, one item, or a list of items. */
export function readFetchItems(scanner: Scanner): FetchItem[] {
  if (scanner.peek() === "(") {
    const items = scanner.list(() => readItem(scanner, scanner.name()));
    if (items.length === 0 || items.length > maxItems) scanner.fail("Bad list of items");
    return items;
  }
  const name = scanner.name();
  const macro = macros[name];
  return macro !== undefined ? macro.map(simple) : [readItem(scanner, name)];
}

function readItem(scanner: Scanner, name: string): FetchItem {
  if (simpleItems.has(name)) return simple(name as SimpleItem);
  const oldItem = old[name];
  if (oldItem !== undefined) return oldItem;
  switch (name) {
    case "BODY":
    case "BODY.PEEK":
      if (name === "BODY" && scanner.peek() !== "[") return simple("BODY");
      return readSectionItem(scanner, "section", name === "BODY");
    case "BINARY":
    case "BINARY.PEEK":
      return readSectionItem(scanner, "binary", name === "BINARY");
    case "BINARY.SIZE":
      return readSectionItem(scanner, "binary-size", false);
    case "PREVIEW":
      if (scanner.skip(" (")) scanner.expect("LAZY)"); // RFC 8970 §3.1: we always have it
      return simple("PREVIEW");
    default:
      scanner.fail("Unknown fetch item");
      return simple("FLAGS");
  }
}

function readSectionItem(
  scanner: Scanner,
  kind: SectionItem["kind"],
  marksSeen: boolean,
): SectionItem {
  scanner.expect("[");
  const section = readSection(scanner, kind === "section");
  scanner.expect("]");
  const partial = kind === "binary-size" ? undefined : readPartial(scanner);
  const name = kind === "section" ? "BODY" : kind === "binary" ? "BINARY" : "BINARY.SIZE";
  const label = `${name}[${formatSection(section)}]`;
  return { kind, label, section, marksSeen, ...(partial && { partial }) };
}

function readSection(scanner: Scanner, mayNameText: boolean): Section {
  const path: number[] = [];
  while (/[0-9]/.test(scanner.peek())) {
    const part = scanner.number();
    if (part === 0 || path.length >= 100) scanner.fail("Bad part number");
    path.push(part);
    if (!scanner.skip(".")) return { path, text: "", fields: [] };
  }
  if (scanner.peek() === "]") {
    if (path.length > 0) scanner.fail("Bad section");
    return { path, text: "", fields: [] };
  }
  const text = scanner.name();
  if (!mayNameText || !isText(text) || (text === "MIME" && path.length === 0)) {
    scanner.fail("Bad section");
    return { path, text: "", fields: [] };
  }
  if (!text.startsWith("HEADER.")) return { path, text, fields: [] };
  scanner.space();
  const fields = scanner.list(() => scanner.astring());
  if (fields.length === 0 || !fields.every((field) => /^[\x21-\x39\x3b-\x7e]+$/.test(field))) {
    scanner.fail("Bad field names");
  }
  return { path, text, fields };
}

function isText(text: string): text is Exclude<Section["text"], ""> {
  return ["HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME"].includes(text);
}

function readPartial(scanner: Scanner): Partial | undefined {
  if (!scanner.skip("<")) return undefined;
  const start = scanner.number64();
  scanner.expect(".");
  const count = scanner.number64();
  if (count === 0) scanner.fail("A partial has at least one octet");
  scanner.expect(">");
  return { start, count };
}

function formatSection({ path, text, fields }: Section): string {
  const names = fields.length === 0 ? "" : ` (${fields.map(formatField).join(" ")})`;
  return `${path.join(".")}${path.length > 0 && text !== "" ? "." : ""}${text}${names}`;
}

function formatField(field: string): string {
  return /^[A-Za-z0-9-]+$/.test(field)
    ? field.toUpperCase()
    : `"${field.replace(/["\\]/g, "\\$&")}"`;
}
