/** Domains and addresses as people may see them: what could pass for another is shown in A-labels. */

import { domainToASCII, domainToUnicode } from "node:url";
import { deceptionIn, holdsUnseen, mixesScripts, posesAsLatin } from "./characters.ts";

/**
 * The domain in letters that people read where that deceives nobody, else as it stands in DNS
 * (RFC 5890 §2.3.2.1; UTS 39 §5.2). One doubtful label is enough for the A-labels of all.
 *
 * @param domain untrusted
 */
export function displayDomain(domain: string): string {
  const ascii = /^[\0-\x7f]*$/.test(domain)
    ? domain.toLowerCase()
    : domainToASCII(domain) || domain.toLowerCase();
  if (!/(?:^|\.)xn--/.test(ascii)) return escapeUnseen(ascii);
  const unicode = domainToUnicode(ascii);
  if (unicode === "") return escapeUnseen(ascii);
  const labels = unicode.split(".");
  const isForeign = !/^[\0-\x7f]*$/.test(labels.at(-1) ?? "");
  const isPlain = labels.every((label) => isPlainLabel(label, isForeign));
  return isPlain ? unicode : escapeUnseen(ascii);
}

/** Letters with the marks of European languages; the others of Latin are too easily overlooked. */
const plainLatin = /^[a-z0-9-ß-öø-ÿĀ-İĲ-ķĹ-ĿŁ-ňŊ-žȘ-ț]*$/;

/** @param isForeign the top-level domain is of another script, so that its letters are expected */
function isPlainLabel(label: string, isForeign: boolean): boolean {
  if (label.startsWith("xn--") || holdsUnseen(label) || mixesScripts(label)) return false;
  if (!/^(?:[\p{L}\p{M}\p{Nd}\u30fb-]|\u200c|\u200d)*$/u.test(label)) return false;
  if (/\p{sc=Latin}/u.test(label) && /[^\0-\x7f]/.test(label) && !holdsEastAsian(label)) {
    return plainLatin.test(label);
  }
  return isForeign || !posesAsLatin(label);
}

function holdsEastAsian(label: string): boolean {
  return /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}\p{sc=Bopomofo}]/u.test(label);
}

/** The same for `local@domain`. */
export function displayAddress(address: string): string {
  const at = address.lastIndexOf("@");
  if (at < 0) return displayName(address);
  return `${displayName(address.slice(0, at))}@${displayDomain(address.slice(at + 1))}`;
}

/** A name or a local part; what deceives in it is shown by its number. */
export function displayName(text: string): string {
  if (deceptionIn(text) === "mixed-scripts" || posesAsLatin(text)) {
    return text.replace(/[^ -~]/gu, numbered);
  }
  return escapeUnseen(text);
}

function escapeUnseen(text: string): string {
  if (!holdsUnseen(text)) return text;
  const hides = (letter: string): boolean => holdsUnseen(letter) || /\u200c|\u200d/.test(letter);
  return text.replace(/[^]/gu, (letter) => (hides(letter) ? numbered(letter) : letter));
}

function numbered(letter: string): string {
  return `\\u{${letter.codePointAt(0)?.toString(16) ?? ""}}`;
}
