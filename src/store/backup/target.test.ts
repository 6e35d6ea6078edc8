import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { systemRandom } from "#base/random";
import { heldBytes } from "../../../tests/kit/held-bytes.ts";
import { noS3Server, type S3Server, startS3Server } from "../../../tests/kit/s3-server.ts";
import { folderTarget } from "./folder-target.ts";
import { gather, octetsOf } from "./octets.ts";
import { S3Client } from "./s3/client.ts";
import { s3Target, usualLimits } from "./s3/target.ts";
import { isObjectName, type Octets, type Stored, type Target } from "./target.ts";

const mebibyte = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), "postern-target-"));
let server: S3Server | undefined;

before(async () => {
  if (noS3Server === false) server = await startS3Server();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function s3(): Promise<Target> {
  assert.ok(server);
  const settings = { ...server, bucket: "backups", prefix: "hub-1/" };
  const client = new S3Client(settings, usualLimits, systemClock, systemRandom);
  await client.ask({ method: "PUT" }, [200, 409]);
  return s3Target(settings);
}

const kinds: readonly [string, () => Promise<Target>, string | false][] = [
  ["a folder", async () => folderTarget(folder), false],
  ["Swift by its S3 interface", s3, noS3Server],
];

async function all(
  target: Target,
  name: string,
  range?: Parameters<Target["get"]>[1],
): Promise<Buffer> {
  const stored = await target.get(name, range);
  assert.ok(stored, `${name} is not there`);
  return (await gather(stored, Infinity)) ?? Buffer.alloc(0);
}

async function names(target: Target, of: string): Promise<Stored[]> {
  const found: Stored[] = [];
  for await (const one of target.list(of)) found.push(one);
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** So many octets in pieces of uneven lengths. */
async function* inPieces(octets: Buffer): Octets {
  for (
    let at = 0, piece = 1;
    at < octets.length;
    at += piece, piece = 1 + ((piece * 7) % 700_001)
  ) {
    yield octets.subarray(at, at + piece);
  }
}

for (const [kind, make, skip] of kinds) {
  describe(`a target that is ${kind}`, { skip }, () => {
    let target: Target;
    before(async () => {
      target = await make();
    });

    // 8 MiB is a part of an S3 upload: just below, at it, and above.
    for (const size of [
      0,
      1,
      65_537,
      8 * mebibyte - 1,
      8 * mebibyte,
      8 * mebibyte + 1,
      20_000_000,
    ]) {
      test(`gives back ${size} octets as they were put`, async () => {
        const octets = randomBytes(size);
        const name = `objects/size-${size}`;
        await target.put(name, inPieces(octets), size);
        assert.deepEqual(await all(target, name), octets);
      });
    }

    test("gives back any range, and nothing behind the end", async () => {
      const octets = randomBytes(300_000);
      await target.put("objects/ranges", octetsOf(octets));
      const part = async (offset: number, lengthBytes?: number): Promise<Buffer> =>
        all(target, "objects/ranges", {
          offset,
          ...(lengthBytes !== undefined && { lengthBytes }),
        });
      assert.deepEqual(await part(0, 1), octets.subarray(0, 1));
      assert.deepEqual(await part(262_143, 2), octets.subarray(262_143, 262_145));
      assert.deepEqual(await part(299_990), octets.subarray(299_990));
      assert.deepEqual(await part(299_990, 500), octets.subarray(299_990));
      assert.deepEqual(await part(300_000), Buffer.alloc(0));
      assert.deepEqual(await part(400_000, 5), Buffer.alloc(0));
    });

    test("has nothing under a name that was never put", async () => {
      for (let round = 0; round < 20; round += 1) {
        assert.equal(await target.get("objects/none"), undefined);
        assert.equal(await target.get("nowhere/none"), undefined);
      }
    });

    test("lists the objects of one folder with their sizes", async () => {
      assert.deepEqual(await names(target, "lists"), []);
      for (const [index, word] of ["b.json", "a", "c-1_2"].entries()) {
        await target.put(`lists/${word}`, octetsOf(randomBytes(index + 1)));
      }
      assert.deepEqual(await names(target, "lists"), [
        { name: "lists/a", sizeBytes: 2 },
        { name: "lists/b.json", sizeBytes: 1 },
        { name: "lists/c-1_2", sizeBytes: 3 },
      ]);
    });

    test("replaces an object, and removes it as often as it is told", async () => {
      await target.put("objects/twice", octetsOf(Buffer.from("one")));
      await target.put("objects/twice", octetsOf(Buffer.from("other")));
      assert.equal((await all(target, "objects/twice")).toString(), "other");
      await target.remove("objects/twice");
      await target.remove("objects/twice");
      await target.remove("never/made");
      assert.equal(await target.get("objects/twice"), undefined);
    });

    for (const sentBytes of [100, 18 * mebibyte]) {
      test(`shows nothing of a content that fails after ${sentBytes} octets, and passes on why`, async () => {
        const name = `failing/after-${sentBytes}`;
        const reason = new RangeError("page 7 is damaged");
        const content = (async function* () {
          for (let sent = 0; sent < sentBytes; sent += 100_000) yield randomBytes(100_000);
          throw reason;
        })();
        await assert.rejects(target.put(name, content), (error) => error === reason);
        assert.equal(await target.get(name), undefined);
        assert.deepEqual(await names(target, "failing"), []);
        assert.equal(await target.sweep(-60_000), 0, "nothing is left to sweep");
      });

      test(`refuses ${sentBytes} octets when it was told another length`, async () => {
        const content = octetsOf(Buffer.alloc(sentBytes));
        await assert.rejects(target.put("failing/length", content, sentBytes + 1));
        assert.equal(await target.get("failing/length"), undefined);
      });
    }

    test("lets a reader stop in the middle", async () => {
      await target.put("objects/stopped", octetsOf(Buffer.alloc(3 * mebibyte)));
      for (let round = 0; round < 20; round += 1) {
        const stored = await target.get("objects/stopped");
        assert.ok(stored);
        for await (const chunk of stored) {
          assert.ok(chunk.length > 0);
          break;
        }
      }
      assert.equal((await all(target, "objects/stopped")).length, 3 * mebibyte);
    });

    test("holds little in memory while a large object passes", async () => {
      const chunk = randomBytes(mebibyte);
      let highest = 0;
      const look = (count: number): void => {
        if (count % 16 === 8) highest = Math.max(highest, heldBytes());
      };
      const content = (async function* () {
        for (let count = 0; count < 128; count += 1) {
          look(count);
          yield Buffer.from(chunk);
        }
      })();
      await target.put("objects/large", content);
      const stored = await target.get("objects/large");
      assert.ok(stored);
      let seen = 0;
      for await (const piece of stored) {
        look(Math.floor(seen / mebibyte));
        seen += piece.length;
      }
      assert.equal(seen, 128 * mebibyte);
      assert.ok(highest < 80 * mebibyte, `${highest} octets in buffers`);
      await target.remove("objects/large");
    });
  });
}

test("isObjectName() lets through only words that nobody reads in another way", () => {
  for (const name of ["a", "objects/0-a_b.c", `a/${"b".repeat(200)}`])
    assert.ok(isObjectName(name));
  const others = [
    "",
    "/a",
    "a/",
    "a//b",
    "a/../b",
    "../a",
    ".a",
    "a/.b",
    "A",
    "a b",
    "a\\b",
    "a\0",
    "a/b/c",
    "ä",
    "a\n",
  ];
  for (const name of [...others, "b".repeat(201)]) assert.ok(!isObjectName(name), name);
});
