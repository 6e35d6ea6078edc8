/**
 * The one author of a message, or the reason why there is not one (RFC 5322 §3.6.2; VU#517845).
 *
 * Every reader of mail parses From in its own way, and whoever forges mail looks for a form of which
 * the checks see one address and the person another. So there is an author only where the strictest
 * reading and the most forgiving ones find the same address.
 */

import { isUtf8 } from "node:buffer";
import { buffer } from "#base/bytes";
import { parseAddressList, parseMailbox } from "#formats/address";
import { decodeCharset, decodeWords } from "#formats/encoded-word";
import { type Field, type Header, valueOf } from "#formats/message";
import type { MailAddress } from "#model/description";

export type Author =
  | {
      readonly kind: "one";
      /** Local part as written, "@", and the domain. */
      readonly address: string;
      readonly localPart: string;
      /** A-labels, lower case. */
      readonly domain: string;
      /** Display name, decoded (RFC 2047), or null. */
      readonly name: string | null;
    }
  | {
      /** "unreadable": different programs may read different addresses. */
      readonly kind: "none" | "several" | "unreadable";
      /** One sentence. */
      readonly why: string;
      /** What a forgiving program may show, at most 20. */
      readonly shown: readonly MailAddress[];
    };

/** Ours: no honest From comes near. In octets. */
const maxValue = 10_000;
const maxShown = 20;

export function readAuthor(header: Header): Author {
  const found = header.fields.filter((one) => one.key === "from");
  const shown = found
    .flatMap((one) => parseAddressList(valueOf(header, one).slice(0, maxValue)))
    .slice(0, maxShown);
  const no = (kind: "none" | "several" | "unreadable", why: string): Author => ({
    kind,
    why,
    shown,
  });

  if (header.truncated) return no("unreadable", "The header is too long to be read whole.");
  if (hidesFrom(header)) return no("unreadable", "A From field is written in an odd way.");
  const [only] = found;
  if (only === undefined) return no("none", "There is no From field.");
  if (found.length > 1) return no("several", `There are ${found.length} From fields.`);
  if (shown.length > 1) return no("several", "The From field names more than one address.");
  const text = plainText(header, only);
  if (text === null) {
    return no("unreadable", "The From field is too long or holds octets that do not belong there.");
  }
  if (shown.every((one) => one.email === "")) return no("none", "The From field names no address.");
  const address = strictAddress(text);
  if (address === null) return no("unreadable", "The From field is not written as one address.");
  if (shown[0]?.email !== address || !staysSame(text, address)) {
    return no("unreadable", "Different programs read different addresses in the From field.");
  }
  // Octets that are not UTF-8 are read by guess, which will do for a name but for no address.
  const utf8 = isUtf8(header.octets.subarray(only.valueStart, only.valueEnd));
  const parsed = parseMailbox(address, utf8);
  if (!parsed.ok || parsed.value.endsWith("]")) {
    return no("unreadable", "The address in the From field is not valid.");
  }
  const localPart = address.slice(0, address.lastIndexOf("@"));
  const domain = parsed.value.slice(parsed.value.lastIndexOf("@") + 1);
  const name = shown[0].name;
  if (name !== null && control.test(name)) {
    return no("unreadable", "The name in the From field holds control characters.");
  }
  return { kind: "one", address: `${localPart}@${domain}`, localPart, domain, name };
}

/** Anything but a plain "From:" at the start of a field that some program may take for it. */
function hidesFrom(header: Header): boolean {
  const bytes = buffer(header.octets);
  const hasBareCr = bareCr.test(bytes.toString("latin1", header.start, header.end));
  return header.fields.some((one) => {
    const isPlain = plainName.test(one.name);
    if (isPlain && !hasBareCr) {
      return one.key === "from" && bytes[one.start + one.name.length] !== 0x3a;
    }
    const text = bytes.toString("latin1", one.start, one.end);
    // Some programs end a line at a bare CR; some take the continuation of no field for one.
    const pieces = [text, ...text.split(isPlain ? /\r(?!\n)/ : /\r\n|\r|\n/)];
    return pieces.some((piece, place) => seemsFrom(piece) && !(place < 2 && /^from:/i.test(piece)));
  });
}

const plainName = /^[!-~]+$/;

const bareCr = /\r(?!\n)/;

/** Is it "From:" to whoever skips white space, controls and 8-bit octets? */
function seemsFrom(line: string): boolean {
  const colon = line.indexOf(":");
  if (colon < 4 || colon > 998) return false;
  return (
    line
      .slice(0, colon)
      .replace(/[^!-~]+/g, "")
      .toLowerCase() === "from"
  );
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const control = /[\0-\x08\n-\x1f\x7f-\x9f]/;

/** The value without folds; null when it holds a control, a bare CR or an empty fold. */
function plainText(header: Header, one: Field): string | null {
  const octets = header.octets.subarray(one.valueStart, one.valueEnd);
  if (octets.length > maxValue) return null;
  const text = decodeCharset(octets);
  const lines = text.split(/\r?\n/);
  // An empty line of white space ends the header for some programs.
  if (lines.slice(1).some((line) => line.trim() === "")) return null;
  const joined = lines.join("");
  return control.test(joined) ? null : joined;
}

/** RFC 5322 §3.4 without its obsolete forms, but for the dot in a name, which everybody writes. */
const shapes = {
  space: /[ \t]+/y,
  /** Flat and without anything that could be taken for an address. */
  comment: /\([^()<>@\\]*\)/y,
  word: /[^ \t()<>[\]:;@\\,"]+|"(?:[^"\\]|\\[^])*"/y,
  angle: /<([^<> \t]+)>/y,
  dotAtom: /[^ \t()<>[\]:;@\\,"]+@[^ \t()<>[\]:;@\\,"]+/y,
} as const;
/** A quoted local part is read in too many ways; nobody who can be reached has one. */
const wholeDotAtom = /^[^ \t()<>[\]:;@\\,"]+@[^ \t()<>[\]:;@\\,"]+$/;

/** The address as written, or null when anything is there that does not belong. */
function strictAddress(text: string): string | null {
  let at = 0;
  const take = (shape: RegExp): string | null => {
    shape.lastIndex = at;
    const found = shape.exec(text);
    if (found === null) return null;
    at = shape.lastIndex;
    return found[1] ?? found[0];
  };
  const skip = (): void => {
    while (take(shapes.space) !== null || take(shapes.comment) !== null);
  };
  skip();
  let address = take(shapes.dotAtom);
  if (address === null) {
    while (take(shapes.word) !== null) skip();
    address = take(shapes.angle);
  }
  skip();
  if (address === null || at < text.length || address.includes("=?")) return null;
  return wholeDotAtom.test(address) ? address : null;
}

/** Some programs decode words first, and some see through quotes: no address may come of that. */
function staysSame(text: string, address: string): boolean {
  const decoded = decodeWords(text);
  const forms = new Set([decoded, decoded.replace(/["\\]/g, "")]);
  forms.delete(text); // in that form the address was found, and nothing else
  return [...forms].every((form) =>
    parseAddressList(form).every(({ email }) => !email.includes("@") || email === address),
  );
}
