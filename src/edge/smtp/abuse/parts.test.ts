/** The parts of abuse control by themselves: rates, greylist, block lists, overload. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type Clock, systemClock } from "#base/clock";
import { seededRandom } from "#base/random";
import { fakeClock } from "../../../../tests/kit/fake-clock.ts";
import { heldHeapBytes } from "../../../../tests/kit/held-bytes.ts";
import { askBlockLists, parseBlockList } from "./block-lists.ts";
import { type Greylist, openGreylist } from "./greylist.ts";
import { watchOverload } from "./overload.ts";
import { Rates } from "./rates.ts";

const minute = { periodMs: 60_000 };
const unlimited = { most: 0, ...minute };
const folder = mkdtempSync(join(tmpdir(), "abuse-"));
after(() => rmSync(folder, { recursive: true }));

describe("Rates", () => {
  const rates = (clock: Clock = fakeClock(), most = 3): Rates =>
    new Rates(clock, {
      connections: { most, ...minute },
      messages: { most: 60, ...minute },
      recipients: unlimited,
      unknown: { most: 2, periodMs: 3_600_000 },
    });

  test("allows a minute's worth at once, then one by one as they leak out", async () => {
    const clock = fakeClock();
    const table = rates(clock);
    assert.deepEqual(
      [1, 2, 3].map(() => table.take("connections", "a")),
      [0, 0, 0],
    );
    assert.equal(table.take("connections", "a"), 20_000);
    assert.equal(table.take("connections", "b"), 0);
    await clock.advance(19_000);
    assert.equal(table.take("connections", "a"), 1000);
    await clock.advance(1000);
    assert.equal(table.take("connections", "a"), 0);
    assert.equal(table.take("connections", "a"), 20_000);
    assert.equal(table.take("messages", "a"), 0);
  });

  test("0 means any number, and looking does not count", () => {
    const table = rates();
    for (let nth = 0; nth < 10_000; nth += 1) assert.equal(table.take("recipients", "a"), 0);
    for (let nth = 0; nth < 10; nth += 1) assert.equal(table.wait("unknown", "a"), 0);
    table.take("unknown", "a");
    table.take("unknown", "a");
    assert.equal(table.wait("unknown", "a"), 1_800_000);
  });

  test("S13 a million addresses take no more room than fifty thousand", (t) => {
    const table = rates(systemClock, 100);
    const fill = (from: number, to: number): number => {
      for (let nth = from; nth < to; nth += 1) table.take("connections", `2001:db8:0:${nth}::/64`);
      return heldHeapBytes() / 1e6;
    };
    const first = fill(0, 50_000);
    const last = fill(50_000, 1_000_000);
    t.diagnostic(
      `heap after 50,000: ${first.toFixed(1)} MB, after 1,000,000: ${last.toFixed(1)} MB`,
    );
    assert.equal(table.size, 50_000);
    assert.ok(last - first < 10, `${first} MB, then ${last} MB`);
  });
});

describe("Greylist", () => {
  const dayMs = 86_400_000;
  const limits = { delayMs: 60_000, windowMs: dayMs, whiteMs: 36 * dayMs, entries: 1000 };
  const one = { clientAddress: "192.0.2.1", reversePath: "a@b.example", recipient: "c@d.example" };
  let files = 0;
  const open = (clock: ReturnType<typeof fakeClock>, file?: string): Promise<Greylist> =>
    openGreylist(file ?? join(folder, `${(files += 1)}`), limits, {
      clock,
      random: seededRandom(1),
      onFailed: (error) => assert.fail(String(error)),
    });

  test("too early, in time, white as long as mail comes, unknown again afterwards", async () => {
    const clock = fakeClock();
    await using list = await open(clock);
    assert.equal(list.ask(one), 60_000);
    await clock.advance(59_000);
    assert.equal(list.ask(one), 1000);
    await clock.advance(1000);
    assert.equal(list.ask({ ...one, reversePath: "A@B.example" }), 0);
    for (let month = 0; month < 3; month += 1) {
      await clock.advance(30 * dayMs);
      assert.equal(list.ask(one), 0);
    }
    await clock.advance(37 * dayMs);
    assert.equal(list.ask(one), 60_000);
  });

  test("a second try after the window is a first one", async () => {
    const clock = fakeClock();
    await using list = await open(clock);
    list.ask(one);
    await clock.advance(dayMs + 1000);
    assert.equal(list.ask(one), 60_000);
    await clock.advance(60_000);
    assert.equal(list.ask(one), 0);
  });

  test("networks of 24 and of 64 bits are one client", async () => {
    const clock = fakeClock();
    await using list = await open(clock);
    for (const clientAddress of ["192.0.2.1", "2001:db8:1:2::1"])
      list.ask({ ...one, clientAddress });
    await clock.advance(60_000);
    const ask = (clientAddress: string): number => list.ask({ ...one, clientAddress });
    assert.deepEqual(["192.0.2.99", "2001:db8:1:2:9::1"].map(ask), [0, 0]);
    assert.deepEqual(["192.0.3.1", "2001:db8:1:3::1"].map(ask), [60_000, 60_000]);
  });

  test("is written within a minute, holds no address, and never more than its entries", async () => {
    const clock = fakeClock();
    const file = join(folder, "kept");
    await using list = await open(clock, file);
    for (let nth = 0; nth < 5000; nth += 1) list.ask({ ...one, recipient: `user${nth}@d.example` });
    await clock.advance(60_000);
    for (let tries = 0; tries < 100; tries += 1) {
      if (statSync(file, { throwIfNoEntry: false })) break;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const octets = readFileSync(file);
    assert.equal(octets.length, 19 + 32 + 1000 * 24);
    assert.equal(octets.includes("example"), false);
    await using again = await open(clock, file);
    assert.equal(again.ask({ ...one, recipient: "user4999@d.example" }), 0);
    assert.equal(again.ask({ ...one, recipient: "user3999@d.example" }), 60_000);
  });

  test("whatever is in its file, it starts (seeded)", async () => {
    const random = seededRandom(3);
    const file = join(folder, "rubbish");
    const good = Buffer.concat([Buffer.from("postern greylist 1\n"), random.bytes(32 + 240)]);
    for (let nth = 0; nth < 50; nth += 1) {
      const octets = Buffer.from(good);
      octets[Math.floor(random.fraction() * octets.length)] = nth;
      writeFileSync(file, octets.subarray(0, Math.floor(random.fraction() * octets.length)));
      await using list = await open(fakeClock(), file);
      assert.equal(list.ask(one), 60_000);
    }
  });
});

describe("block lists", () => {
  test("are a zone, or a zone with answers", () => {
    assert.deepEqual(parseBlockList(" Zen.Example.org "), { zone: "zen.example.org" });
    const answers = new Set(["127.0.0.2", "127.0.0.4"]);
    assert.deepEqual(parseBlockList("a.example=127.0.0.2, 127.0.0.4"), {
      zone: "a.example",
      answers,
    });
    for (const wrong of [
      ...["", "list", "a b.example", "a.example=", "a.example=1.2.3.4", "a.example=127.0.0.1"],
      ...["a.example=127.255.255.254", "a.example=127.0.0.2=", "=127.0.0.2"],
    ]) {
      assert.equal(parseBlockList(wrong), undefined, wrong);
    }
  });

  test("a resolver that never answers holds nobody up for more than five seconds", async () => {
    const clock = fakeClock();
    const asked: string[] = [];
    const outcome = askBlockLists("192.0.2.1", [{ zone: "a.example" }, { zone: "b.example" }], {
      resolver: { query: () => new Promise(() => {}) },
      clock,
      asked: (zone, said) => void asked.push(`${zone} ${said}`),
    });
    await clock.advance(5000);
    assert.equal(await outcome, undefined);
    assert.deepEqual(asked, ["a.example failed", "b.example failed"]);
  });
});

describe("V2 overload", () => {
  test("V2 is late, or very late, by what the loop does all the time", async () => {
    const clock = fakeClock();
    let lateMs = 0;
    using overload = watchOverload({
      clock,
      loopDelayMs: 100,
      heldBytes: 10,
      lateness: () => lateMs,
    });
    for (const [now, state] of [
      [50, "calm"],
      [150, "late"],
      [250, "very-late"],
      [10, "calm"],
    ] as const) {
      lateMs = now;
      await clock.advance(1000);
      assert.equal(overload.state, state);
    }
  });

  test("V2 a loop that is blocked again and again is late, one long turn is not", async () => {
    using overload = watchOverload({ clock: systemClock, loopDelayMs: 60, heldBytes: 10 });
    const block = (ms: number): void => {
      for (const end = performance.now() + ms; performance.now() < end; );
    };
    const seen = new Set<string>();
    block(400);
    for (let nth = 0; nth < 25; nth += 1) {
      block(150);
      await new Promise((resolve) => setTimeout(resolve, 1));
      seen.add(overload.state);
    }
    assert.ok(seen.has("late") || seen.has("very-late"), [...seen].join());
  });

  test("V2 octets are held up to the limit, and room comes back", () => {
    using overload = watchOverload({ clock: fakeClock(), loopDelayMs: 100, heldBytes: 10 });
    assert.deepEqual(
      [6, 5, 4].map((bytes) => overload.hold(bytes)),
      [true, false, true],
    );
    overload.release(6);
    assert.equal(overload.hold(6), true);
  });
});
