import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import type { PolicySnapshot } from "#contracts/deposit";
import { defaultSenderRules } from "#policy";
import { openPolicy } from "./policy.ts";

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const publicPem = publicKey.export({ type: "spki", format: "pem" }).toString();
const salt = Buffer.alloc(32, 7);
const digest = (text: string): string =>
  createHmac("sha256", salt).update(text).digest("base64url");

const snapshot = (version: number, change: object = {}): PolicySnapshot => ({
  version,
  madeAtMs: 0,
  salt: salt.toString("base64"),
  recipients: ["ann@example.org", "list+one@example.org"].map(digest),
  domains: ["example.org"].map(digest),
  ownRelays: ["192.0.2.0/24"],
  trustedSealers: [],
  praMode: "rfc4407",
  rules: defaultSenderRules,
  maxMessageBytes: 1_000_000,
  ...change,
});

function signed(value: unknown, key = privateKey): Buffer {
  const text = JSON.stringify(value);
  const signature = sign(null, Buffer.from(text), key).toString("base64");
  return Buffer.from(JSON.stringify({ snapshot: text, signature }));
}

describe("openPolicy()", () => {
  let folder = "";
  let count = 0;
  const file = (): string => join(folder, `policy-${(count += 1)}`);
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "policy-"));
  });
  after(() => rm(folder, { recursive: true }));

  test("tells known users, unknown users and foreign domains apart", async () => {
    const policy = await openPolicy(file(), publicPem);
    assert.equal(policy.address("ann@example.org"), "no-policy");
    assert.deepEqual(await policy.take(signed(snapshot(1))), { ok: true, value: 1 });
    const cases = [
      ["ann@example.org", "known"],
      ["Ann@EXAMPLE.org", "known"],
      ["ann+news@example.org", "known"],
      ["ann+a+b@example.org", "known"],
      ["list+one@example.org", "known"],
      ["list@example.org", "unknown-user"],
      ["bob@example.org", "unknown-user"],
      ["+ann@example.org", "unknown-user"],
      ["ann@example.com", "foreign-domain"],
      ["ann@example.com@example.org", "unknown-user"],
      ["ann@example.org@example.com", "foreign-domain"],
      ["ann", "foreign-domain"],
      ["", "foreign-domain"],
    ] as const;
    for (const [path, answer] of cases) assert.equal(policy.address(path), answer, path);
  });

  test("asks the inside about the others of a gateway domain, and of no other", async () => {
    const policy = await openPolicy(file(), publicPem);
    await policy.take(signed(snapshot(1, { askedDomains: [digest("example.org")] })));
    for (const [path, answer] of [
      ["ann@example.org", "known"],
      ["ann+news@example.org", "known"],
      ["bob@Example.ORG", "ask"],
      ["bob+tag@example.org", "ask"],
      ["bob@example.com", "foreign-domain"],
      ["bob@example.org@example.com", "foreign-domain"],
    ] as const) {
      assert.equal(policy.address(path), answer, path);
    }
    const wrong = signed(snapshot(2, { askedDomains: [7] }));
    assert.deepEqual(await policy.take(wrong), { ok: false, fault: "bad-shape", at: 0 });
  });

  test("survives a restart", async () => {
    const path = file();
    await (await openPolicy(path, publicPem)).take(signed(snapshot(5)));
    const again = await openPolicy(path, publicPem);
    assert.equal(again.current?.version, 5);
    assert.equal(again.address("ann@example.org"), "known");
  });

  test("refuses older ones, also after a restart, and takes the same again", async () => {
    const path = file();
    await (await openPolicy(path, publicPem)).take(signed(snapshot(5)));
    const again = await openPolicy(path, publicPem);
    assert.deepEqual(await again.take(signed(snapshot(4))), { ok: false, fault: "older", at: 0 });
    assert.deepEqual(await again.take(signed(snapshot(5))), { ok: true, value: 5 });
    assert.equal(again.current?.version, 5);
  });

  test("refuses what another key signed, in memory and on disk", async () => {
    const path = file();
    const stranger = generateKeyPairSync("ed25519").privateKey;
    const forged = signed(snapshot(9), stranger);
    const policy = await openPolicy(path, publicPem);
    assert.deepEqual(await policy.take(forged), { ok: false, fault: "bad-signature", at: 0 });
    await writeFile(path, forged);
    assert.equal((await openPolicy(path, publicPem)).current, undefined);
  });

  test("an octet changed on disk makes it no policy, not a wrong one", async () => {
    const path = file();
    await (await openPolicy(path, publicPem)).take(signed(snapshot(2)));
    const bytes = await readFile(path);
    const random = seededRandom(8);
    for (let round = 0; round < 60; round += 1) {
      const altered = Buffer.from(bytes);
      altered[pick(random, altered.length)] = 33 + pick(random, 90);
      await writeFile(path, altered);
      const { current } = await openPolicy(path, publicPem);
      assert.ok(current === undefined || current.recipients[0] === digest("ann@example.org"));
    }
  });

  const shapes: readonly (readonly [string, unknown])[] = [
    ["no object", null],
    ["no version", snapshot(1, { version: "2" })],
    ["no recipients", snapshot(1, { recipients: undefined })],
    ["numbers for recipients", snapshot(1, { recipients: [1] })],
    [
      "an unknown disposition",
      snapshot(1, { rules: { ...defaultSenderRules, spf: { fail: "explode" } } }),
    ],
    ["no rules", snapshot(1, { rules: null })],
    ["a relay that is no network", snapshot(1, { ownRelays: ["192.0.2.0/33"] })],
    ["an unknown way to the PRA", snapshot(1, { praMode: "guess" })],
    ["no size", snapshot(1, { maxMessageBytes: 0 })],
  ];
  for (const [name, value] of shapes) {
    test(`refuses a snapshot with ${name}, though signed`, async () => {
      const policy = await openPolicy(file(), publicPem);
      assert.deepEqual(await policy.take(signed(value)), { ok: false, fault: "bad-shape", at: 0 });
    });
  }
});
