import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { simulatedDisk } from "#base/disk-sim";
import { seededRandom } from "#base/random";
import { makeSealKeys } from "#contracts/sealed";
import { manifestNames, newObjectName, objectTimeMs, readManifest } from "./catalogue.ts";
import { folderTarget } from "./folder-target.ts";
import type { KeysObject, SegmentObject } from "./manifest.ts";
import { formatManifest } from "./manifest-octets.ts";
import { octetsOf } from "./octets.ts";
import { type Keep, type Pruned, prune } from "./prune.ts";
import type { Target } from "./target.ts";

const { publicKeys } = makeSealKeys();
const dayMs = 86_400_000;
const startMs = Date.UTC(2026, 0, 1);
const sha256 = "00".repeat(32);

function emptyTarget(seed = 1): Target {
  const random = seededRandom(seed);
  return folderTarget("/mount", {
    disk: simulatedDisk(random),
    random,
    guard: async () => undefined,
  });
}

/** A backup that adds one piece to those of the backup before. */
async function backUp(
  target: Target,
  day: number,
  before: readonly SegmentObject[],
): Promise<readonly SegmentObject[]> {
  const random = seededRandom(1000 + day);
  const atMs = startMs + day * dayMs;
  const segment = (before.at(-1)?.segment ?? 0) + 1;
  const stored = { sizeBytes: 3, sha256 };
  const place = { kind: "segment", segment, firstPage: 0 } as const;
  const piece = {
    ...place,
    ...stored,
    name: newObjectName(place, atMs, random),
    revision: 0,
    pages: 1,
  };
  const keys: KeysObject = {
    ...stored,
    kind: "keys",
    name: newObjectName({ kind: "keys" }, atMs, random),
  };
  for (const { name } of [piece, keys]) await target.put(name, octetsOf(Buffer.from("abc")));
  const segments = [...before, piece];
  const { name, octets } = formatManifest(
    publicKeys,
    { storeId: "00".repeat(8), createdAtMs: atMs, recoveryKey: "00".repeat(16), keys, segments },
    {
      position: { lsn: 1, generation: 1, segment, page: 1 },
      root: sha256,
      counts: { newObjects: 2, newBytes: 6, repairedPages: 0 },
    },
  );
  await target.put(name, octetsOf(octets));
  return segments;
}

async function tenDays(target: Target): Promise<void> {
  let segments: readonly SegmentObject[] = [];
  for (let day = 0; day < 10; day += 1) {
    // On the sixth day all is stored anew, as after a compaction.
    segments = await backUp(target, day, day === 5 ? [] : segments);
  }
}

async function objects(target: Target): Promise<readonly string[]> {
  return (await Array.fromAsync(target.list("objects"))).map(({ name }) => name);
}

const lateMs = startMs + 40 * dayMs;

async function pruned(target: Target, keep: Keep, nowMs = lateMs): Promise<Pruned> {
  const result = await prune(target, keep, nowMs);
  assert.ok(result.ok);
  return result.value;
}

describe("prune()", () => {
  const cases: readonly (readonly [Keep, Pruned])[] = [
    // Seven days back from the newest: days 2 to 9; the objects of segments 1 and 2 are still needed.
    [
      { days: 7, count: 0 },
      { kept: 8, removedManifests: 2, removedObjects: 2 },
    ],
    [
      { days: 0, count: 4 },
      { kept: 4, removedManifests: 6, removedObjects: 11 },
    ],
    [
      { days: 2, count: 4 },
      { kept: 4, removedManifests: 6, removedObjects: 11 },
    ],
    [
      { days: 0, count: 0 },
      { kept: 1, removedManifests: 9, removedObjects: 14 },
    ],
    [
      { days: 30, count: 0 },
      { kept: 10, removedManifests: 0, removedObjects: 0 },
    ],
    [
      { days: 0, count: 99 },
      { kept: 10, removedManifests: 0, removedObjects: 0 },
    ],
  ];
  for (const [keep, expected] of cases) {
    test(`keeps ${expected.kept} of 10 with ${JSON.stringify(keep)}, and all that they need`, async () => {
      const target = emptyTarget();
      await tenDays(target);
      assert.deepEqual(await pruned(target, keep), expected);
      const names = await manifestNames(target);
      assert.equal(names.length, expected.kept);
      assert.deepEqual([...names], [...names].sort().reverse());
      const left = new Set(await objects(target));
      assert.equal(left.size, 20 - expected.removedObjects);
      for (const name of names) {
        const manifest = await readManifest(target, name);
        assert.ok(manifest.ok);
        for (const object of [manifest.value.keys, ...manifest.value.segments]) {
          assert.ok(left.has(object.name));
        }
      }
      assert.deepEqual(await pruned(target, keep), {
        kept: expected.kept,
        removedManifests: 0,
        removedObjects: 0,
      });
    });
  }

  test("leaves what a backup that is being made has stored so far", async () => {
    const target = emptyTarget();
    await tenDays(target);
    const name = newObjectName(
      { kind: "segment", segment: 99, firstPage: 0 },
      lateMs - 3_600_000,
      seededRandom(7),
    );
    await target.put(name, octetsOf(Buffer.from("new")));
    await target.put("objects/of-somebody-else", octetsOf(Buffer.from("x")));
    await pruned(target, { days: 0, count: 1 });
    assert.ok((await objects(target)).includes(name));
    await pruned(target, { days: 0, count: 1 }, lateMs + dayMs);
    assert.ok(!(await objects(target)).includes(name));
    assert.ok((await objects(target)).includes("objects/of-somebody-else"));
  });

  test("removes nothing for a clock that runs ahead, and nothing without a manifest", async () => {
    const target = emptyTarget();
    await tenDays(target);
    const far = startMs + 5000 * dayMs;
    assert.equal((await pruned(target, { days: 30, count: 1 }, far)).removedManifests, 0);
    for (const name of await manifestNames(target)) await target.remove(name);
    assert.equal((await pruned(target, { days: 30, count: 1 }, far)).removedObjects, 0);
    assert.equal((await objects(target)).length, 20);
  });

  test("removes nothing while a manifest that stays cannot be read", async () => {
    const target = emptyTarget();
    await tenDays(target);
    const names = await manifestNames(target);
    await target.put(names[2] ?? "", octetsOf(Buffer.from("{}")));
    const result = await prune(target, { days: 0, count: 3 }, lateMs);
    assert.deepEqual(result, { ok: false, fault: "wrong-hash", at: 2 });
    assert.equal((await manifestNames(target)).length, 10);
    assert.equal((await objects(target)).length, 20);
    // One that is not to stay is in nobody's way.
    assert.equal((await pruned(target, { days: 0, count: 2 })).removedManifests, 8);
  });

  test("stopped anywhere, it leaves backups that are whole, and the next run ends it", async () => {
    for (let stopAt = 1; stopAt < 20; stopAt += 1) {
      const target = emptyTarget();
      await tenDays(target);
      let removals = 0;
      const stopping: Target = {
        title: "",
        put: (...all) => target.put(...all),
        get: (...all) => target.get(...all),
        list: (folder) => target.list(folder),
        sweep: (olderThanMs) => target.sweep(olderThanMs),
        async remove(name) {
          removals += 1;
          if (removals === stopAt) throw new Error("stopped");
          await target.remove(name);
        },
      };
      await prune(stopping, { days: 0, count: 3 }, lateMs).catch(() => undefined);
      const left = new Set(await objects(target));
      for (const name of await manifestNames(target)) {
        const manifest = await readManifest(target, name);
        assert.ok(manifest.ok);
        for (const object of manifest.value.segments) assert.ok(left.has(object.name), `${stopAt}`);
      }
      await pruned(target, { days: 0, count: 3 });
      assert.equal((await objects(target)).length, 8);
    }
  });
});

test("newObjectName() tells the time, and no two names are alike", () => {
  const random = seededRandom(1);
  const place = { kind: "segment", segment: 4, firstPage: 70 } as const;
  const one = newObjectName(place, startMs, random);
  assert.match(one, /^objects\/\d{13}-segment-4-70-[0-9a-f]{16}$/);
  assert.notEqual(newObjectName(place, startMs, random), one);
  assert.equal(objectTimeMs(one), startMs);
  assert.equal(objectTimeMs(newObjectName({ kind: "keys" }, 5, random)), 5);
  assert.equal(objectTimeMs("objects/anything"), undefined);
});
