import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { makeSealKeys, seal } from "#contracts/sealed";
import { heldBytes } from "../../../tests/kit/held-bytes.ts";
import { type ArchiveFault, openArchive, sealArchive } from "./archive.ts";
import { gather, octetsOf } from "./octets.ts";
import type { Octets } from "./target.ts";

const { publicKeys, privateKeys } = makeSealKeys();
const mebibyte = 1024 * 1024;
const frame = mebibyte + 16;
const name = "objects/segment-1";

async function sealed(plain: Buffer, as: string = name): Promise<Buffer> {
  const octets = await gather(sealArchive(publicKeys, as, octetsOf(plain)), Infinity);
  assert.ok(octets);
  return octets;
}

async function open(
  octets: Buffer | Octets,
  as: string = name,
  keys = privateKeys,
): Promise<{ plain: Buffer; fault: ArchiveFault | undefined; at: number }> {
  const parts: Buffer[] = [];
  const source = Buffer.isBuffer(octets) ? octetsOf(octets) : octets;
  const result = await openArchive(keys, as, source, (part) => void parts.push(part));
  const plain = Buffer.concat(parts);
  if (result.ok) assert.equal(result.value, plain.length);
  return result.ok
    ? { plain, fault: undefined, at: 0 }
    : { plain, fault: result.fault, at: result.at };
}

const headBytes = async (): Promise<number> => (await sealed(Buffer.alloc(0))).length - 16;

describe("sealArchive() and openArchive()", () => {
  for (const size of [0, 1, mebibyte - 1, mebibyte, mebibyte + 1, 3 * mebibyte, 3_500_000]) {
    test(`${size} octets come back, in whatever pieces they travel`, async () => {
      const plain = randomBytes(size);
      const octets = await sealed(plain);
      const frames = Math.max(1, Math.ceil(size / mebibyte));
      assert.equal(octets.length, (await headBytes()) + size + 16 * frames);
      for (const piece of [octets.length, 65_536, 100_003]) {
        const pieces = (async function* () {
          for (let at = 0; at < octets.length; at += piece) yield octets.subarray(at, at + piece);
        })();
        const opened = await open(pieces);
        assert.equal(opened.fault, undefined);
        assert.ok(opened.plain.equals(plain));
      }
    });
  }

  test("nothing is readable, and no two of the same octets are alike", async () => {
    const plain = Buffer.from("very secret words ".repeat(50));
    const [one, other] = [await sealed(plain), await sealed(plain)];
    assert.ok(!one.includes("secret"));
    assert.notDeepEqual(one.subarray(-16), other.subarray(-16));
  });

  test("another key, another name, or another object's head opens nothing", async () => {
    const plain = randomBytes(1000);
    const octets = await sealed(plain);
    assert.equal(
      (await open(octets, name, makeSealKeys().privateKeys)).fault,
      "wrong-key-or-altered",
    );
    assert.deepEqual(await open(octets, "objects/segment-2"), {
      plain: Buffer.alloc(0),
      fault: "altered",
      at: await headBytes(),
    });
    const other = await sealed(plain);
    const mixed = Buffer.concat([
      other.subarray(0, await headBytes()),
      octets.subarray(await headBytes()),
    ]);
    assert.equal((await open(mixed)).fault, "altered");
  });

  test("frames that are moved, doubled, left out, cut or added are found where it begins", async () => {
    const plain = randomBytes(4 * mebibyte + 1000);
    const octets = await sealed(plain);
    const head = await headBytes();
    const frames = [0, 1, 2, 3, 4].map((index) =>
      octets.subarray(head + index * frame, head + (index + 1) * frame),
    );
    const from = (...order: readonly number[]): Buffer =>
      Buffer.concat([
        octets.subarray(0, head),
        ...order.map((index) => frames[index] ?? Buffer.alloc(0)),
      ]);
    assert.deepEqual(from(0, 1, 2, 3, 4), octets);
    const cases: readonly (readonly [readonly number[], number])[] = [
      [[1, 0, 2, 3, 4], 0],
      [[0, 2, 1, 3, 4], 1],
      [[0, 1, 1, 2, 3, 4], 2],
      [[0, 1, 3, 4], 2],
      [[0, 1, 2, 3], 3],
      [[0], 0],
      [[4], 0],
      [[], 0],
      [[0, 1, 2, 3, 4, 4], 4],
    ];
    for (const [order, wrong] of cases) {
      const opened = await open(from(...order));
      assert.deepEqual([opened.fault, opened.at], ["altered", head + wrong * frame], `${order}`);
      assert.ok(opened.plain.equals(plain.subarray(0, wrong * mebibyte)), "only what is sound");
    }
    const longer = Buffer.concat([octets, Buffer.alloc(1)]);
    assert.equal((await open(longer)).fault, "altered");
  });

  test("a single flipped bit anywhere is found, and nothing of its frame comes out (2,000 bits)", async () => {
    const plain = randomBytes(mebibyte + 5000);
    const octets = await sealed(plain);
    const head = await headBytes();
    const random = seededRandom(21);
    for (let round = 0; round < 400; round += 1) {
      const at =
        round < 200
          ? pick(random, head)
          : head + mebibyte + pick(random, octets.length - head - mebibyte);
      octets[at] = (octets[at] ?? 0) ^ (1 << (round % 8));
      const opened = await open(octets);
      assert.notEqual(opened.fault, undefined, `octet ${at}`);
      assert.ok(plain.subarray(0, opened.plain.length).equals(opened.plain));
      octets[at] = (octets[at] ?? 0) ^ (1 << (round % 8));
    }
    const small = await sealed(plain.subarray(0, 200));
    for (let at = 0; at < small.length; at += 1) {
      small[at] = (small[at] ?? 0) ^ (1 << (at % 8));
      const opened = await open(small);
      assert.ok(opened.fault !== undefined && opened.plain.length === 0, `octet ${at}`);
      small[at] = (small[at] ?? 0) ^ (1 << (at % 8));
    }
  });

  test("a cut anywhere is found", async () => {
    const octets = await sealed(randomBytes(3000));
    for (let length = 0; length < octets.length; length += 1 + (length % 7)) {
      const { fault, plain } = await open(octets.subarray(0, length));
      assert.ok(fault !== undefined && plain.length === 0, `${length}`);
    }
  });

  test("whatever the octets are, it neither throws nor takes them (5,000 inputs)", async () => {
    const random = seededRandom(22);
    const sound = await sealed(Buffer.alloc(500));
    for (let round = 0; round < 5000; round += 1) {
      const octets = random.bytes(pick(random, 1600));
      if (round % 2 === 0) sound.copy(octets, 0, 0, pick(random, 1400));
      const { fault, at } = await open(octets);
      assert.ok(fault !== undefined && at <= octets.length);
    }
  });

  test("a box that holds no key of ours is refused", async () => {
    for (const inside of [
      null,
      5,
      [],
      { archive: 2, key: "a" },
      { archive: 1 },
      { archive: 1, key: "short" },
    ]) {
      const box = Buffer.concat(seal(publicKeys, inside).end(null));
      const start = Buffer.from("PSA1\0\0\0\0");
      start.writeUInt32BE(box.length, 4);
      const { fault } = await open(Buffer.concat([start, box, Buffer.alloc(16)]));
      assert.equal(fault, "wrong-key-or-altered");
    }
  });

  test("memory stays bounded, and what source or taker throws is passed on", async () => {
    const endless = (count: number): Octets =>
      (async function* () {
        for (let index = 0; index < count; index += 1) yield randomBytes(300_000);
      })();
    let highest = 0;
    let count = 0;
    const result = await openArchive(
      privateKeys,
      name,
      sealArchive(publicKeys, name, endless(1000)),
      () => {
        count += 1;
        if (count % 20 === 0) highest = Math.max(highest, heldBytes());
      },
    );
    assert.deepEqual(result, { ok: true, value: 300_000_000 });
    assert.ok(highest < 100 * mebibyte, `${highest}`);

    const reason = new Error("disk full");
    const taking = openArchive(privateKeys, name, sealArchive(publicKeys, name, endless(5)), () => {
      throw reason;
    });
    await assert.rejects(taking, (error) => error === reason);
    let isLetGo = false;
    const breaking = (async function* () {
      try {
        yield randomBytes(10);
        throw reason;
      } finally {
        isLetGo = true;
      }
    })();
    await assert.rejects(
      gather(sealArchive(publicKeys, name, breaking), Infinity),
      (error) => error === reason,
    );
    assert.ok(isLetGo);
  });
});
