import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { SimulatedDisk } from "#base/disk-sim";
import { Misconfigured } from "#base/errors";
import { seededRandom } from "#base/random";
import { examineStore } from "./examine.ts";
import {
  acceptMail,
  directory,
  fixedMaster,
  mail,
  mailboxNamed,
  messageId,
  newDisk,
  recordsOn,
  storeWithAlice,
} from "./fixture.ts";
import { headerBytes, headerOf, pageBytes, payloadBytes, sealPage, storeIdOf } from "./pages.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-examine-"));
after(() => rmSync(folder, { recursive: true }));

function examine(disk: SimulatedDisk, messages: number) {
  const indexPath = join(folder, "index.sqlite");
  const parts = { disk, directory, master: fixedMaster, random: seededRandom(4) };
  return examineStore({ ...parts, indexPath, messages });
}

async function storeOf(count: number): Promise<{ disk: SimulatedDisk; size: number }> {
  const disk = newDisk();
  const store = await storeWithAlice(disk);
  for (let number = 1; number <= count; number += 1) {
    await acceptMail(store, number, mail(`m ${number}`, number % 10 === 0 ? 40_000 : 900));
  }
  const { size } = store.history.head();
  await store[Symbol.asyncDispose]();
  return { disk, size };
}

/** Alters one octet of a content, and makes its page sound again: only the content's seal can tell. */
async function alter(disk: SimulatedDisk, number: number): Promise<void> {
  const records = await recordsOn(disk);
  const accepted = records.find(({ record }) => {
    return record.kind === "accepted" && record.id === messageId(number);
  });
  assert.ok(accepted?.record.kind === "accepted");
  const { content } = accepted.record;
  const found = records.find(({ record }) => record.kind === "content" && record.id === content);
  assert.ok(found);
  const { segment, jsonAt, jsonBytes } = found.place;
  const at = jsonAt + jsonBytes + 20;
  const number_ = Math.floor(at / payloadBytes);
  const file = disk.octets(join(directory, `segment-${String(segment).padStart(8, "0")}`));
  const page = file.subarray(number_ * pageBytes, (number_ + 1) * pageBytes);
  const offset = headerBytes + (at % payloadBytes);
  page[offset] = (page[offset] ?? 0) ^ 1;
  sealPage(page, Buffer.from(storeIdOf(page)), headerOf(page));
}

describe("examineStore()", () => {
  test("reads messages at random, or all when there are no more, and finds them as they were", async () => {
    const { disk, size } = await storeOf(60);
    const all = await examine(disk, 1000);
    assert.deepEqual([all.messages, all.wrong], [60, []]);
    assert.ok(all.tree.size >= size && all.rebuildMs > 0);
    const some = await examine(disk, 25);
    assert.deepEqual([some.messages, some.wrong], [25, []]);
  });

  test("finds the message whose octets are not what the history says, with sound pages", async () => {
    const { disk } = await storeOf(30);
    await alter(disk, 7);
    const { messages, wrong } = await examine(disk, 1000);
    assert.equal(messages, 30);
    assert.deepEqual(wrong, [messageId(7)]);
  });

  test("does not count what was erased", async () => {
    const disk = newDisk();
    const store = await storeWithAlice(disk);
    for (let number = 1; number <= 30; number += 1)
      await acceptMail(store, number, mail(`${number}`));
    const inbox = await mailboxNamed(store, "INBOX");
    await store.mailboxes.expunge(inbox, [{ from: 1, to: 20 }], "any");
    await store.erase();
    await store[Symbol.asyncDispose]();
    const { messages, wrong } = await examine(disk, 1000);
    assert.deepEqual([messages, wrong], [10, []]);
  });

  test("refuses a folder without a store", async () => {
    await assert.rejects(examine(newDisk(), 10), Misconfigured);
  });
});
