import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemRandom } from "#base/random";
import { memoryMaster, type OpenStore } from "#store";
import { acceptMail, mail, openOn, storeWithAlice } from "../fixture.ts";
import { readManifest } from "./catalogue.ts";
import type { Created } from "./create.ts";
import { drillBackup } from "./drill.ts";
import { faultText } from "./faults.ts";
import {
  backUp,
  type MemoryTarget,
  memorySandbox,
  memoryTarget,
  pair,
  recoveryPair,
  restoredTo,
  tryRestore,
} from "./fixture.test.ts";
import type { Manifest } from "./manifest.ts";
import { verifyBackup } from "./verify.ts";

interface Kept extends MemoryTarget {
  readonly store: OpenStore;
  readonly created: Created;
  readonly manifest: Manifest;
}

async function kept(): Promise<Kept> {
  const store = await storeWithAlice();
  for (let number = 1; number <= 100; number += 1)
    await acceptMail(store, number, mail(`m ${number}`, 4000));
  const { target, disk } = memoryTarget();
  const created = await backUp(store, target);
  const manifest = await readManifest(target, created.name);
  assert.ok(manifest.ok);
  return { store, target, disk, created, manifest: manifest.value };
}

/** Whatever was done to it, it is told, and nothing comes of a restore. */
async function assertRefused(
  { target, created }: Kept,
  object: string,
  what: RegExp,
): Promise<void> {
  const { faults } = await verifyBackup({ target, name: created.name, own: pair.own });
  assert.ok(
    faults.some((one) => one.object === object),
    JSON.stringify(faults),
  );
  for (const fault of faults) assert.ok(faultText(fault).length > 20);
  const { disk, outcome } = await tryRestore(target, created.name);
  assert.ok(!outcome.ok);
  assert.match(outcome.fault.what, what);
  assert.deepEqual(await disk.list("/store"), [], "nothing is left of it");
}

describe("a backup that somebody touched", () => {
  const where: readonly [string, (manifest: Manifest) => string][] = [
    ["the keys", ({ keys }) => keys.name],
    ["the first segment", ({ segments }) => segments[0]?.name ?? ""],
    ["the last segment", ({ segments }) => segments.at(-1)?.name ?? ""],
  ];
  for (const [which, nameIn] of where) {
    test(`is refused when ${which} was altered, cut, made longer or removed`, async () => {
      const all = await kept();
      const name = nameIn(all.manifest);
      const path = `/mount/${name}`;
      const right = Buffer.from(all.disk.octets(path));
      const put = async (octets: Buffer): Promise<void> => {
        await all.disk.remove(path);
        const file = await all.disk.open(path, "create");
        await file.write([octets], 0);
      };
      for (const at of [0, 5, 100, 1300, Math.floor(right.length / 2), right.length - 1]) {
        const octets = Buffer.from(right);
        octets[at] = (octets[at] ?? 0) ^ 1;
        await put(octets);
        await assertRefused(all, name, /altered|not-an-archive|too-short|bad-keys/);
        const { faults } = await verifyBackup({ target: all.target, name: all.created.name });
        assert.deepEqual(faults, [{ object: name, what: "other-hash" }], "without the key as well");
      }
      for (const length of [0, 3, 1000, right.length - 1, right.length - 20]) {
        await put(right.subarray(0, length));
        await assertRefused(all, name, /altered|too-short/);
      }
      await put(Buffer.concat([right, Buffer.alloc(1)]));
      await assertRefused(all, name, /altered/);
      await all.disk.remove(path);
      await assertRefused(all, name, /missing/);
      await put(right);
      await restoredTo(all.target, all.created.name);
      await all.store[Symbol.asyncDispose]();
    });
  }

  test("is refused when two objects were swapped", async () => {
    const all = await kept();
    const [one, two] = [all.manifest.segments[0]?.name ?? "", all.manifest.segments[1]?.name ?? ""];
    await all.disk.rename(`/mount/${one}`, "/mount/objects/aside");
    await all.disk.rename(`/mount/${two}`, `/mount/${one}`);
    await all.disk.rename("/mount/objects/aside", `/mount/${two}`);
    await assertRefused(all, one, /altered/);
    await all.store[Symbol.asyncDispose]();
  });

  test("is refused when an older object stands under a newer name", async () => {
    const all = await kept();
    await acceptMail(all.store, 500);
    const next = await backUp(all.store, all.target);
    const manifest = await readManifest(all.target, next.name);
    assert.ok(manifest.ok);
    const [older, newer] = [all.manifest.keys.name, manifest.value.keys.name];
    const octets = Buffer.from(all.disk.octets(`/mount/${older}`));
    await all.disk.remove(`/mount/${newer}`);
    await (await all.disk.open(`/mount/${newer}`, "create")).write([octets], 0);
    await assertRefused({ ...all, created: next }, newer, /altered/);
    await all.store[Symbol.asyncDispose]();
  });

  test("is refused when its manifest was altered or renamed", async () => {
    const all = await kept();
    const { name } = all.created;
    const octets = all.disk.octets(`/mount/${name}`);
    octets[40] = (octets[40] ?? 0) ^ 1;
    await assertRefused(all, name, /wrong-hash/);
    octets[40] = (octets[40] ?? 0) ^ 1;
    const later = name.replace(/\d{13}/, "9999999999999");
    await all.disk.rename(`/mount/${name}`, `/mount/${later}`);
    await assertRefused({ ...all, created: { ...all.created, name: later } }, later, /bad-name/);
    await assertRefused(all, name, /missing/);
    await all.store[Symbol.asyncDispose]();
  });

  test("opens with its own recovery key only", async () => {
    const all = await kept();
    const other = recoveryPair();
    const { outcome } = await tryRestore(all.target, all.created.name, { own: other.own });
    assert.ok(!outcome.ok && outcome.fault.what === "other-key");
    const disguised = { id: pair.own.id, keys: other.own.keys };
    const tried = await tryRestore(all.target, all.created.name, { own: disguised });
    assert.ok(!tried.outcome.ok && tried.outcome.fault.what === "wrong-key-or-altered");
    await all.store[Symbol.asyncDispose]();
  });
});

describe("a restored store", () => {
  test("opens under the master key of its new place, and under no other", async () => {
    const { target, created, store } = await kept();
    await store[Symbol.asyncDispose]();
    const master = memoryMaster(systemRandom);
    const disk = await restoredTo(target, created.name, { master });
    await assert.rejects(openOn(disk), /master key/);
    await (await openOn(disk, { master }))[Symbol.asyncDispose]();
  });
});

describe("CAP-102 a drill", () => {
  test("restores, makes the views, reads messages, says how long that took, and leaves nothing", async () => {
    const { target, created, store } = await kept();
    await store[Symbol.asyncDispose]();
    const steps: string[] = [];
    const sandbox = memorySandbox();
    const drilled = await drillBackup({
      ...{ target, name: created.name, own: pair.own, sandbox, random: systemRandom },
      messages: 40,
      onStep: (step) => steps.push(step),
    });
    assert.equal(drilled.reason, undefined);
    assert.ok(drilled.ok);
    assert.equal(drilled.messages, 40);
    assert.equal(drilled.lsn, created.lsn);
    assert.deepEqual(steps, ["restore", "rebuild"]);
    assert.ok(drilled.seconds.all >= drilled.seconds.restore);
    assert.ok(sandbox.isRemoved());
  });

  test("does not pass when the backup is damaged, and says why", async () => {
    const all = await kept();
    const name = all.manifest.segments[1]?.name ?? "";
    const octets = all.disk.octets(`/mount/${name}`);
    octets[90_000] = (octets[90_000] ?? 0) ^ 1;
    const sandbox = memorySandbox();
    const parts = { target: all.target, name: all.created.name, own: pair.own, sandbox };
    const drilled = await drillBackup({ ...parts, random: systemRandom, messages: 40 });
    assert.ok(!drilled.ok);
    assert.match(drilled.reason ?? "", new RegExp(`${name}.*altered`));
    assert.ok(sandbox.isRemoved());
    await all.store[Symbol.asyncDispose]();
  });
});
