import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type DiskFaults, type SimulatedDisk, simulatedDisk } from "#base/disk-sim";
import { seededRandom } from "#base/random";

const sector = 512;

async function written(disk: SimulatedDisk, sync: boolean): Promise<void> {
  const file = await disk.open("/d/file", "create");
  await disk.syncDirectory("/d");
  await file.write([Buffer.alloc(8 * sector, 1)], 0);
  await file.sync();
  await file.write([Buffer.alloc(4 * sector, 2), Buffer.alloc(4 * sector, 2)], 0);
  if (sync) await file.sync();
}

describe("simulatedDisk()", () => {
  test("a power cut keeps what was synced, and of the rest any whole sectors", async () => {
    const survivors = new Set<string>();
    for (let seed = 1; seed < 60; seed += 1) {
      const safe = simulatedDisk(seededRandom(seed));
      await written(safe, true);
      assert.ok(
        safe
          .powerCut()
          .octets("/d/file")
          .every((octet) => octet === 2),
      );

      const torn = simulatedDisk(seededRandom(seed));
      await written(torn, false);
      const octets = torn.powerCut().octets("/d/file");
      let pattern = "";
      for (let at = 0; at < octets.length; at += sector) {
        const piece = octets.subarray(at, at + sector);
        assert.ok(
          piece.every((octet) => octet === piece[0]),
          "no sector is torn",
        );
        pattern += piece[0];
      }
      survivors.add(pattern);
    }
    assert.ok(survivors.has("11111111") && survivors.has("22222222"));
    assert.ok(
      [...survivors].some((one) => /21+2/.test(one)),
      "later sectors without earlier ones",
    );
  });

  test("names that were not synced may vanish, and a killed process loses nothing", async () => {
    let vanished = 0;
    for (let seed = 1; seed < 40; seed += 1) {
      const disk = simulatedDisk(seededRandom(seed));
      const file = await disk.open("/d/a", "create");
      await file.sync();
      await disk.rename("/d/a", "/d/b");
      assert.deepEqual(await disk.kill().list("/d"), ["b"]);
      const names = await disk.powerCut().list("/d");
      if (!names.includes("b")) vanished += 1;
    }
    assert.ok(vanished > 0 && vanished < 39);
  });

  test("cuts at the operation asked for, after which nothing ends", async () => {
    const disk = simulatedDisk(seededRandom(1), { cutAtOperation: 3 });
    let done = false;
    void written(disk, true).then(() => {
      done = true;
    });
    await disk.dead;
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(done, false);
    assert.equal(disk.operations, 3);
  });

  test("fails as told: EIO once, no room, a sync that lies, flipped bits", async () => {
    const failing = simulatedDisk(seededRandom(1), { failAtOperation: 4 });
    await assert.rejects(written(failing, true), { code: "EIO" });

    const small = simulatedDisk(seededRandom(1), { roomBytes: 7 * sector });
    await assert.rejects(written(small, true), { code: "ENOSPC" });

    let lost = 0;
    for (let seed = 1; seed < 20; seed += 1) {
      const lying = simulatedDisk(seededRandom(seed), { syncLies: true });
      await written(lying, true);
      if (!(await lying.powerCut().list("/d")).includes("file")) lost += 1;
    }
    assert.ok(lost > 0);

    const flipping = simulatedDisk(seededRandom(1), { flipOnRead: 1 });
    await written(flipping, true);
    const into = Buffer.alloc(sector);
    await (await flipping.open("/d/file", "read")).read(into, 0);
    assert.equal(into.filter((octet) => octet !== 2).length, 1);
    assert.ok(flipping.octets("/d/file").every((octet) => octet === 2));
  });

  test("what a failed sync held is read on, but never reaches the platter by the next one", async () => {
    let lost = 0;
    for (let seed = 1; seed < 20; seed += 1) {
      const disk = simulatedDisk(seededRandom(seed), { failAtOperation: 6 });
      await assert.rejects(written(disk, true), { code: "EIO" });
      assert.equal(disk.octets("/d/file")[0], 2);
      const file = await disk.open("/d/file", "write");
      await file.sync();
      if (disk.powerCut().octets("/d/file").includes(1)) lost += 1;
    }
    assert.ok(lost > 0);
  });

  test("the same seed gives the same run", async () => {
    const run = async (): Promise<Buffer> => {
      const disk = simulatedDisk(seededRandom(7));
      await written(disk, false);
      return disk.powerCut().octets("/d/file");
    };
    assert.deepEqual(await run(), await run());
  });

  test("loses writes, and puts them elsewhere", async () => {
    const run = async (faults: DiskFaults): Promise<Buffer> => {
      const disk = simulatedDisk(seededRandom(3));
      const file = await disk.open("/d/file", "create");
      await file.write([Buffer.alloc(64 * sector, 1)], 0);
      disk.faults = faults;
      await file.write([Buffer.alloc(sector, 2)], 7 * sector);
      await file.sync();
      return disk.octets("/d/file");
    };
    assert.ok((await run({ loseOnWrite: 1 })).every((octet) => octet === 1));
    const misdirected = await run({ misdirectOnWrite: 1 });
    const at = misdirected.indexOf(2);
    assert.ok(at >= 0 && at % sector === 0 && at !== 7 * sector);
    assert.equal(misdirected.filter((octet) => octet === 2).length, sector);
  });

  test("cannot read what was spoilt until it is written again", async () => {
    const disk = simulatedDisk(seededRandom(1));
    const file = await disk.open("/d/file", "create");
    await file.write([Buffer.alloc(8 * sector, 1)], 0);
    disk.spoil("/d/file", 3 * sector + 5, 1);
    const into = Buffer.alloc(sector);
    await assert.rejects(file.read(Buffer.alloc(8 * sector), 0), { code: "EIO" });
    assert.equal(await file.read(into, 4 * sector), sector);
    await file.write([Buffer.alloc(sector - 1, 2)], 3 * sector);
    await assert.rejects(file.read(into, 3 * sector), { code: "EIO" }, "part of a sector");
    await file.write([Buffer.alloc(sector, 2)], 3 * sector);
    assert.equal(await file.read(into, 3 * sector), sector);
  });
});
