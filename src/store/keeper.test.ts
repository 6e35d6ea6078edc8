import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { seededRandom } from "#base/random";
import {
  acceptMail,
  directory,
  mail,
  messageId,
  newDisk,
  openOn,
  storeWithAlice,
} from "./fixture.ts";
import { memoryMaster } from "./memory-master.ts";
import type { OpenStore } from "./open.ts";
import { pageBytes } from "./pages.ts";
import type { Repaired } from "./repair.ts";
import { scrubAll } from "./scrub-all.ts";

let folder = "";
before(() => void (folder = mkdtempSync(join(tmpdir(), "postern-keeper-"))));
after(() => rmSync(folder, { recursive: true }));

const noRoom = { minFreeBytes: 0 };

describe("the health of a store", () => {
  test("what is beyond repair is found again after a restart, by itself", async () => {
    const disk = newDisk();
    const options = { indexPath: join(folder, "found-again.sqlite"), ...noRoom };
    let store = await storeWithAlice(disk, options);
    await acceptMail(store, 1, mail("one", 60_000));
    await acceptMail(store, 2, mail("two", 60_000));
    await store[Symbol.asyncDispose]();
    for (const name of ["segment-00000001", "tail-00000001"]) {
      disk.octets(`${directory}/${name}`).fill(7, 6 * pageBytes + 1000, 6 * pageBytes + 3000);
    }
    store = await openOn(disk, options);
    const { damaged } = await scrubAll(store, {});
    assert.deepEqual(
      damaged[0]?.mail.map(({ message }) => message),
      [messageId(1)],
    );
    await store[Symbol.asyncDispose]();
    store = await openOn(disk, options);
    assert.deepEqual((await foundIn(store)).mail, damaged[0]?.mail);
    assert.equal((await store.health()).oldestScrubMs, undefined, "it is due again");
    await store[Symbol.asyncDispose]();
  });

  test("repairs are told as they happen, and counted by how across restarts", async () => {
    const disk = newDisk();
    const told: Repaired[] = [];
    const flushes: number[] = [];
    const events = {
      repaired: (one: Repaired) => void told.push(one),
      flushed: (seconds: number) => void flushes.push(seconds),
    };
    const options = { indexPath: join(folder, "counted.sqlite"), events, ...noRoom };
    let store = await storeWithAlice(disk, options);
    await acceptMail(store, 1, mail("one", 60_000));
    const octets = disk.octets(`${directory}/segment-00000001`);
    octets.writeUInt8(octets.readUInt8(5 * pageBytes + 99) ^ 1, 5 * pageBytes + 99);
    const { repaired, damaged } = await scrubAll(store, {});
    assert.deepEqual(repaired, told);
    assert.deepEqual([told.length, told[0]?.how, damaged.length], [1, "bit", 0]);
    assert.ok(flushes.length > 0);
    await store[Symbol.asyncDispose]();
    store = await openOn(disk, options);
    const health = await store.health();
    assert.deepEqual(health.repairedBy, { bit: 1, copy: 0, parity: 0 });
    await store[Symbol.asyncDispose]();
  });

  async function foundIn(store: OpenStore) {
    for (let tries = 0; tries < 200; tries += 1) {
      const [first] = (await store.health()).damaged;
      if (first !== undefined) return first;
      await pause(10);
    }
    return assert.fail("nothing was found");
  }
});

describe("rekey()", () => {
  test("from then on only the new master key opens the store", async () => {
    const disk = newDisk();
    const old = memoryMaster(seededRandom(8));
    const fresh = memoryMaster(seededRandom(9));
    const store = await storeWithAlice(disk, { master: old, ...noRoom });
    await acceptMail(store, 1);
    const right = await store.messages.read(messageId(1));
    assert.equal(await store.rekey(fresh), store.masterId);
    await store[Symbol.asyncDispose]();
    await assert.rejects(openOn(disk, { master: old, ...noRoom }));
    const again = await openOn(disk, { master: fresh, ...noRoom });
    assert.deepEqual(await again.messages.read(messageId(1)), right);
    await again[Symbol.asyncDispose]();
  });
});
