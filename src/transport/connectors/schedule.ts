/**
 * When a connector is open: windows of the week in local time, the zone of the operating system
 * (or of the environment variable TZ), daylight saving included.
 */

import type { OutboundConnector, TimeWindow } from "#model/connector";

const dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const;
const minuteMs = 60_000;
const dayMinutes = 1_440;
const dayMs = dayMinutes * minuteMs;

/** Ours: a weekly window that a change of the clocks swallows comes again within this time. */
const horizonDays = 15;

/**
 * @param text "Mon-Fri 20:00-06:00", "Sat,Sun 00:00-24:00", "22:00-05:00" for every day; a window
 * that ends before it begins passes midnight, and its days are those on which it begins
 */
export function parseWindow(text: string): TimeWindow | undefined {
  const match = /^(?:([a-z,-]{3,60}) +)?(\d\d):(\d\d)-(\d\d):(\d\d)$/i.exec(text.trim());
  if (match === null) return undefined;
  const [, given, ...digits] = match;
  const [fromHour = 0, fromPart = 0, toHour = 0, toPart = 0] = digits.map(Number);
  const days = given === undefined ? [0, 1, 2, 3, 4, 5, 6] : parseDays(given.toLowerCase());
  const fromMinute = fromHour * 60 + fromPart;
  const toMinute = toHour * 60 + toPart;
  if (days === undefined || fromPart > 59 || toPart > 59) return undefined;
  // One that begins when it ends could mean nothing or the whole day.
  if (fromMinute >= dayMinutes || toMinute > dayMinutes || fromMinute === toMinute) {
    return undefined;
  }
  return { days, fromMinute, toMinute };
}

/** As `parseWindow` reads it. */
export function formatWindow({ days, fromMinute, toMinute }: TimeWindow): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const clock = (minute: number): string => `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
  const hours = `${clock(fromMinute)}-${clock(toMinute)}`;
  if (days.length === 7) return hours;
  const names = days.map((day) => (dayNames[day] ?? "").replace(/^./, (c) => c.toUpperCase()));
  return `${names.join(",")} ${hours}`;
}

/** "mon-fri", "sat,sun", "fri-mon" */
function parseDays(text: string): readonly number[] | undefined {
  const days = new Set<number>();
  for (const part of text.split(",")) {
    const [first = "", last = first, more] = part.split("-");
    const [from, to] = [first, last].map((name) => (dayNames as readonly string[]).indexOf(name));
    if (from === undefined || to === undefined || from < 0 || to < 0 || more !== undefined) {
      return undefined;
    }
    for (let day = from; ; day = (day + 1) % 7) {
      days.add(day);
      if (day === to) break;
    }
  }
  return [...days].sort((one, other) => one - other);
}

export function isOpenNow({ schedule }: OutboundConnector, nowMs: number): boolean {
  return schedule.length === 0 || isWithin(schedule, nowMs + offsetMs(nowMs));
}

/**
 * The first moment from now on at which it is open, to the minute. Mail is looked at again then, so
 * a moment that is too early costs a look and no more.
 */
export function nextOpenAtMs(connector: OutboundConnector, nowMs: number): number {
  if (isOpenNow(connector, nowMs)) return nowMs;
  for (let day = 0, fromMs = nowMs; day < horizonDays; day += 1, fromMs += dayMs) {
    // Where clocks change within the day, either side has its own offset.
    const changeMs = offsetChangeMs(fromMs, fromMs + dayMs);
    const found =
      firstOpenMs(connector.schedule, fromMs, changeMs) ??
      firstOpenMs(connector.schedule, changeMs, fromMs + dayMs);
    if (found !== undefined) return found;
  }
  return nowMs + horizonDays * dayMs;
}

/** Between two moments with one offset; undefined when none of the minutes is open. */
function firstOpenMs(
  schedule: readonly TimeWindow[],
  fromMs: number,
  toMs: number,
): number | undefined {
  if (fromMs >= toMs) return undefined;
  const shiftMs = offsetMs(fromMs);
  if (isWithin(schedule, fromMs + shiftMs)) return fromMs;
  const midnightMs = Math.floor((fromMs + shiftMs) / dayMs) * dayMs;
  // A stretch of a day touches two days; that a window is open at its beginning was seen above.
  const starts = schedule
    .flatMap(({ fromMinute }) => [0, 1].map((day) => day * dayMs + fromMinute * minuteMs))
    .map((sinceMidnightMs) => midnightMs + sinceMidnightMs)
    .filter((local) => local - shiftMs > fromMs && local - shiftMs < toMs)
    .filter((local) => isWithin(schedule, local));
  return starts.length === 0 ? undefined : Math.min(...starts) - shiftMs;
}

/** @param localMs what a clock on the wall shows, as if it were UTC */
function isWithin(schedule: readonly TimeWindow[], localMs: number): boolean {
  const wall = new Date(localMs);
  const today = wall.getUTCDay();
  const minute = wall.getUTCHours() * 60 + wall.getUTCMinutes();
  return schedule.some(({ days, fromMinute, toMinute }) => {
    if (fromMinute < toMinute) {
      return days.includes(today) && minute >= fromMinute && minute < toMinute;
    }
    const isEvening = days.includes(today) && minute >= fromMinute;
    return isEvening || (days.includes((today + 6) % 7) && minute < toMinute);
  });
}

/** Local time less UTC. */
function offsetMs(atMs: number): number {
  return -new Date(atMs).getTimezoneOffset() * minuteMs;
}

/** When the offset becomes that of the end; the end itself when it never differs. */
function offsetChangeMs(fromMs: number, toMs: number): number {
  const last = offsetMs(toMs - 1);
  if (offsetMs(fromMs) === last) return toMs;
  let [before, after] = [fromMs, toMs - 1];
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (offsetMs(middle) === last) after = middle;
    else before = middle;
  }
  return after;
}
