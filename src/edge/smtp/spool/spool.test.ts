import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { realDisk } from "#base/disk";
import { Full, Unavailable } from "#base/errors";
import { pick, type Random, seededRandom } from "#base/random";
import { openSpoolFiles, prepareSpool, type SpoolFile } from "./files.ts";
import { openSpool, type Spool } from "./spool.ts";

const idOf = (number: number): string => number.toString(16).padStart(32, "0");

/** Segments in memory; the power goes at the chosen write, of which any sectors may have landed. */
class Platter {
  readonly segments: Buffer[];
  writes = 0;
  powerGoesAt = Infinity;
  readonly #random: Random;

  constructor(count: number, sizeBytes: number, random: Random) {
    this.segments = Array.from({ length: count }, () => Buffer.alloc(sizeBytes));
    this.#random = random;
  }

  files(): SpoolFile[] {
    return this.segments.map((bytes) => ({
      sizeBytes: bytes.length,
      read: async (into, offset) => bytes.copy(into, 0, offset),
      write: async (parts, offset) => {
        await new Promise(setImmediate);
        if (this.writes >= this.powerGoesAt) throw new Error("no power");
        this.writes += 1;
        const whole = Buffer.concat(parts);
        if (this.writes < this.powerGoesAt) whole.copy(bytes, offset);
        else {
          this.#tear(whole, bytes, offset);
          throw new Error("no power");
        }
      },
      close: async () => {},
    }));
  }

  #tear(whole: Buffer, bytes: Buffer, offset: number): void {
    for (let at = 0; at < whole.length; at += 512) {
      if (this.#random.fraction() < 0.5) whole.copy(bytes, offset + at, at, at + 512);
    }
  }
}

async function put(spool: Spool, id: string, content: Buffer, pieceBytes = 3000): Promise<void> {
  const writer = spool.begin(id);
  for (let at = 0; at < content.length; at += pieceBytes) {
    await writer.write([content.subarray(at, at + pieceBytes)]);
  }
  await writer.commit();
}

async function get(spool: Spool, id: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of spool.read(id)) parts.push(part);
  return Buffer.concat(parts);
}

describe("openSpool()", () => {
  test("keeps messages over a restart, and forgets erased ones", async () => {
    const random = seededRandom(1);
    const platter = new Platter(3, 1 << 20, random);
    const spool = await openSpool(platter.files());
    const small = random.bytes(2000);
    const large = random.bytes(600_000);
    await put(spool, idOf(1), small);
    await put(spool, idOf(2), large);
    await put(spool, idOf(3), small);
    await spool.erase(idOf(1));

    const again = await openSpool(platter.files());
    assert.deepEqual(again.waiting(), [idOf(2), idOf(3)]);
    assert.deepEqual(await get(again, idOf(2)), large);
    assert.deepEqual(await get(again, idOf(3)), small);
  });

  test("says Full when no segment is free, and takes mail again after erasing", async () => {
    const random = seededRandom(2);
    const platter = new Platter(3, 256 * 1024, random);
    const spool = await openSpool(platter.files());
    const content = random.bytes(100_000);
    let count = 0;
    await assert.rejects(async () => {
      for (; ; count += 1) await put(spool, idOf(count), content);
    }, Full);
    assert.equal(count, 6);
    await spool.erase(idOf(0));
    await spool.erase(idOf(1));
    await put(spool, idOf(100), content);
    assert.deepEqual(await get(spool, idOf(100)), content);
    assert.deepEqual(await get(spool, idOf(5)), content);
  });

  test("an aborted message gives its room back", async () => {
    const platter = new Platter(2, 256 * 1024, seededRandom(3));
    const spool = await openSpool(platter.files());
    for (let index = 0; index < 20; index += 1) {
      const writer = spool.begin(idOf(index));
      await writer.write([Buffer.alloc(150_000)]);
      await writer.write([Buffer.alloc(150_000)]);
      writer.abort();
    }
    await put(spool, idOf(99), Buffer.from("kept"));
    assert.deepEqual((await openSpool(platter.files())).waiting(), [idOf(99)]);
  });

  test("writers at the same time share writes and keep their own order", async () => {
    const random = seededRandom(4);
    const platter = new Platter(4, 1 << 20, random);
    const spool = await openSpool(platter.files());
    const contents = Array.from({ length: 40 }, () => random.bytes(1 + pick(random, 40_000)));
    await Promise.all(contents.map((content, index) => put(spool, idOf(index), content)));
    assert.ok(platter.writes < 40);
    const again = await openSpool(platter.files());
    for (const [index, content] of contents.entries()) {
      assert.deepEqual(await get(again, idOf(index)), content);
    }
  });

  test("after a failed write nothing is acknowledged until it is opened again", async () => {
    const platter = new Platter(2, 1 << 20, seededRandom(5));
    const spool = await openSpool(platter.files());
    await put(spool, idOf(1), Buffer.from("kept"));
    platter.powerGoesAt = platter.writes + 1;
    await assert.rejects(put(spool, idOf(2), Buffer.from("lost")), Unavailable);
    platter.powerGoesAt = Infinity;
    assert.throws(() => spool.begin(idOf(3)), Unavailable);
    assert.ok((await openSpool(platter.files())).waiting().includes(idOf(1)));
  });

  test("power cut at every write: nothing acknowledged is lost, nothing erased comes back", async () => {
    for (let cut = 1; cut < 60; cut += 1) {
      const random = seededRandom(cut);
      const platter = new Platter(4, 192 * 1024, random);
      const acknowledged = new Map<string, Buffer>();
      const erased = new Set<string>();
      platter.powerGoesAt = cut;
      await work(await openSpool(platter.files()), random, acknowledged, erased);
      platter.powerGoesAt = Infinity;

      const again = await openSpool(platter.files());
      const waiting = new Set(again.waiting());
      for (const [id, content] of acknowledged) {
        assert.ok(waiting.has(id), `cut ${cut}: ${id} is lost`);
        assert.deepEqual(await get(again, id), content);
      }
      for (const id of erased) assert.ok(!waiting.has(id), `cut ${cut}: ${id} came back`);
      // And the spool goes on from there.
      for (const id of waiting) await again.erase(id);
      await put(again, "f".repeat(32), Buffer.alloc(50_000));
      assert.deepEqual((await openSpool(platter.files())).waiting(), ["f".repeat(32)]);
    }
  });

  test("works on real files, prepared before", async () => {
    const directory = await mkdtemp(join(tmpdir(), "spool-"));
    try {
      await prepareSpool(realDisk, directory, 2, 1 << 20);
      await prepareSpool(realDisk, directory, 2, 1 << 20);
      const spool = await openSpool(await openSpoolFiles(directory));
      await put(spool, idOf(7), Buffer.from("hello"));
      await spool.close();
      const again = await openSpool(await openSpoolFiles(directory));
      assert.equal((await get(again, idOf(7))).toString(), "hello");
      await again.close();
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test("random octets in the segments are no mail and stop nothing", async () => {
    for (let round = 0; round < 50; round += 1) {
      const random = seededRandom(round);
      const platter = new Platter(2, 64 * 1024, random);
      const spool = await openSpool(platter.files());
      await put(spool, idOf(1), random.bytes(5000));
      for (let index = 0; index < 40; index += 1) {
        const bytes = platter.segments[0] as Buffer;
        bytes[pick(random, round % 2 === 0 ? 8000 : bytes.length)] = pick(random, 256);
      }
      const again = await openSpool(platter.files());
      for (const id of again.waiting()) await get(again, id);
      await put(again, idOf(2), random.bytes(5000));
    }
  });
});

/** Puts and erases until the power goes. */
async function work(
  spool: Spool,
  random: Random,
  acknowledged: Map<string, Buffer>,
  erased: Set<string>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let round = 0; round < 40; round += 1) {
      try {
        const [oldest] = acknowledged.keys();
        if (oldest !== undefined && random.fraction() < 0.5) {
          acknowledged.delete(oldest); // from here on it may be there or not
          await spool.erase(oldest);
          erased.add(oldest);
        } else {
          const id = idOf((next += 1));
          const content = random.bytes(1 + pick(random, 60_000));
          await put(spool, id, content);
          acknowledged.set(id, content);
        }
      } catch (error) {
        if (!(error instanceof Full)) return;
      }
    }
  };
  await Promise.all([worker(), worker(), worker()]);
}
