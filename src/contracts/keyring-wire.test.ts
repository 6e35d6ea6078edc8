import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Denied, Misconfigured, Unavailable } from "#base/errors";
import { pick, seededRandom } from "#base/random";
import {
  type Frame,
  FrameReader,
  faultOf,
  formatFrame,
  proofOf,
  UnknownMaster,
  WrapDamaged,
} from "#contracts/keyring";
import { errorOf } from "./keyring-faults.ts";

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
    const requests = [
      formatFrame({ id: 1, do: "dkimKeys", domain: "example.org" }, Buffer.alloc(20)),
      formatFrame({ id: 2, do: "wrapKey", purpose: "store 00" }, Buffer.alloc(32)),
      formatFrame({ id: 3, do: "unwrapKey", master: "token:a", purpose: "s" }, Buffer.alloc(60)),
      formatFrame({ id: 4, do: "signHead" }, Buffer.from("origin\n1\nroot\n")),
      formatFrame({ id: 5, fault: "unknown-master", master: "00", why: "not there" }),
    ];
    for (let round = 0; round < 20_000; round += 1) {
      const sound = requests[round % requests.length] ?? assert.fail();
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

describe("faultOf() and errorOf()", () => {
  test("carry the kind, the words and the id of an error over", () => {
    const errors = [
      ...[new Denied("no"), new Misconfigured("wrong"), new Unavailable("away")],
      ...[new WrapDamaged("changed"), new UnknownMaster("0011223344556677", "not there")],
    ];
    for (const error of errors) {
      const back = errorOf(JSON.parse(JSON.stringify(faultOf(error))));
      assert.equal(back?.constructor, error.constructor);
      assert.equal(back?.message, error.message);
      assert.equal(Reflect.get(back ?? {}, "master"), Reflect.get(error, "master"));
    }
    assert.equal(errorOf({ id: 1 }), undefined);
  });

  test("keep the words of a bug at home", () => {
    const fault = faultOf(new TypeError("the key is 1234"));
    assert.deepEqual(fault, { fault: "unavailable" });
    assert.ok(errorOf({ ...fault }) instanceof Unavailable);
  });

  test("make an error of any fault (seeded)", () => {
    const random = seededRandom(7);
    const values = ["denied", "damaged", "unknown-master", "x".repeat(9999), 1, null, {}, [], true];
    for (let round = 0; round < 5000; round += 1) {
      const any = (): unknown => values[pick(random, values.length)];
      const error = errorOf({ fault: any(), why: any(), master: any() });
      assert.ok(error instanceof Error && error.message.length <= 1000);
    }
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
