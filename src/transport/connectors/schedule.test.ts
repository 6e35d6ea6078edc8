import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import type { OutboundConnector } from "#model/connector";
import { defaultOutbound, isOpenNow, nextOpenAtMs } from "./index.ts";
import { formatWindow, parseWindow } from "./schedule.ts";

const minuteMs = 60_000;
const dayMs = 1_440 * minuteMs;
const zoneBefore = process.env["TZ"];

afterEach(() => {
  if (zoneBefore === undefined) delete process.env["TZ"];
  else process.env["TZ"] = zoneBefore;
});

/** Node asks the time zone data anew when TZ changes. */
function livesIn(zone: string): void {
  process.env["TZ"] = zone;
}

function on(...windows: readonly string[]): OutboundConnector {
  const schedule = windows.map((text) => parseWindow(text) ?? assert.fail(text));
  return { ...defaultOutbound, schedule };
}

const at = (text: string): number => Date.parse(text);

describe("parseWindow()", () => {
  test("reads days, ranges of days and windows over midnight", () => {
    assert.deepEqual(parseWindow("Mon-Fri 20:00-06:00"), {
      days: [1, 2, 3, 4, 5],
      fromMinute: 1_200,
      toMinute: 360,
    });
    assert.deepEqual(parseWindow("sat,SUN 00:00-24:00"), {
      days: [0, 6],
      fromMinute: 0,
      toMinute: 1_440,
    });
    assert.deepEqual(parseWindow("Fri-Mon 01:02-03:04")?.days, [0, 1, 5, 6]);
    assert.equal(parseWindow("22:00-05:00")?.days.length, 7);
  });

  test("reads again what formatWindow() wrote", () => {
    for (const text of ["Mon,Tue,Fri 20:00-06:00", "00:00-24:00", "Sun 09:05-09:06"]) {
      assert.equal(formatWindow(parseWindow(text) ?? assert.fail()), text);
    }
  });

  test("refuses what could be read in two ways, or not at all", () => {
    const wrong =
      "|8:00-9:00|Mon 08:00|Mon-Tue-Wed 08:00-09:00|Foo 08:00-09:00|Mon 08:60-09:00|24:00-01:00|Mon 08:00-24:01|Mon 08:00-08:00|Mon, 08:00-09:00|Mon 08:00-09:00 x";
    for (const text of wrong.split("|")) assert.equal(parseWindow(text), undefined, text);
  });

  test("never throws, whatever it is given", () => {
    const random = seededRandom(7);
    const alphabet = ["Mon", "-", "Sun", ",", " ", "2", "0", ":", "9", "x", "\0"];
    for (let round = 0; round < 20_000; round += 1) {
      const parts = Array.from({ length: pick(random, 16) }, () => alphabet[pick(random, 11)]);
      parseWindow(parts.join(""));
    }
    parseWindow("Mon,".repeat(100_000));
  });
});

describe("isOpenNow()", () => {
  test("is open always without a schedule", () => {
    assert.ok(isOpenNow(defaultOutbound, 0));
    assert.equal(nextOpenAtMs(defaultOutbound, 5), 5);
  });

  test("CAP-42 counts the days of a window over midnight from its evening, in local time", () => {
    livesIn("Europe/Berlin");
    const nights = on("Mon-Fri 20:00-06:00");
    const cases = [
      ["2026-11-23T19:59:59+01:00", false], // Monday
      ["2026-11-23T20:00:00+01:00", true],
      ["2026-11-24T05:59:59+01:00", true],
      ["2026-11-24T06:00:00+01:00", false],
      ["2026-11-28T05:00:00+01:00", true], // Saturday, from Friday evening
      ["2026-11-28T20:30:00+01:00", false],
      ["2026-11-30T05:00:00+01:00", false], // Monday, and Sunday had no window
    ] as const;
    for (const [text, expected] of cases) assert.equal(isOpenNow(nights, at(text)), expected, text);
    assert.equal(
      nextOpenAtMs(nights, at("2026-11-28T06:00:00+01:00")),
      at("2026-11-30T20:00:00+01:00"),
    );
  });
});

describe("nextOpenAtMs()", () => {
  const changes = [
    // zone, windows, from, expected
    // 2026-03-29: 02:00 becomes 03:00.
    ["Europe/Berlin", "02:30-04:00", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"],
    ["Europe/Berlin", "05:00-06:00", "2026-03-28T23:00:00+01:00", "2026-03-29T05:00:00+02:00"],
    // A window that this night has not comes again a day later.
    ["Europe/Berlin", "02:15-02:45", "2026-03-29T01:00:00+01:00", "2026-03-30T02:15:00+02:00"],
    ["Europe/Berlin", "Sun 02:15-02:45", "2026-03-29T01:00:00+01:00", "2026-04-05T02:15:00+02:00"],
    // 2026-10-25: 03:00 becomes 02:00, and the window comes twice.
    ["Europe/Berlin", "02:00-02:30", "2026-10-25T02:31:00+02:00", "2026-10-25T02:00:00+01:00"],
    ["Europe/Berlin", "02:00-02:30", "2026-10-25T02:31:00+01:00", "2026-10-26T02:00:00+01:00"],
    [
      "America/New_York",
      "Mon 00:00-24:00",
      "2026-11-01T12:00:00-05:00",
      "2026-11-02T00:00:00-05:00",
    ],
    // Clocks of Lord Howe Island change by half an hour.
    [
      "Australia/Lord_Howe",
      "02:10-03:00",
      "2026-10-04T01:00:00+10:30",
      "2026-10-04T02:30:00+11:00",
    ],
    ["Asia/Kathmandu", "09:00-17:00", "2026-11-22T00:00:00Z", "2026-11-22T09:00:00+05:45"],
    ["UTC", "Sat,Sun 00:00-24:00", "2026-11-23T00:00:00Z", "2026-11-28T00:00:00Z"],
  ] as const;
  for (const [zone, window, from, expected] of changes) {
    test(`CAP-42 finds ${window} in ${zone} after ${from}`, () => {
      livesIn(zone);
      const found = nextOpenAtMs(on(window), at(from));
      assert.equal(new Date(found).toISOString(), new Date(expected).toISOString());
    });
  }

  test("CAP-42 finds the first open minute, held against a look at every minute", (t) => {
    const random = seededRandom(2026);
    const zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"];
    // Days around the changes of the clocks in these zones.
    const days = [
      "2026-03-08",
      "2026-03-29",
      "2026-04-05",
      "2026-10-04",
      "2026-10-25",
      "2026-11-01",
    ];
    let looked = 0;
    for (let round = 0; round < 400; round += 1) {
      livesIn(zones[round % 4] ?? "UTC");
      const connector = on(randomWindow(random), randomWindow(random));
      const day = at(`${days[pick(random, 6)]}T00:00:00Z`);
      const nowMs = day + (pick(random, 2_880) - 1_440) * minuteMs + pick(random, 60_000);
      const found = nextOpenAtMs(connector, nowMs);
      let expected = nowMs;
      while (!isOpenNow(connector, expected) && expected - nowMs < 15 * dayMs) {
        expected = (Math.floor(expected / minuteMs) + 1) * minuteMs;
        looked += 1;
      }
      assert.equal(found, expected, JSON.stringify(connector.schedule));
    }
    t.diagnostic(`400 schedules, ${looked} minutes looked at one by one`);
  });

  test("ends for any time and any schedule", () => {
    for (const nowMs of [Number.NaN, Number.POSITIVE_INFINITY, -1, 8.64e15, 0]) {
      nextOpenAtMs(on("Mon 08:00-08:01"), nowMs);
    }
    const never = { ...defaultOutbound, schedule: [{ days: [], fromMinute: 0, toMinute: 1 }] };
    assert.equal(nextOpenAtMs(never, 0), 15 * dayMs);
  });
});

function randomWindow(random: ReturnType<typeof seededRandom>): string {
  const clock = (minute: number): string =>
    `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
  const names = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
  const from = pick(random, 1_440);
  const to = (from + 1 + pick(random, 1_439)) % 1_440;
  return `${names[pick(random, 7)]} ${clock(from)}-${clock(to)}`;
}
