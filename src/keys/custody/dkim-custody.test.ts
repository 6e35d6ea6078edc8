import assert from "node:assert/strict";
import { hash, verify } from "node:crypto";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  promises,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { Denied, Misconfigured } from "#base/errors";
import { signatureValidMs } from "#contracts/keyring";
import { type Custody, openCustody } from "#keys/custody";

const root = mkdtempSync(join(tmpdir(), "custody-"));
after(() => rmSync(root, { recursive: true }));

const domain = "example.org";
const madeAtMs = Date.UTC(2026, 2, 1);
const day = 86_400_000;
let folders = 0;

function newFolder(): string {
  const folder = join(root, String((folders += 1)));
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}

function copyOf(folder: string): string {
  const copy = join(root, String((folders += 1)));
  cpSync(folder, copy, { recursive: true });
  return copy;
}

const signing = (custody: Custody): string[] => custody.keys(domain).map((key) => key.selector);
const states = (custody: Custody): string[] =>
  custody.list(domain).map(({ selector, state }) => `${selector} ${state}`);

/** A folder in each state of a rotation; made once, for it takes time. */
async function stages(): Promise<Readonly<Record<"made" | "added" | "activated", string>>> {
  const made = newFolder();
  await (await openCustody(made)).make(domain, madeAtMs);
  const added = copyOf(made);
  await (await openCustody(added)).add(domain, madeAtMs + day);
  const activated = copyOf(added);
  await (await openCustody(activated)).activate(domain, ["2026a2", "2026e2"], madeAtMs + 2 * day);
  return { made, added, activated };
}
const { made, added, activated } = await stages();
const soonMs = madeAtMs + 3 * day;
const lateMs = madeAtMs + 2 * day + signatureValidMs;

describe("DKIM key rotation", () => {
  test("makes pending keys that do not sign, once, for their owner only", async () => {
    const folder = copyOf(added);
    const custody = await openCustody(folder);
    assert.deepEqual(signing(custody), ["2026a", "2026e"]);
    assert.deepEqual(states(custody), [
      ...["2026a active", "2026a2 pending"],
      ...["2026e active", "2026e2 pending"],
    ]);
    const again = await custody.add("Example.ORG", soonMs);
    assert.deepEqual(
      again?.map(({ selector, algorithm, sinceMs }) => [selector, algorithm, sinceMs]),
      [
        ["2026a2", "rsa-sha256", madeAtMs + day],
        ["2026e2", "ed25519-sha256", madeAtMs + day],
      ],
    );
    for (const selector of ["2026a2", "2026e2"]) {
      assert.equal(custody.sign(domain, selector, Buffer.from("x")), undefined);
    }
    for (const name of readdirSync(folder)) {
      assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
    }
  });

  test("lets the new keys sign when they are activated, and the old ones retire", async () => {
    const custody = await openCustody(copyOf(activated));
    assert.deepEqual(signing(custody), ["2026a2", "2026e2"]);
    assert.equal(custody.sign(domain, "2026a", Buffer.from("x")), undefined);
    for (const key of custody.keys(domain)) {
      const octets = Buffer.from("signed");
      const isRsa = key.algorithm === "rsa-sha256";
      const signature = await custody.sign(domain, key.selector, octets);
      const spki = {
        key: Buffer.from(key.publicKey, "base64"),
        format: "der",
        type: "spki",
      } as const;
      const signed = isRsa ? octets : hash("sha256", octets, "buffer");
      assert.ok(verify(isRsa ? "sha256" : null, signed, spki, signature ?? assert.fail()));
    }
    assert.deepEqual(await custody.make(domain, soonMs), custody.keys(domain));
  });

  test("takes an old key back as long as it is there", async () => {
    const folder = copyOf(activated);
    await (await openCustody(folder)).activate(domain, ["2026a"], soonMs);
    const custody = await openCustody(folder);
    assert.deepEqual(states(custody), [
      ...["2026a active", "2026a2 retiring"],
      ...["2026e retiring", "2026e2 active"],
    ]);
  });

  test("destroys a retiring key after two weeks, not before unless forced", async () => {
    const folder = copyOf(activated);
    const custody = await openCustody(folder);
    const early = { nowMs: lateMs - 1, isForced: false };
    await assert.rejects(custody.retire(domain, ["2026a"], early), /good until 2026-03-17T00:00Z/);
    await custody.retire(domain, ["2026a"], { nowMs: lateMs, isForced: false });
    await custody.retire(domain, ["2026a"], { nowMs: lateMs, isForced: false });
    await custody.retire(domain, ["2026e"], { nowMs: soonMs, isForced: true });
    assert.deepEqual(states(custody), ["2026a2 active", "2026e2 active"]);
    assert.deepEqual(readdirSync(folder), [
      ...["example.org.2026a2.pem", "example.org.2026e2.pem", "example.org.states.json"],
    ]);
  });

  test("never destroys a key that signs, forgets a pending one at once", async () => {
    const custody = await openCustody(copyOf(added));
    const forced = { nowMs: soonMs, isForced: true };
    await assert.rejects(custody.retire(domain, ["2026a"], forced), Denied);
    await assert.rejects(custody.retire(domain, ["2026a2", "2026a"], forced), Denied);
    assert.equal(states(custody).length, 4);
    await custody.retire(domain, ["2026a2"], { nowMs: soonMs, isForced: false });
    assert.deepEqual(states(custody), ["2026a active", "2026e active", "2026e2 pending"]);
  });

  test("never uses a selector again", async () => {
    const folder = copyOf(added);
    const custody = await openCustody(folder);
    const forced = { nowMs: soonMs, isForced: true };
    await custody.retire(domain, ["2026a2", "2026e2"], forced);
    const next = await (await openCustody(folder)).add(domain, soonMs);
    assert.deepEqual(
      next?.map(({ selector }) => selector),
      ["2026a3", "2026e3"],
    );
  });

  test("denies unknown keys, and names that are no domains", async () => {
    const folder = copyOf(made);
    const custody = await openCustody(folder);
    const how = { nowMs: soonMs, isForced: true };
    await assert.rejects(custody.activate(domain, ["2025a"], soonMs), Denied);
    await assert.rejects(custody.activate("other.example", ["2026a"], soonMs), Denied);
    for (const name of ["../up.org", "a/b.org", "", "nodots"]) {
      assert.equal(await custody.add(name, soonMs), undefined);
      await assert.rejects(custody.activate(name, [], soonMs), Denied);
      await assert.rejects(custody.retire(name, [], how), Denied);
    }
    assert.equal(readdirSync(folder).length, 2);
  });

  test("does what is asked at the same time one after the other", async () => {
    const custody = await openCustody(copyOf(added));
    await Promise.all([
      custody.activate(domain, ["2026a2", "2026e2"], soonMs),
      custody.activate(domain, ["2026a"], soonMs),
      custody.retire(domain, ["2026a2"], { nowMs: soonMs, isForced: true }),
    ]);
    assert.deepEqual(states(custody), ["2026a active", "2026e retiring", "2026e2 active"]);
  });

  test("refuses a damaged file of states", async () => {
    for (const text of ["", "[1]", '{"2026a":{"state":"active"}}', '{"2026a":null}', "null"]) {
      const folder = copyOf(made);
      writeFileSync(join(folder, "example.org.states.json"), text, { mode: 0o600 });
      await assert.rejects(openCustody(folder), Misconfigured, text);
    }
  });
});

/** The calls that change a folder, as `private-file.ts` makes them. */
const calls = ["open", "rename", "rm"] as const;

/** Runs the act and lets the process die behind its nth call: later ones do nothing any more. */
async function killedAfter(nth: number, act: () => Promise<unknown>): Promise<boolean> {
  const real = { ...promises };
  let count = 0;
  let isDead = false;
  for (const name of calls) {
    const run = real[name] as (...args: unknown[]) => Promise<unknown>;
    Object.assign(promises, {
      [name]: async (...args: unknown[]) => {
        isDead ||= (count += 1) > nth;
        if (isDead) throw new Error("killed");
        return await run(...args);
      },
    });
  }
  syncBuiltinESMExports();
  try {
    await act().catch((error: unknown) => assert.match(String(error), /killed/));
    return isDead;
  } finally {
    Object.assign(promises, real);
    syncBuiltinESMExports();
  }
}

describe("a kill in the middle of", () => {
  const acts = {
    add: {
      from: made,
      run: (custody: Custody) => custody.add(domain, madeAtMs + day),
      signs: [["2026a", "2026e"]],
      keys: 4,
    },
    activate: {
      from: added,
      run: (custody: Custody) => custody.activate(domain, ["2026a2", "2026e2"], soonMs),
      signs: [
        ["2026a", "2026e"],
        ["2026a2", "2026e2"],
      ],
      keys: 4,
    },
    retire: {
      from: activated,
      run: (custody: Custody) =>
        custody.retire(domain, ["2026a", "2026e"], { nowMs: lateMs, isForced: false }),
      signs: [["2026a2", "2026e2"]],
      keys: 2,
    },
  };
  for (const [name, { from, run, signs, keys }] of Object.entries(acts)) {
    test(`${name} leaves a folder that opens, signs as before or after, and can go on`, async (t) => {
      let steps = 0;
      for (let isDead = true; isDead; steps += 1) {
        const folder = copyOf(from);
        const custody = await openCustody(folder);
        isDead = await killedAfter(steps, () => run(custody));
        const reopened = await openCustody(folder);
        const found = signing(reopened);
        assert.ok(
          signs.some((one) => one.join() === found.join()),
          `after ${steps}: ${found.join()}`,
        );
        for (const file of readdirSync(folder)) assert.ok(!file.endsWith(".part"), file);
        await run(reopened);
        const last = await openCustody(folder);
        assert.deepEqual(states(last), states(reopened));
        assert.deepEqual(signing(last), signs.at(-1));
        assert.equal(last.count, keys);
        const pems = readdirSync(folder).filter((file) => file.endsWith(".pem"));
        assert.equal(pems.length, keys);
        for (const pem of pems) assert.match(readFileSync(join(folder, pem), "latin1"), /END/);
      }
      assert.ok(steps > 4, `${steps} places`);
      t.diagnostic(`${steps} places to die`);
    });
  }
});
