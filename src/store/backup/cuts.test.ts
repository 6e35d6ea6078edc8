import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { simulatedDisk } from "#base/disk-sim";
import { Misconfigured, Unavailable } from "#base/errors";
import { pick, seededRandom } from "#base/random";
import { acceptMail, directory, mail, messageId, openOn, storeWithAlice } from "../fixture.ts";
import { manifestNames } from "./catalogue.ts";
import { backUp, memoryTarget, pair, restoredTo, tryRestore } from "./fixture.test.ts";
import { verifyBackup } from "./verify.ts";

const mails = 80;

async function storeWithMail() {
  const store = await storeWithAlice();
  for (let number = 1; number <= mails; number += 1) {
    await acceptMail(store, number, mail(`m ${number}`, 5000));
  }
  return store;
}

async function assertWhole(disk: Awaited<ReturnType<typeof restoredTo>>): Promise<void> {
  const store = await openOn(disk);
  for (let number = 1; number <= mails; number += 1) {
    assert.match((await store.messages.read(messageId(number))).toString(), /Subject: m/);
  }
  assert.deepEqual((await store.verify()).damages, []);
  await store[Symbol.asyncDispose]();
}

describe("a backup that is interrupted", () => {
  test("leaves no manifest without all of its objects, and the next one is whole", async () => {
    const store = await storeWithMail();
    const counting = simulatedDisk(seededRandom(1));
    await backUp(store, memoryTarget(counting).target);
    const random = seededRandom(2);
    for (let round = 0; round < 60; round += 1) {
      const cutAtOperation = 1 + pick(random, counting.operations);
      const dying = simulatedDisk(seededRandom(round), { cutAtOperation });
      const made = backUp(store, memoryTarget(dying).target);
      await Promise.race([made, dying.dead]);
      const { target } = memoryTarget(dying.powerCut());
      for (const name of await manifestNames(target)) {
        const { faults } = await verifyBackup({ target, name, own: pair.own });
        assert.deepEqual(faults, [], `cut at ${cutAtOperation}`);
      }
      const { name } = await backUp(store, target);
      await assertWhole(await restoredTo(target, name));
    }
    await store[Symbol.asyncDispose]();
  });

  test("says so when its target fails, and the next one is whole", async () => {
    const store = await storeWithMail();
    const disk = simulatedDisk(seededRandom(1));
    const { target } = memoryTarget(disk);
    await backUp(store, target);
    const random = seededRandom(3);
    for (let round = 0; round < 40; round += 1) {
      await acceptMail(store, 1000 + round, mail(`more ${round}`, 3000));
      disk.faults = { failAtOperation: disk.operations + 1 + pick(random, 20) };
      await backUp(store, target).catch((error: unknown) => {
        assert.ok(error instanceof Unavailable, String(error));
      });
      disk.faults = {};
    }
    const { name } = await backUp(store, target);
    await store[Symbol.asyncDispose]();
    assert.deepEqual((await verifyBackup({ target, name, own: pair.own })).faults, []);
    await assertWhole(await restoredTo(target, name));
  });

  test("stops when it is told to, and nothing is there", async () => {
    const store = await storeWithMail();
    const { target } = memoryTarget();
    const stop = new AbortController();
    const onProgress = (done: number): void => {
      if (done > 300_000) stop.abort(new Unavailable("told to stop"));
    };
    await assert.rejects(
      backUp(store, target, { signal: stop.signal, onProgress }),
      /told to stop/,
    );
    assert.deepEqual(await manifestNames(target), []);
    await store[Symbol.asyncDispose]();
  });
});

describe("a restore that is interrupted", () => {
  test("leaves a whole store or none", async () => {
    const store = await storeWithMail();
    const { target } = memoryTarget();
    const { name } = await backUp(store, target);
    await store[Symbol.asyncDispose]();
    const counting = await restoredTo(target, name);
    const random = seededRandom(4);
    const found = { whole: 0, refused: 0, nothing: 0 };
    for (let round = 0; round < 80; round += 1) {
      // As often at the end, where the keys are written.
      const last = round % 2 === 0 ? counting.operations : 25;
      const cutAtOperation = counting.operations - pick(random, last);
      const dying = simulatedDisk(seededRandom(round), { cutAtOperation });
      await Promise.race([tryRestore(target, name, { disk: dying }), dying.dead]);
      const disk = dying.powerCut();
      const names = await disk.list(directory);
      if (names.includes("keys") || names.includes("keys.copy")) {
        await assertWhole(disk);
        found.whole += 1;
      } else if (names.some((one) => /^segment-\d+$/.test(one))) {
        await assert.rejects(openOn(disk), (error) => error instanceof Misconfigured);
        found.refused += 1;
      } else found.nothing += 1;
    }
    assert.ok(found.whole > 3 && found.refused > 3, JSON.stringify(found));
  });
});
