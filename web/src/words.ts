/** Dates, sizes and names as people read them. */

import type { Address, Email } from "./types.ts";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "short" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const year = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  year: "numeric",
});
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });

const dayMs = 86_400_000;

/** Short for the list: time today, weekday this week, date before. */
export function shortDate(iso: string, now = new Date()): string {
  const date = new Date(iso);
  if (date.toDateString() === now.toDateString()) return clock.format(date);
  const age = now.getTime() - date.getTime();
  if (age > 0 && age < 6 * dayMs) return weekday.format(date);
  return date.getFullYear() === now.getFullYear() ? day.format(date) : year.format(date);
}

export function fullDate(iso: string): string {
  return full.format(new Date(iso));
}

export function sizeText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB"];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** Text directions and controls in a name could dress one address up as another. */
export function cleanName(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "").trim();
}

/** A name alone only when it does not pose as another address. */
export function shortName(address: Address | undefined): string {
  if (address === undefined) return "(no sender)";
  const name = cleanName(address.name ?? "");
  return name === "" || name.includes("@") ? address.email : name;
}

export function fullName(address: Address): string {
  const name = cleanName(address.name ?? "");
  if (name === "" || address.email === "") return name || address.email;
  return `${name} <${address.email}>`;
}

export function nameList(addresses: readonly Address[] | null): string {
  return (addresses ?? []).map(fullName).join(", ");
}

/** The address that was judged, or all of them when it is not clear whose message it is. */
export function authorsOf(email: Email): readonly Address[] {
  const { from, senderShown: shown, senderEvidence } = email;
  if (senderEvidence.some(({ type }) => type === "ambiguous-author")) {
    return [{ name: null, email: cleanName(shown ?? "") }];
  }
  if (!shown) return from ?? [];
  return [{ name: from?.[0]?.name ?? null, email: cleanName(shown) }];
}

/** As a clock shows it: "2:00". */
export function timeLeft(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** The same for the ear. */
export function timeSpoken(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  const rest = countOf(seconds % 60, "second", "seconds");
  if (minutes === 0) return rest;
  const whole = countOf(minutes, "minute", "minutes");
  return seconds % 60 === 0 ? whole : `${whole} and ${rest}`;
}

export function countOf(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
