/** Reads the tokens of one command; after the first fault it stands at the end and stays there (RFC 9051 §9). */

import { Buffer, isUtf8 } from "node:buffer";
import type { RawCommand } from "./reader.ts";

const atomChar = 1;
const listChar = 2;
const bracket = 4;

/** Classes of the octets that may stand unquoted. */
const classes: Uint8Array = Uint8Array.from({ length: 256 }, (_, code) => {
  if (code <= 0x20 || code >= 0x7f) return 0;
  if (code === 0x5d) return bracket; // "]" ends a section, but may stand in an astring
  if (code === 0x25 || code === 0x2a) return listChar; // wildcards
  return '(){"\\'.includes(String.fromCharCode(code)) ? 0 : atomChar;
});

export class Scanner {
  readonly #raw: RawCommand;
  #index = 0;
  #text: string;
  #at = 0;
  /** What was wrong, in words for the client. */
  fault: string | undefined;

  constructor(raw: RawCommand) {
    this.#raw = raw;
    this.#text = raw.lines[0] ?? "";
  }

  fail(fault: string): void {
    this.fault ??= fault;
    this.#index = this.#raw.lines.length - 1;
    this.#text = "";
    this.#at = 0;
  }

  /** Nothing follows, not even a literal. */
  get done(): boolean {
    return this.#at >= this.#text.length && this.#index >= this.#raw.lines.length - 1;
  }

  end(): void {
    if (!this.done) this.fail("Unexpected arguments");
  }

  /** The next character, or "" at a literal or the end. */
  peek(): string {
    return this.#text.charAt(this.#at);
  }

  /** Takes the text if it comes next, without case. */
  skip(text: string): boolean {
    const next = this.#text.slice(this.#at, this.#at + text.length);
    if (next !== text && next.toUpperCase() !== text) return false;
    this.#at += text.length;
    return text.length > 0;
  }

  expect(text: string): void {
    if (!this.skip(text)) this.fail(text === " " ? "Missing argument" : `Expected ${text}`);
  }

  space(): void {
    this.expect(" ");
  }

  /** Atom, as written. */
  atom(): string {
    return this.#run(atomChar, "Expected an atom");
  }

  /** Atom in upper case: a keyword of the protocol. */
  word(): string {
    return this.atom().toUpperCase();
  }

  /** Characters that a fetch item's name has: an atom that stops before "[" and "<". */
  name(): string {
    const from = this.#at;
    while (/[A-Za-z0-9.\-$]/.test(this.peek())) this.#at += 1;
    if (this.#at === from) this.fail("Expected a name");
    return this.#text.slice(from, this.#at).toUpperCase();
  }

  /** @param max larger numbers are faults */
  number(max = 0xffffffff): number {
    const from = this.#at;
    let value = 0;
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (!(code >= 0x30 && code <= 0x39) || this.#at - from > 19) break;
      value = value * 10 + (code - 0x30);
      this.#at += 1;
    }
    if (this.#at === from || value > max) this.fail("Expected a number in range");
    return this.fault === undefined ? value : 0;
  }

  /** A number of up to 64 bits; what no number of ours can reach is the largest of ours. */
  number64(): number {
    return Math.min(this.number(Number.POSITIVE_INFINITY), Number.MAX_SAFE_INTEGER);
  }

  /** Atom, quoted string or literal, as text. */
  astring(): string {
    return this.#startsString()
      ? this.string()
      : this.#run(atomChar | bracket, "Expected a string");
  }

  /** Like an astring, where "%" and "*" need no quotes (RFC 9051 §6.3.9). */
  listMailbox(): string {
    if (this.#startsString()) return this.string();
    return this.#run(atomChar | bracket | listChar, "Expected a pattern");
  }

  /** Quoted string or literal. */
  string(): string {
    if (this.peek() === '"') return this.#quoted();
    const literal = this.#takeLiteral();
    if (literal === undefined) {
      this.fail("Expected a string");
      return "";
    }
    if (literal.includes(0)) this.fail("NUL in a string");
    else if (!isUtf8(literal)) this.fail("Strings are UTF-8");
    return this.fault === undefined ? literal.toString("utf8") : "";
  }

  nstring(): string | null {
    return this.#startsString() ? this.string() : this.#nil();
  }

  /** Everything up to the end of the line, for what has its own syntax. */
  restOfLine(): string {
    const rest = this.#text.slice(this.#at);
    this.#at = this.#text.length;
    return rest;
  }

  /** Items between parentheses, one space apart. `()` is empty. */
  list<Item>(item: () => Item): Item[] {
    const items: Item[] = [];
    this.expect("(");
    if (this.fault !== undefined || this.skip(")")) return items;
    do items.push(item());
    while (this.fault === undefined && this.skip(" "));
    this.expect(")");
    return items;
  }

  #nil(): null {
    this.expect("NIL");
    return null;
  }

  #startsString(): boolean {
    return this.#at >= this.#text.length || this.peek() === '"';
  }

  #run(allowed: number, fault: string): string {
    const from = this.#at;
    while (((classes[this.#text.charCodeAt(this.#at)] ?? 0) & allowed) !== 0) this.#at += 1;
    if (this.#at === from) this.fail(fault);
    return this.#text.slice(from, this.#at);
  }

  #quoted(): string {
    const from = this.#at + 1;
    let at = from;
    let escaped = false;
    for (; at < this.#text.length; at += 1) {
      const code = this.#text.charCodeAt(at);
      if (code === 0x22) break;
      if (code === 0x0d) return this.#badQuoted("CR in a quoted string");
      if (code !== 0x5c) continue;
      const next = this.#text.charAt(at + 1);
      if (next !== '"' && next !== "\\") return this.#badQuoted("Bad escape in a quoted string");
      escaped = true;
      at += 1;
    }
    if (at >= this.#text.length) return this.#badQuoted("Quoted string without its end");
    const inner = this.#text.slice(from, at);
    this.#at = at + 1;
    return this.#utf8(escaped ? inner.replace(/\\(["\\])/g, "$1") : inner);
  }

  #badQuoted(fault: string): string {
    this.fail(fault);
    return "";
  }

  #utf8(text: string): string {
    if (/^[\0-\x7f]*$/.test(text)) return text;
    const octets = Buffer.from(text, "latin1");
    if (isUtf8(octets)) return octets.toString("utf8");
    return this.#badQuoted("Strings are UTF-8");
  }

  #takeLiteral(): Buffer | undefined {
    if (this.#at < this.#text.length) return undefined;
    const literal = this.#raw.literals[this.#index];
    if (literal === undefined || this.#index + 1 >= this.#raw.lines.length) return undefined;
    this.#index += 1;
    this.#text = this.#raw.lines[this.#index] ?? "";
    this.#at = 0;
    return literal;
  }
}
