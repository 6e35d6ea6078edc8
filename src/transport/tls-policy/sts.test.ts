/** Where policies come from and how long they hold, with HTTPS servers on loopback (RFC 8461 §3, §5). */

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { seededRandom } from "#base/random";
import { fakeClock } from "../../../tests/kit/fake-clock.ts";
import { TlsWorld } from "../../../tests/kit/tls-world.ts";
import { tlsPolicyEvents } from "./events.ts";
import { StsPolicies } from "./sts.ts";
import { openStsBook, StsBook, type StsEntry } from "./sts-book.ts";
import { type Fetched, fetchPolicy } from "./sts-fetch.ts";

const domain = "partner.example";
const address = "192.0.2.80";
const text = "version: STSv1\r\nmode: enforce\r\nmx: mx.partner.example\r\nmax_age: 86400\r\n";

function fetchFrom(world: TlsWorld, clock = systemClock): Promise<Fetched> {
  const { resolver, dial } = world;
  const authorities = [world.authority.rootPem];
  return fetchPolicy(domain, { resolver, dial, clock, authorities });
}

describe("CAP-49 fetchPolicy() (RFC 8461 §3.3)", () => {
  test("takes a policy that is served as it should be", async () => {
    await using world = new TlsWorld();
    (await world.policyHost(domain, address)).body = text;
    const fetched = await fetchFrom(world);
    assert.deepEqual(fetched, {
      ok: true,
      policy: { mode: "enforce", mx: ["mx.partner.example"], maxAge: 86_400 },
    });
  });

  const faults: readonly (readonly [
    string,
    Partial<{ status: number; type: string; body: string }>,
    string,
    RegExp,
  ])[] = [
    ["a redirect", { status: 301 }, "sts-policy-fetch-error", /answers 301/],
    ["not found", { status: 404 }, "sts-policy-fetch-error", /answers 404/],
    ["HTML", { type: "text/html" }, "sts-policy-fetch-error", /no text\/plain/],
    ["65 KiB", { body: "x".repeat(66_000) }, "sts-policy-fetch-error", /larger/],
    ["nonsense", { body: "hello" }, "sts-policy-invalid", /bad-line/],
    ["nothing", { body: "" }, "sts-policy-invalid", /bad-version/],
  ];
  for (const [name, served, fault, why] of faults) {
    test(`${name}: ${fault}`, async () => {
      await using world = new TlsWorld();
      Object.assign(await world.policyHost(domain, address), { body: text, ...served });
      const fetched = await fetchFrom(world);
      assert.ok(!fetched.ok);
      assert.equal(fetched.fault, fault);
      assert.match(fetched.why, why);
    });
  }

  const certificates = [
    ["another name", { names: ["www.partner.example"] }],
    ["expired", { names: ["mta-sts.partner.example"], expired: true }],
    ["self-signed", { names: ["mta-sts.partner.example"], selfSigned: true }],
  ] as const;
  for (const [name, wish] of certificates) {
    test(`certificate: ${name}: sts-webpki-invalid`, async () => {
      await using world = new TlsWorld();
      const host = await world.policyHost(domain, address, world.certificate(wish));
      host.body = text;
      const fetched = await fetchFrom(world);
      assert.equal(fetched.ok ? "" : fetched.fault, "sts-webpki-invalid");
      assert.equal(host.requests, 0);
    });
  }

  test("a host that takes the connection and says nothing is given up after a minute", async () => {
    for (const where of ["tls", "body"] as const) {
      await using world = new TlsWorld();
      const clock = fakeClock();
      if (where === "tls") {
        await world.silent(`${address}:443`);
        world.say("A", `mta-sts.${domain}`, [{ address }]);
      } else {
        Object.assign(await world.policyHost(domain, address), { body: text, stallAfter: 20 });
      }
      const asked = fetchFrom(world, clock);
      await new Promise((resolve) => setTimeout(resolve, 200));
      await clock.advance(60_000);
      const fetched = await asked;
      assert.equal(fetched.ok ? "" : fetched.fault, "sts-policy-fetch-error");
      assert.equal(clock.pending(), 0);
    }
  });

  test("a port that is forbidden is said at once", async () => {
    await using world = new TlsWorld();
    world.say("A", `mta-sts.${domain}`, [{ address }]);
    const fetched = await fetchFrom(world);
    assert.equal(fetched.ok ? "" : fetched.fault, "sts-policy-fetch-error");
  });
});

/** A room whose policy host answers as told. */
function room(path = "") {
  const clock = fakeClock();
  const world = new TlsWorld();
  const events = tlsPolicyEvents(silentLog, new Registry());
  const state = { served: "enforce" as "enforce" | "none" | "down", maxAge: 864_000, fetches: 0 };
  const fetch = async (): Promise<Fetched> => {
    state.fetches += 1;
    if (state.served === "down") return { ok: false, fault: "sts-policy-fetch-error", why: "down" };
    return {
      ok: true,
      policy: { mode: state.served, mx: ["mx.partner.example"], maxAge: state.maxAge },
    };
  };
  const book = openStsBook(path, clock.nowMs(), events.putAside);
  const { resolver } = world;
  const sts = new StsPolicies({ book, fetch, resolver, clock, random: seededRandom(1), events });
  const record = (id: string) =>
    world.say("TXT", `_mta-sts.${domain}`, [{ text: `v=STSv1; id=${id}` }]);
  record("1");
  return { clock, world, state, sts, record };
}

const hourMs = 3_600_000;

describe("CAP-49 StsPolicies (RFC 8461 §5.1)", () => {
  test("asks once for an id, and again for a new one", async () => {
    const { sts, state, record, clock } = room();
    for (let count = 0; count < 5; count += 1) await sts.find(domain);
    assert.equal(state.fetches, 1);
    await clock.advance(300_000);
    record("2");
    state.served = "none";
    assert.equal((await sts.find(domain)).policy?.mode, "none");
    assert.equal(state.fetches, 2);
    await sts.stop();
  });

  test("many at once share one fetch", async () => {
    const { sts, state } = room();
    await Promise.all(Array.from({ length: 50 }, () => sts.find(domain)));
    assert.equal(state.fetches, 1);
    await sts.stop();
  });

  test("a host that fails is asked every five minutes at most", async () => {
    const { sts, state, clock } = room();
    state.served = "down";
    for (let minute = 0; minute < 20; minute += 1) {
      const found = await sts.find(domain);
      assert.equal(found.fault, "sts-policy-fetch-error");
      await clock.advance(60_000);
    }
    assert.equal(state.fetches, 4);
    await sts.stop();
  });

  test("an id that changes with every look does not make a storm", async () => {
    const { sts, state, record, clock } = room();
    for (let second = 0; second < 60; second += 1) {
      record(String(second));
      await sts.find(domain);
      await clock.advance(1000);
    }
    assert.equal(state.fetches, 1);
    await sts.stop();
  });

  test("is fresh again every day, so that it does not end while it is served", async () => {
    const { sts, state, clock, world } = room();
    await sts.find(domain);
    for (let hour = 0; hour < 24 * 30; hour += 1) {
      await clock.advance(hourMs);
      if (hour % 24 === 0) await sts.find(domain);
    }
    assert.ok(state.fetches >= 28 && state.fetches <= 32, String(state.fetches));
    world.fail("TXT", `_mta-sts.${domain}`);
    assert.equal((await sts.find(domain)).policy?.mode, "enforce");
    await sts.stop();
  });

  test("ends with max_age when it cannot be had any more, not a moment sooner", async () => {
    const { sts, state, clock } = room();
    await sts.find(domain);
    state.served = "down";
    await clock.advance(state.maxAge * 1000 - hourMs);
    assert.equal((await sts.find(domain)).policy?.mode, "enforce");
    await clock.advance(hourMs);
    assert.equal((await sts.find(domain)).policy, undefined);
    await sts.stop();
  });

  test("a record without a policy, two records, and none at all are no policy", async () => {
    const { sts, world, state } = room();
    world.say("TXT", `_mta-sts.${domain}`, [{ text: "v=STSv1; id=1" }, { text: "v=STSv1; id=2" }]);
    assert.deepEqual(await sts.find(domain), {});
    world.say("TXT", `_mta-sts.${domain}`, []);
    assert.deepEqual(await sts.find(domain), {});
    assert.equal(state.fetches, 0);
    await sts.stop();
  });

  test("a restart keeps what was known, and a folder that cannot be written does not stop mail", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sts-"));
    const path = join(folder, "mta-sts.json");
    const first = room(path);
    await first.sts.find(domain);
    await first.sts.stop();
    assert.deepEqual(readdirSync(folder), ["mta-sts.json"]);
    const second = room(path);
    second.world.fail("TXT", `_mta-sts.${domain}`);
    assert.equal((await second.sts.find(domain)).policy?.mode, "enforce");
    chmodSync(folder, 0o500);
    second.record("2");
    await second.clock.advance(300_000);
    assert.equal((await second.sts.find(domain)).policy?.mode, "enforce");
    await second.sts.stop();
    chmodSync(folder, 0o700);
  });
});

describe("CAP-49 StsBook", () => {
  const entry = (name: string, nowMs: number, maxAge = 1000): StsEntry => ({
    domain: name,
    id: "1",
    policy: { mode: "enforce", mx: [`mx.${name}`], maxAge },
    fetchedAtMs: nowMs,
    usedAtMs: nowMs,
  });

  test("what is over goes first, then what nobody asked for longest", () => {
    const book = new StsBook("", 0, { entries: 3, characters: 1_000_000 });
    book.put(entry("old.example", 0, 1), 0);
    book.put(entry("a.example", 0), 0);
    book.put(entry("b.example", 0), 0);
    book.put(entry("c.example", 5000), 5000);
    const names = () => book.all().map((one) => one.domain);
    assert.deepEqual(names(), ["a.example", "b.example", "c.example"]);
    book.used("a.example", 6000);
    book.put(entry("d.example", 7000), 7000);
    assert.deepEqual(names(), ["c.example", "a.example", "d.example"]);
  });

  test("one domain with large and ever new policies takes no more than one place", () => {
    const book = new StsBook("", 0, { entries: 100, characters: 100_000 });
    for (let index = 0; index < 50; index += 1) book.put(entry(`d${index}.example`, 0), 0);
    const mx = Array.from({ length: 100 }, (_, index) => `${"x".repeat(50)}${index}.evil.example`);
    for (let round = 0; round < 1000; round += 1) {
      const huge = entry("evil.example", round);
      book.put({ ...huge, id: String(round), policy: { ...huge.policy, mx } }, round);
    }
    assert.equal(book.all().length, 51);
  });

  test("a thousand saves at once leave one whole file", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sts-"));
    const path = join(folder, "mta-sts.json");
    const book = new StsBook(path, 0);
    const saves = Array.from({ length: 1000 }, (_, index) => {
      book.put(entry(`d${index}.example`, 0), 0);
      return book.save();
    });
    await Promise.all(saves);
    assert.deepEqual(readdirSync(folder), ["mta-sts.json"]);
    assert.equal(new StsBook(path, 0).all().length, 1000);
  });

  test("a clock that went back does not lengthen a policy", async () => {
    const path = join(mkdtempSync(join(tmpdir(), "sts-")), "mta-sts.json");
    const book = new StsBook(path, 0);
    book.put(entry("a.example", 1_000_000_000), 1_000_000_000);
    await book.save();
    const again = new StsBook(path, 0);
    assert.notEqual(again.live("a.example", 999_000), undefined);
    assert.equal(again.live("a.example", 1_000_000), undefined);
  });
});
