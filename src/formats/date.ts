/** Dates of mail: RFC 5322 §3.3 with the obsolete forms of §4.3, and IMAP date-time (RFC 9051 §9). */

const days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;
const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** Our limit; comments and padding included. */
const maxLength = 200;
/** The moments a Date can hold and a four-digit year can write. */
const latestMs = Date.UTC(9999, 11, 31, 23, 59, 59);

/** Always in UTC: where a server stands is nobody's business. */
export function formatDate(ms: number): string {
  const at = new Date(ms);
  const day = `${days[at.getUTCDay()]}, ${at.getUTCDate()} ${months[at.getUTCMonth()]}`;
  return `${day} ${year(at)} ${time(at)} +0000`;
}

/** `dd-Mmm-yyyy hh:mm:ss +0000` without its quotes, a space in place of a leading zero. */
export function formatInternalDate(ms: number): string {
  const at = new Date(ms);
  const day = String(at.getUTCDate()).padStart(2, " ");
  return `${day}-${months[at.getUTCMonth()]}-${year(at)} ${time(at)} +0000`;
}

const dayFirst =
  /^(?:[a-z]{2,9}\.?,? ?)?(\d{1,2})[ -]([a-z]{3})[a-z]{0,6}\.?[ -](\d{2,4}),? (\d{1,2})[:.](\d{2})(?:[:.](\d{2})(?:[.,]\d{1,9})?)?(?: ?([+-]\d{4}|[a-z]{1,5}))?/i;
/** asctime(), as old software writes: "Sat Nov 21 18:57:43 2026". */
const monthFirst =
  /^(?:[a-z]{2,9}\.?,? )?([a-z]{3})[a-z]{0,6} (\d{1,2}),? (?:(\d{4}),? )?(\d{1,2}):(\d{2})(?::(\d{2}))?(?: ([+-]\d{4}|[a-z]{1,5}))?(?: (\d{4}))?/i;

/** RFC 5322 §4.3; other names and the military letters mean "unknown", which is +0000. */
const zones: Readonly<Record<string, number>> = {
  EST: -300,
  EDT: -240,
  CST: -360,
  CDT: -300,
  MST: -420,
  MDT: -360,
  PST: -480,
  PDT: -420,
};

/** @returns milliseconds since 1970 UTC, or null when no date can be read. Untrusted text. */
export function parseDate(text: string): number | null {
  if (text.length > maxLength) return null;
  const plain = withoutComments(text)
    .replace(/[ \t\r\n]+/g, " ")
    .replace(/ ?: ?/g, ":")
    .replace(/ ?, ?/g, ", ")
    .trim();
  const found = dayFirst.exec(plain);
  if (found !== null) {
    const [, day, month, yearText, hour, minute, second, zone] = found;
    return moment([yearText, month, day, hour, minute, second], zone);
  }
  const other = monthFirst.exec(plain);
  if (other === null) return null;
  const [, month, day, early, hour, minute, second, zone, late] = other;
  return moment([early ?? late, month, day, hour, minute, second], zone);
}

const internalDate = /^"?([ \d]\d)-([a-z]{3})-(\d{4}) (\d{2}):(\d{2}):(\d{2}) ([+-]\d{4})"?$/i;

/** Strict, with or without the quotes. */
export function parseInternalDate(text: string): number | null {
  const found = internalDate.exec(text);
  if (found === null) return null;
  const [, day, month, yearText, hour, minute, second, zone] = found;
  return moment([yearText, month, day, hour, minute, second], zone);
}

type Part = string | undefined;

function moment(
  [yearText, monthName, day, hour, minute, second]: readonly Part[],
  zone: Part,
): number | null {
  const month = months.findIndex((name) => name.toLowerCase() === monthName?.toLowerCase());
  if (yearText === undefined || month < 0) return null;
  const offset = offsetMinutes(zone);
  const fields = [Number(day), Number(hour), Number(minute), Number(second ?? 0)] as const;
  if (offset === null || fields[1] > 23 || fields[2] > 59 || fields[3] > 60) return null;
  const midnight = new Date(0).setUTCFullYear(fullYear(yearText), month, fields[0]);
  if (new Date(midnight).getUTCDate() !== fields[0]) return null; // 31 February
  const second59 = Math.min(fields[3], 59); // a leap second has no number of its own
  const ms = midnight + ((fields[1] * 60 + fields[2] - offset) * 60 + second59) * 1000;
  return Math.abs(ms) <= latestMs ? ms : null;
}

/** RFC 5322 §4.3: two digits from 50 on, and three digits, count from 1900. */
function fullYear(text: string): number {
  const value = Number(text);
  if (text.length === 2) return value < 50 ? 2000 + value : 1900 + value;
  return text.length === 3 ? 1900 + value : value;
}

function offsetMinutes(zone: Part): number | null {
  if (zone === undefined) return 0;
  const digits = /^([+-])(\d{2})(\d{2})$/.exec(zone);
  if (digits === null) return zones[zone.toUpperCase()] ?? 0;
  const minutes = Number(digits[2]) * 60 + Number(digits[3]);
  if (Number(digits[3]) > 59) return null;
  return digits[1] === "-" ? -minutes : minutes;
}

function withoutComments(text: string): string {
  if (!text.includes("(")) return text;
  let depth = 0;
  let kept = "";
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at] ?? "";
    if (char === "\\" && depth > 0) at += 1;
    else if (char === "(") depth += 1;
    else if (char === ")" && depth > 0) depth -= 1;
    else if (depth === 0) kept += char;
  }
  return kept;
}

function year(at: Date): string {
  return String(at.getUTCFullYear()).padStart(4, "0");
}

function time(at: Date): string {
  return at.toISOString().slice(-13, -5);
}
