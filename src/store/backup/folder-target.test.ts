import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { type SimulatedDisk, simulatedDisk } from "#base/disk-sim";
import { Full, Misconfigured, Unavailable } from "#base/errors";
import { seededRandom } from "#base/random";
import { fakeClock } from "../../../tests/kit/fake-clock.ts";
import { folderTarget } from "./folder-target.ts";
import { gather, octetsOf } from "./octets.ts";
import type { Target } from "./target.ts";

const noGuard = async (): Promise<void> => undefined;

function simulated(disk: SimulatedDisk, seed: number): Target {
  const random = seededRandom(seed);
  return folderTarget("/mount", { disk, random, clock: fakeClock(), guard: noGuard });
}

async function textOf(target: Target, name: string): Promise<string | undefined> {
  const stored = await target.get(name);
  return stored === undefined ? undefined : (await gather(stored, 1_000_000))?.toString();
}

const content = (letter: string): AsyncIterable<Uint8Array> =>
  octetsOf(Buffer.from(letter.repeat(3000)), Buffer.from(letter.repeat(2000)));

describe("a folder, when the power fails", () => {
  test("holds an object whole or not at all, and whole once put() has resolved (2,000 cuts)", async () => {
    let whole = 0;
    let before = 0;
    for (let seed = 0; seed < 2000; seed += 1) {
      const random = seededRandom(seed);
      const disk = simulatedDisk(random);
      await simulated(disk, seed).put("objects/a", content("1"));
      disk.faults = { cutAtOperation: disk.operations + 1 + (seed % 12) };
      let isPut = false;
      const put = simulated(disk, seed).put("objects/a", content("2"));
      await Promise.race([put.then(() => void (isPut = true)), disk.dead]);

      const found = await textOf(simulated(disk.powerCut(), seed), "objects/a");
      const [letter] = found ?? "";
      assert.equal(found, letter?.repeat(5000), `seed ${seed}: torn`);
      if (isPut) assert.equal(letter, "2", `seed ${seed}: lost`);
      if (letter === "2") whole += 1;
      else before += 1;
    }
    assert.ok(whole > 200 && before > 200, `${whole} and ${before}`);
  });

  test("holds nothing of another name than the one that was put", async () => {
    const random = seededRandom(9);
    const disk = simulatedDisk(random);
    await simulated(disk, 1).put("objects/a", content("1"));
    disk.faults = { cutAtOperation: disk.operations + 5 };
    await Promise.race([simulated(disk, 2).put("objects/b", content("2")), disk.dead]);
    const names: string[] = [];
    for await (const { name } of simulated(disk.kill(), 3).list("objects")) names.push(name);
    assert.deepEqual(names, ["objects/a"]);
  });
});

describe("a folder, when the disk fails", () => {
  test("rejects at each operation with a kind of its own, and shows nothing new", async () => {
    const kinds = {
      EIO: Unavailable,
      ENOSPC: Full,
      EDQUOT: Full,
      EROFS: Misconfigured,
      EACCES: Misconfigured,
    } as const;
    for (const [failCode, kind] of Object.entries(kinds)) {
      let failed = 0;
      for (let at = 1; at < 12; at += 1) {
        const disk = simulatedDisk(seededRandom(at));
        disk.faults = { failAtOperation: at, failCode };
        try {
          await simulated(disk, at).put("objects/a", content("1"));
        } catch (error) {
          failed += 1;
          assert.ok(error instanceof kind, `${failCode} at ${at}: ${error}`);
          assert.match(error.message, /^backup folder \/mount/);
        }
        disk.faults = {};
        const found = await textOf(simulated(disk, 0), "objects/a");
        assert.ok(found === undefined || found === "1".repeat(5000));
      }
      assert.ok(failed >= 7, `${failed} operations can fail with ${failCode}`);
    }
  });

  test("puts where a folder cannot be flushed, as on some network mounts", async () => {
    const disk = simulatedDisk(seededRandom(1));
    disk.syncDirectory = async () => {
      throw Object.assign(new Error(), { code: "EINVAL" });
    };
    await simulated(disk, 1).put("objects/a", content("1"));
    assert.equal(await textOf(simulated(disk, 1), "objects/a"), "1".repeat(5000));
  });

  test("removes what an interrupted put left, once it is old enough", async () => {
    const disk = simulatedDisk(seededRandom(3));
    const clock = fakeClock();
    const target = (): Target =>
      folderTarget("/mount", { disk, random: seededRandom(1), clock, guard: noGuard });
    await target().put("objects/a", content("1"));
    const stuck = (async function* () {
      yield Buffer.alloc(10);
      await new Promise(() => undefined);
    })();
    void target().put("objects/b", stuck);
    await clock.advance(1000);
    const files = async (): Promise<readonly string[]> => disk.list("/mount/objects");
    assert.match((await files())[0] ?? "", /^\.b\.\d{13}-[0-9a-f]{16}\.part$/);
    // The simulated disk lists deeper names too, as one; so the folder is named here.
    const list = disk.list.bind(disk);
    disk.list = async (path) => (path === "/mount" ? ["objects"] : list(path));
    assert.equal(await target().sweep(60_000), 0);
    await clock.advance(60_000);
    assert.equal(await target().sweep(60_000), 1);
    assert.deepEqual(await files(), ["a"]);
  });
});

describe("a folder of this machine", () => {
  let outside = "";
  let root = "";
  beforeEach(() => {
    outside = mkdtempSync(join(tmpdir(), "postern-folder-"));
    root = join(outside, "mount");
    mkdirSync(root);
    mkdirSync(join(outside, "objects"));
    writeFileSync(join(outside, "objects/a"), "not ours");
  });
  afterEach(() => rmSync(outside, { recursive: true }));

  const says = (words: RegExp) => (error: unknown) =>
    error instanceof Misconfigured && words.test(error.message);

  test("is never made: a disk that is not mounted is noticed", async () => {
    const missing = folderTarget(join(outside, "missing"));
    await assert.rejects(missing.put("objects/a", content("1")), says(/not there: mount it/));
    await assert.rejects(missing.get("objects/a"), says(/mount it/));
    await assert.rejects(missing.sweep(0), says(/mount it/));
    assert.deepEqual(readdirSync(outside).sort(), ["mount", "objects"]);
  });

  test("does not follow a link to another folder, to write, read, list, sweep or remove", async () => {
    symlinkSync(join(outside, "objects"), join(root, "objects"));
    const target = folderTarget(root);
    const link = says(/symbolic link/);
    await assert.rejects(target.put("objects/b", content("1")), link);
    await assert.rejects(target.get("objects/a"), link);
    await assert.rejects(target.remove("objects/a"), link);
    await assert.rejects(target.sweep(-1), link);
    await assert.rejects(target.list("objects")[Symbol.asyncIterator]().next(), link);
    assert.deepEqual(readdirSync(join(outside, "objects")), ["a"]);
  });

  test("does not follow a link that has the name of an object", async () => {
    mkdirSync(join(root, "objects"));
    symlinkSync(join(outside, "objects/a"), join(root, "objects/a"));
    const target = folderTarget(root);
    await assert.rejects(target.get("objects/a"), says(/symbolic link/));
    await assert.rejects(target.put("objects/a", content("1")), says(/symbolic link/));
    assert.equal(readFileSync(join(outside, "objects/a"), "utf8"), "not ours");
  });

  test("may itself be a link that the administrator has made", async () => {
    symlinkSync(root, join(outside, "link"));
    await folderTarget(join(outside, "link")).put("objects/a", content("1"));
    assert.equal(readFileSync(join(root, "objects/a"), "utf8"), "1".repeat(5000));
  });

  test("keeps what others put there, and its own files to itself", async () => {
    writeFileSync(join(root, "README"), "hello");
    mkdirSync(join(root, "objects"));
    writeFileSync(join(root, "objects/.hidden"), "");
    const target = folderTarget(root);
    await target.put("objects/a", content("1"));
    assert.equal(await target.sweep(-60_000), 0);
    const names: string[] = [];
    for await (const { name } of target.list("objects")) names.push(name);
    assert.deepEqual(names, ["objects/a"]);
    assert.deepEqual(readdirSync(join(root, "objects")).sort(), [".hidden", "a"]);
  });
});
