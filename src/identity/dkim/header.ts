/** Canonical header fields (RFC 6376 §3.4.1, §3.4.2) and what of a header a signature covers. */

import { Buffer } from "node:buffer";
import { type Field, type Header, rawField } from "#formats/message";
import type { Form } from "./body.ts";

/** White space that the relaxed form changes, at the least. */
const uneven = /[\t\r\n]| {2}/;

/** @param field name, colon and value, one character an octet; with or without its line break */
export function relaxedField(field: string): string {
  const colon = field.indexOf(":");
  const name = field
    .slice(0, colon)
    .replace(/[ \t]+$/, "")
    .toLowerCase();
  const bare = field.endsWith("\r\n") ? field.slice(colon + 1, -2) : field.slice(colon + 1);
  const value = uneven.test(bare)
    ? bare.replace(/\r?\n/g, "").replace(/ [ \t]+|\t[ \t]*/g, " ")
    : bare;
  const from = value.startsWith(" ") ? 1 : 0;
  const to = value.endsWith(" ") ? value.length - 1 : value.length;
  return `${name}:${value.slice(from, Math.max(from, to))}`;
}

/** Fields of one header in canonical form; each is worked out once. */
export class CanonicalHeader {
  readonly #header: Header;
  readonly #byName = new Map<string, Field[]>();
  readonly #relaxed = new Map<Field, string>();

  constructor(header: Header) {
    this.#header = header;
    for (const field of header.fields) {
      const same = this.#byName.get(field.key);
      if (same === undefined) this.#byName.set(field.key, [field]);
      else same.push(field);
    }
  }

  /** How often a field occurs. @param name in lower case */
  count(name: string): number {
    return this.#byName.get(name)?.length ?? 0;
  }

  /** Without its last line break. */
  field(field: Field, form: Form): string {
    if (form === "simple") return rawText(this.#header, field).replace(/\r?\n$/, "");
    let text = this.#relaxed.get(field);
    if (text === undefined) {
      text = relaxedField(rawText(this.#header, field));
      this.#relaxed.set(field, text);
    }
    return text;
  }

  /**
   * What a signature over the fields of these names signs (RFC 6376 §3.7).
   *
   * @param names in lower case; of several fields of one name, the lowest is meant first (§5.4.2)
   * @param own the signature's own field
   */
  signed(names: readonly string[], own: Field, form: Form): Buffer {
    const used = new Map<string, number>();
    let text = "";
    for (const name of names) {
      const same = this.#byName.get(name);
      if (same === undefined) continue; // oversigned
      const taken = (used.get(name) ?? 0) + 1;
      used.set(name, taken);
      const field = same[same.length - taken];
      if (field !== undefined) text += `${this.field(field, form)}\r\n`;
    }
    return Buffer.from(text + this.unsigned(own, form), "latin1");
  }

  /** A signature's own field, as it was before the signature stood in it. */
  unsigned(own: Field, form: Form): string {
    const text = withoutSignature(rawText(this.#header, own));
    return form === "simple" ? text : relaxedField(text);
  }
}

function rawText(header: Header, field: Field): string {
  return rawField(header, field).toString("latin1");
}

const ownTag = /^[ \t\r\n]*b[ \t\r\n]*=/;

/** §3.5 b=: the value goes, with all space around it; the last line break is not signed (§3.7). */
function withoutSignature(field: string): string {
  const end = field.replace(/\r?\n$/, "").length;
  for (let at = field.indexOf(":") + 1; at <= end; ) {
    const semicolon = field.indexOf(";", at);
    const tagEnd = semicolon < 0 ? end : semicolon;
    const start = ownTag.exec(field.slice(at, tagEnd))?.[0];
    if (start !== undefined) return field.slice(0, at) + start + field.slice(tagEnd, end);
    at = tagEnd + 1;
  }
  return field.slice(0, end);
}
