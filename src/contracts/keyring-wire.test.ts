import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { type Frame, FrameReader, formatFrame, proofOf } from "#contracts/keyring";

/** Feeds in pieces of at most that size; what was read, and whether all of it was sound. */
function feed(octets: Buffer, size: number, trusted = true): { frames: Frame[]; sound: boolean } {
  const reader = new FrameReader();
  if (trusted) reader.trust();
  const frames: Frame[] = [];
  for (let at = 0; at < octets.length; at += size) {
    const piece = octets.subarray(at, at + size);
    if (!reader.feed(piece, (frame) => void frames.push(frame))) return { frames, sound: false };
  }
  return { frames, sound: true };
}

const two = Buffer.concat([
  formatFrame({ id: 1, do: "x" }, Buffer.from([0, 1, 2])),
  formatFrame({ id: 2 }, Buffer.alloc(100_000, 7)),
]);

describe("FrameReader", () => {
  test("reads frames whatever pieces they come in", () => {
    for (const size of [1, 2, 3, 7, 1000, two.length]) {
      const { frames, sound } = feed(two, size);
      assert.ok(sound);
      assert.deepEqual(
        frames.map((frame) => frame.head),
        [{ id: 1, do: "x" }, { id: 2 }],
      );
      assert.deepEqual(
        frames.map((frame) => frame.body.length),
        [3, 100_000],
      );
    }
  });

  test("takes little from who has proved nothing, and never more than 1 MiB", () => {
    assert.equal(feed(formatFrame({}, Buffer.alloc(300)), 1000, false).sound, false);
    assert.equal(feed(formatFrame({}, Buffer.alloc(1_100_000)), 1000).sound, false);
  });

  test("neither throws nor hangs on damage", () => {
    const random = seededRandom(32);
    const sound = formatFrame({ id: 1, do: "dkimKeys", domain: "example.org" }, Buffer.alloc(20));
    for (let round = 0; round < 20_000; round += 1) {
      const damaged = Buffer.concat([sound, sound]);
      for (let hits = 0; hits < 3; hits += 1) {
        damaged[pick(random, damaged.length)] = pick(random, 256);
      }
      feed(damaged, 1 + pick(random, damaged.length), pick(random, 2) === 0);
    }
  });

  test("joins a frame of a megabyte from single octets in linear time", () => {
    const startedAt = performance.now();
    feed(formatFrame({}, Buffer.alloc(200_000)), 1);
    assert.ok(performance.now() - startedAt < 1000);
  });
});

describe("proofOf()", () => {
  test("differs by role, secret and each nonce", () => {
    const [one, other] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    const proofs = [
      proofOf(one, "client", { server: one, client: other }),
      proofOf(one, "server", { server: one, client: other }),
      proofOf(other, "client", { server: one, client: other }),
      proofOf(one, "client", { server: other, client: one }),
    ];
    assert.equal(new Set(proofs.map((proof) => proof.toString("hex"))).size, 4);
  });
});
