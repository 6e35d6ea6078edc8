/** TLSA records by a real validating resolver: what is signed counts, what is not does not (RFC 7672). */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { createResolver, type Resolver } from "#base/dns";
import { systemRandom } from "#base/random";
import {
  mayRunUnbound,
  type Records,
  startValidating,
  type Validating,
  wireName,
} from "../../../tests/kit/signed-zone.ts";
import { TlsWorld } from "../../../tests/kit/tls-world.ts";
import { type DaneFinding, findDane } from "./dane.ts";

const address = Buffer.of(192, 0, 2, 1);
const tlsa = (usage: number, selector: number, matching: number, data: string): Buffer =>
  Buffer.concat([Buffer.of(usage, selector, matching), Buffer.from(data, "hex")]);
const sound = tlsa(3, 1, 1, "ab".repeat(32));
const mxTo = (host: string): Buffer => Buffer.concat([Buffer.of(0, 10), wireName(host)]);

const records = (apex: string): Records => ({
  [apex]: { 15: [mxTo(`mx.${apex}`)] },
  [`mx.${apex}`]: { 1: [address] },
  [`_25._tcp.mx.${apex}`]: { 52: [sound] },
  [`bare.${apex}`]: { 1: [address] },
  [`alias.${apex}`]: { 5: [wireName(`mx.${apex}`)] },
  [`away.${apex}`]: { 5: [wireName("mx.unsigned.test")] },
  [`_25._tcp.away.${apex}`]: { 52: [sound] },
  [`forged.${apex}`]: { 1: [address] },
  [`_25._tcp.forged.${apex}`]: { 52: [sound] },
  [`faked.${apex}`]: { 1: [address] },
});

let unbound: Validating;
let resolver: Resolver;

const skip = mayRunUnbound ? false : "unbound is not installed";

/** As the queue does: what the answers for MX and address say goes into the hop. */
async function found(domain: string, host: string): Promise<DaneFinding> {
  const [mx, addresses] = [await resolver.query(domain, "MX"), await resolver.query(host, "A")];
  assert.ok(addresses.kind !== "none", `${host} has an address`);
  const hop = {
    domain,
    host,
    viaMx: true,
    mxAuthenticated: mx.kind === "found" && mx.authenticated,
    addressAuthenticated: addresses.kind === "found" && addresses.authenticated,
  };
  return findDane(hop, 25, resolver);
}

describe("CAP-49 S6 DANE behind a real validating resolver", { skip }, () => {
  before(async () => {
    if (!mayRunUnbound) return;
    const damaged = ["_25._tcp.forged.signed.test", "_25._tcp.faked.signed.test"];
    unbound = await startValidating(records("signed.test"), records("unsigned.test"), damaged);
    resolver = createResolver({
      servers: [unbound.endpoint],
      clock: systemClock,
      random: systemRandom,
      ...{ timeoutMs: 5000, attempts: 1, cacheEntries: 0 },
    });
  });
  after(() => unbound?.[Symbol.asyncDispose]());

  test("signed MX, addresses and TLSA: usable, with the domain among the names", async () => {
    assert.deepEqual(await found("signed.test", "mx.signed.test"), {
      kind: "usable",
      base: "mx.signed.test",
      records: [{ usage: 3, selector: 1, matching: 1, data: "ab".repeat(32) }],
      names: ["mx.signed.test", "signed.test"],
    });
  });

  test("a signed denial is none", async () => {
    assert.deepEqual(await found("signed.test", "bare.signed.test"), { kind: "none" });
  });

  test("TLSA with a wrong signature: the host is not used", async () => {
    const dane = await found("signed.test", "forged.signed.test");
    assert.equal(dane.kind, "failed");
  });

  test("a denial with a wrong signature: the host is not used", async () => {
    const dane = await found("signed.test", "faked.signed.test");
    assert.equal(dane.kind, "failed");
  });

  test("the same in a zone without a signature is none", async () => {
    assert.deepEqual(await found("unsigned.test", "mx.unsigned.test"), { kind: "none" });
  });

  test("a signed alias leads to the records of its target", async () => {
    const dane = await found("signed.test", "alias.signed.test");
    assert.ok(dane.kind === "usable");
    assert.equal(dane.base, "mx.signed.test");
    assert.deepEqual(dane.names, ["mx.signed.test", "alias.signed.test", "signed.test"]);
  });

  test("of a signed alias into an unsigned zone its own records count (RFC 7672 §2.2.2)", async () => {
    const dane = await found("signed.test", "away.signed.test");
    assert.ok(dane.kind === "usable");
    assert.equal(dane.base, "away.signed.test");
  });
});

describe("findDane()", () => {
  const hop = {
    ...{ domain: "a.example", host: "mx.a.example", viaMx: true },
    ...{ mxAuthenticated: true, addressAuthenticated: true },
  };
  const one = (usage: number, selector: number, matching: number, data = "ab".repeat(32)) => ({
    ...{ usage, selector, matching, data },
  });
  const cases = [
    ["SHA-256 beside SHA-512 of the same kind", [one(3, 1, 1), one(3, 1, 2, "cd".repeat(64))], [2]],
    ["SHA-256 beside SHA-512 of another", [one(3, 1, 1), one(2, 1, 2, "cd".repeat(64))], [1, 2]],
    ["a digest of a wrong length", [one(3, 1, 1, "abcd"), one(3, 1, 1)], [1]],
    ["a whole key beside a digest", [one(3, 1, 0, "3059"), one(3, 1, 1)], [0, 1]],
    ["usages for browsers", [one(0, 1, 1), one(1, 1, 1)], "unusable"],
    ["kinds that nobody knows", [one(3, 2, 1), one(3, 1, 3), one(4, 0, 1)], "unusable"],
  ] as const;
  for (const [name, given, expected] of cases) {
    test(`${name}: ${JSON.stringify(expected)} (RFC 7672 §3.1, RFC 7671 §9)`, async () => {
      await using world = new TlsWorld();
      world.say("TLSA", "_25._tcp.mx.a.example", given, true);
      const dane = await findDane(hop, 25, world.resolver);
      if (dane.kind === "usable")
        assert.deepEqual(
          dane.records.map(({ matching }) => matching),
          expected,
        );
      else assert.equal(dane.kind, expected);
    });
  }

  test("nothing is asked for a host that nobody signed", async () => {
    await using world = new TlsWorld();
    const unsigned = { ...hop, mxAuthenticated: false, addressAuthenticated: false };
    assert.deepEqual(await findDane(unsigned, 25, world.resolver), { kind: "none" });
    assert.deepEqual(world.questions, []);
  });

  test("the port is that of the hop, and aliases that go in circles end", async () => {
    await using world = new TlsWorld();
    world.say("CNAME", "mx.a.example", [{ name: "b.example" }], true);
    world.say("CNAME", "b.example", [{ name: "mx.a.example" }], true);
    await findDane(hop, 465, world.resolver);
    assert.ok(world.questions.length < 20);
    assert.ok(world.questions.some(({ name }) => name === "_465._tcp.mx.a.example"));
  });
});
