/** Header fields in the forms a client asks for (RFC 8621 §4.1.2). */

import { buffer } from "#base/bytes";
import { parseAddressList } from "#formats/address";
import { parseDate } from "#formats/date";
import { decodeWords } from "#formats/encoded-word";
import { type Field, fields, type Header, valueOf } from "#formats/message";
import { messageIds } from "#formats/mime";
import type { MailAddress } from "#model/description";

const forms = [
  "Raw",
  "Text",
  "Addresses",
  "GroupedAddresses",
  "MessageIds",
  "Date",
  "URLs",
] as const;
type Form = (typeof forms)[number];

export interface HeaderProperty {
  readonly name: string;
  readonly form: Form;
  readonly all: boolean;
}

/** Only these may be read as what they are not meant to hold: any form on unknown fields (§4.1.2). */
const meant: Readonly<Record<string, readonly Form[]>> = {
  addresses: ["Raw", "Addresses", "GroupedAddresses"],
  ids: ["Raw", "MessageIds"],
  date: ["Raw", "Date"],
  urls: ["Raw", "URLs"],
  text: ["Raw", "Text"],
};

const kinds: Readonly<Record<string, keyof typeof meant>> = {
  ...Object.fromEntries(
    ["from", "sender", "reply-to", "to", "cc", "bcc"]
      .flatMap((name) => [name, `resent-${name}`])
      .map((name) => [name, "addresses"]),
  ),
  "message-id": "ids",
  "in-reply-to": "ids",
  references: "ids",
  "resent-message-id": "ids",
  date: "date",
  "resent-date": "date",
  "list-help": "urls",
  "list-unsubscribe": "urls",
  "list-subscribe": "urls",
  "list-post": "urls",
  "list-owner": "urls",
  "list-archive": "urls",
  subject: "text",
  comments: "text",
  keywords: "text",
  "list-id": "text",
};

/** Reads `header:Name:asForm:all`; undefined when it is not one, or a form the field cannot have. */
export function parseHeaderProperty(property: string): HeaderProperty | undefined {
  const found = /^header:([\x21-\x39\x3b-\x7e]{1,200})(?::as([A-Za-z]{1,20}))?(:all)?$/.exec(
    property,
  );
  if (found === null) return undefined;
  const name = (found[1] ?? "").toLowerCase();
  const form = forms.find((one) => one === (found[2] ?? "Raw"));
  if (form === undefined) return undefined;
  const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
  if (kind !== undefined && meant[kind]?.includes(form) !== true) return undefined;
  return { name, form, all: found[3] !== undefined };
}

/** The last such field, or all of them from top to bottom. */
export function headerValue(header: Header, property: HeaderProperty): unknown {
  const found = fields(header, property.name);
  if (property.all) return found.map((one) => inForm(header, one, property.form));
  const last = found.at(-1);
  return last === undefined ? null : inForm(header, last, property.form);
}

/** Every field in order, in the Raw form. */
export function rawHeaders(header: Header): readonly { name: string; value: string }[] {
  return header.fields
    .filter((one) => one.name !== "")
    .map((one) => ({ name: one.name, value: rawText(header, one) }));
}

function inForm(header: Header, one: Field, form: Form): unknown {
  switch (form) {
    case "Raw":
      return rawText(header, one);
    case "Text":
      return textForm(valueOf(header, one));
    case "Addresses":
      return parseAddressList(valueOf(header, one)).map(addressForm);
    case "GroupedAddresses":
      return grouped(parseAddressList(valueOf(header, one)));
    case "MessageIds":
      return idsForm(messageIds(valueOf(header, one)));
    case "Date":
      return dateForm(parseDate(valueOf(header, one)));
    case "URLs":
      return urlsForm(valueOf(header, one));
  }
}

/** §4.1.2.1: as it stands, folds included, octets that are not UTF-8 replaced. */
function rawText(header: Header, one: Field): string {
  const value = buffer(header.octets).subarray(one.valueStart, one.valueEnd);
  return value.toString("utf8").replaceAll("\0", "");
}

export function textForm(value: string): string {
  return decodeWords(value).normalize("NFC");
}

export function addressForm(one: MailAddress): { name: string | null; email: string } {
  return { name: one.name, email: one.email };
}

function grouped(list: readonly MailAddress[]): readonly unknown[] {
  const groups: { name: string | null; addresses: unknown[] }[] = [];
  for (const one of list) {
    const name = one.group ?? null;
    const last = groups.at(-1);
    if (last !== undefined && last.name === name) last.addresses.push(addressForm(one));
    else groups.push({ name, addresses: [addressForm(one)] });
  }
  return groups;
}

/** Without their angle brackets (§4.1.2.5). */
export function idsForm(ids: readonly string[]): readonly string[] | null {
  return ids.length === 0 ? null : ids.map((id) => id.slice(1, -1));
}

export function dateForm(ms: number | null): string | null {
  return ms === null || Math.abs(ms) > 8.64e15 ? null : utcDate(ms);
}

/** RFC 8620 §1.4: no fraction when it is zero. */
export function utcDate(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}

function urlsForm(value: string): readonly string[] | null {
  const found = value.match(/<[^<>]{1,2000}>/g) ?? [];
  return found.length === 0 ? null : found.map((one) => one.slice(1, -1).replace(/\s+/g, ""));
}
