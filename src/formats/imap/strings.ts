/** Strings, flags and dates as the server writes them (RFC 9051 §4, §9). */

import { Buffer } from "node:buffer";
import { encodeWords } from "#formats/encoded-word";

/** Quoted where that is possible in every revision, otherwise a literal; null is NIL. */
export function formatString(text: string | null): string {
  if (text === null) return "NIL";
  // Longer ones are literals too: some clients have short line buffers.
  if (text.length <= 1024 && /^[\x20-\x7e\t]*$/.test(text)) return formatQuoted(text);
  const clean = text.replaceAll("\0", "");
  return `{${Buffer.byteLength(clean)}}\r\n${clean}`;
}

/** @param text without CR, LF and NUL */
export function formatQuoted(text: string): string {
  if (!text.includes('"') && !text.includes("\\")) return `"${text}"`;
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

const controls: RegExp = new RegExp("[\\u0000-\\u001f\\u007f]", "g");

/**
 * Header text for ENVELOPE and BODYSTRUCTURE: ASCII as it is, the rest as encoded words (RFC 2047
 * §2), which a client of any revision reads.
 */
export function formatHeaderText(text: string | null): string {
  if (text === null) return "NIL";
  const clean = text.replace(controls, " ");
  return formatString(/^[\x20-\x7e]*$/.test(clean) ? clean : encodeWords(clean));
}

const systemFlags = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"] as const;

/** The system flags a client may set, in the standard's spelling (RFC 9051 §2.3.2). */
export const settableFlags: readonly string[] = systemFlags;

/** A flag in the standard's spelling, or undefined for a system flag that nobody may set. */
export function canonicalFlag(flag: string): string | undefined {
  if (!flag.startsWith("\\")) return flag;
  const lower = flag.toLowerCase();
  return systemFlags.find((known) => known.toLowerCase() === lower);
}

export function formatFlags(flags: readonly string[], recent = false): string {
  const text = flags.join(" ");
  if (!recent) return `(${text})`;
  return text === "" ? "(\\Recent)" : `(${text} \\Recent)`;
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec";

/** `1-Feb-1994` as its first millisecond in UTC, or undefined (RFC 9051 §9 date). */
export function parseDay(text: string): number | undefined {
  const found = /^(\d{1,2})-([A-Za-z]{3})-(\d{4})$/.exec(text);
  if (found === null) return undefined;
  const [, day = "", month = "", year = ""] = found;
  const name = month.charAt(0).toUpperCase() + month.slice(1).toLowerCase();
  const index = months.indexOf(name);
  if (index < 0 || index % 3 !== 0) return undefined;
  const at = Date.UTC(Number(year), index / 3, Number(day));
  return new Date(at).getUTCDate() === Number(day) ? at : undefined;
}
