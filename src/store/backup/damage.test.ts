import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "#base/clock";
import type { SimulatedDisk } from "#base/disk-sim";
import { systemRandom } from "#base/random";
import { DamagedMail, Pace } from "#store";
import { acceptMail, directory, mail, newDisk, recordsOn, storeWithAlice } from "../fixture.ts";
import { headerOf, pageBytes, payloadBytes } from "../pages.ts";
import { groupsOf, membersOf } from "../parity.ts";
import { type Place, recordHeaderBytes } from "../records.ts";
import { type CreateParts, createBackup } from "./create.ts";
import { memoryTarget, pair } from "./fixture.test.ts";
import { sourceOf } from "./source-fixture.test.ts";
import type { Target } from "./target.ts";

const first = `${directory}/segment-00000001`;

async function storeOn(disk: SimulatedDisk): Promise<void> {
  const store = await storeWithAlice(disk);
  for (let number = 1; number <= 120; number += 1) await acceptMail(store, number, mail("m", 5000));
  await store[Symbol.asyncDispose]();
}

const common = { to: pair.to, clock: systemClock, random: systemRandom };

function backUp(source: CreateParts["source"], target: Target) {
  return createBackup({ source, target, ...common, pace: new Pace(systemClock) });
}

function spoil(octets: Buffer, page: number): void {
  octets.fill(0xaa, page * pageBytes + 100, page * pageBytes + 5000);
}

describe("CAP-100 a page of the source that is bad while it is copied", () => {
  test("is repaired on the disk: one bit by itself, whole pages from parity", async () => {
    const disk = newDisk();
    await storeOn(disk);
    let right = Buffer.alloc(0);
    const source = await sourceOf(disk, () => {
      const octets = disk.octets(first);
      right = Buffer.from(octets);
      octets[7 * pageBytes + 4000] = (octets[7 * pageBytes + 4000] ?? 0) ^ 4;
      spoil(octets, 11);
      octets.fill(0, 13 * pageBytes, 14 * pageBytes);
    });
    const { target } = memoryTarget();
    const created = await backUp(source, target);
    assert.equal(created.repairedPages, 3);
    assert.ok(disk.octets(first).equals(right), "the source is right again");
  });

  test("stops it when it is beyond repair, with file, page and whose mail that was", async () => {
    const disk = newDisk();
    await storeOn(disk);
    let page = 0;
    const source = await sourceOf(disk, async (segments) => {
      const pages = await pagesOf(disk);
      const members = membersOf(pages, 1 % groupsOf(pages));
      for (const one of members.slice(2, 5)) spoil(disk.octets(first), one);
      page = members[2] ?? 0;
      assert.ok(segments.repair);
    });
    const { target } = memoryTarget();
    const error = await backUp(source, target).then(
      () => assert.fail("it was made"),
      (error: unknown) => error,
    );
    assert.ok(error instanceof DamagedMail, String(error));
    assert.equal(error.place.file, "segment-00000001");
    assert.equal(error.place.page, page);
    // By what was written: a mail of 5,000 octets begins on most pages, and ends on the next.
    assert.ok(error.affected.length >= 1 && error.affected.length <= 4, `${error.affected.length}`);
    for (const { message, entries } of error.affected) {
      assert.match(message, /^[0-9a-f]{32}$/);
      assert.deepEqual(entries, [{ address: "alice@example.org", mailbox: "INBOX" }]);
    }
    assert.ok(error.named[0]?.endsWith("alice@example.org in INBOX"));
    assert.deepEqual(await Array.fromAsync(target.list("manifests")), [], "there is no backup");
  });

  test("names the messages that stand on that page, and no others", async () => {
    const disk = newDisk();
    const store = await storeWithAlice(disk);
    for (let number = 1; number <= 60; number += 1) {
      await acceptMail(store, number, mail(`m ${number}`, [300, 4000, 20_000][number % 3]));
    }
    await store[Symbol.asyncDispose]();
    const standing = await messagesByPage(disk);
    const source = await sourceOf(disk, (segments) => {
      segments.repair = undefined;
    });
    const octets = disk.octets(first);
    const right = Buffer.from(octets);
    let named = 0;
    for (let page = 1; page < (await pagesOf(disk)); page += 1) {
      spoil(octets, page);
      const error = await backUp(source, memoryTarget().target).catch((error: unknown) => error);
      assert.ok(error instanceof DamagedMail && error.place.page === page, String(error));
      const expected = [...(standing.get(page) ?? [])].sort();
      assert.deepEqual([...error.place.messages].sort(), expected, `page ${page}`);
      named += expected.length;
      right.copy(octets);
    }
    assert.ok(named > 20, `${named}`);
  });
});

/** Pages of the first segment, and the messages of which something is on them. */
async function messagesByPage(disk: SimulatedDisk): Promise<Map<number, Set<string>>> {
  const found = new Map<number, Set<string>>();
  const records = await recordsOn(disk);
  const messages = records.flatMap(({ record, place }) =>
    record.kind === "accepted" ? [{ id: record.id, content: record.content, place }] : [],
  );
  const standsOn = (id: string, { segment, jsonAt, jsonBytes, blobBytes }: Place): void => {
    if (segment !== 1) return;
    const start = jsonAt - recordHeaderBytes;
    const end = jsonAt + jsonBytes + blobBytes - 1;
    for (let page = Math.floor(start / payloadBytes); page <= end / payloadBytes; page += 1) {
      found.set(page, (found.get(page) ?? new Set()).add(id));
    }
  };
  for (const { id, content, place } of messages) {
    standsOn(id, place);
    for (const { record, place: at } of records) {
      if (record.kind !== "content" || record.id !== content) continue;
      standsOn(id, at);
      for (const { place: part } of records) {
        if (record.parts?.records.includes(part.lsn) === true) standsOn(id, part);
      }
    }
  }
  return found;
}

async function pagesOf(disk: SimulatedDisk): Promise<number> {
  const octets = disk.octets(first);
  let pages = 0;
  for (let at = 0; at < octets.length; at += pageBytes) {
    if (headerOf(octets.subarray(at, at + pageBytes)).generation > 0) pages += 1;
  }
  return pages;
}
