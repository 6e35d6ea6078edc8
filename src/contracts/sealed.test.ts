import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { makeSealKeys, openSealed, type SealFault, seal } from "#contracts/sealed";

const { publicKeys, privateKeys } = makeSealKeys();
const headBytes = 4 + 32 + 1088;
const sealedChunk = 64 * 1024 + 16;

function sealed(content: Buffer, header: unknown = { id: "a" }, pieceBytes = 50_000): Buffer {
  const sealer = seal(publicKeys, header);
  const parts: Buffer[] = [];
  for (let at = 0; at < content.length; at += pieceBytes) {
    parts.push(...sealer.write(content.subarray(at, at + pieceBytes)));
  }
  return Buffer.concat([...parts, ...sealer.end({ sizeBytes: content.length })]);
}

function faultOf(bytes: Buffer): SealFault | undefined {
  const opened = openSealed(privateKeys, [bytes]);
  return opened.ok ? undefined : opened.fault;
}

describe("seal() and openSealed()", () => {
  const random = seededRandom(3);
  for (const size of [0, 1, 65_535, 65_536, 65_537, 200_000]) {
    test(`${size} octets come back with header and trailer`, () => {
      const content = random.bytes(size);
      const opened = openSealed(privateKeys, [sealed(content)]);
      assert.ok(opened.ok);
      assert.deepEqual(Buffer.concat(opened.value.content), content);
      assert.deepEqual(opened.value.header, { id: "a" });
      assert.deepEqual(opened.value.trailer, { sizeBytes: size });
    });
  }

  test("neither envelope nor content is readable, and no two seals are alike", () => {
    const one = sealed(Buffer.from("very secret words"), { to: "bob@example.org" });
    const other = sealed(Buffer.from("very secret words"), { to: "bob@example.org" });
    assert.equal(one.includes("secret"), false);
    assert.equal(one.includes("bob"), false);
    assert.equal(one.subarray(4, 64).equals(other.subarray(4, 64)), false);
  });

  test("memory stays at a chunk: what is full comes out at once", () => {
    const sealer = seal(publicKeys, {});
    let out = 0;
    for (let index = 0; index < 100; index += 1) {
      for (const part of sealer.write(Buffer.alloc(64 * 1024))) out += part.length;
      assert.ok(out >= index * 64 * 1024);
    }
  });

  test("any single altered octet is refused", () => {
    const bytes = sealed(random.bytes(70_000));
    for (let index = 0; index < 300; index += 1) {
      const altered = Buffer.from(bytes);
      const at = index < 60 ? index * 19 : pick(random, bytes.length);
      altered[at] = (altered[at] ?? 0) ^ (1 << (index % 8));
      assert.notEqual(faultOf(altered), undefined, `octet ${at}`);
    }
  });

  test("a cut anywhere is refused, at the end of a chunk too", () => {
    const bytes = sealed(random.bytes(150_000));
    const cuts = [0, 3, headBytes, headBytes + 15, headBytes + sealedChunk, bytes.length - 1];
    cuts.push(headBytes + 2 * sealedChunk);
    for (const cut of cuts) assert.notEqual(faultOf(bytes.subarray(0, cut)), undefined, `${cut}`);
    assert.notEqual(faultOf(Buffer.concat([bytes, Buffer.alloc(1)])), undefined);
  });

  test("chunks in another order, twice or of another message are refused", () => {
    const bytes = sealed(random.bytes(250_000));
    const chunk = (index: number): Buffer =>
      bytes.subarray(headBytes + index * sealedChunk, headBytes + (index + 1) * sealedChunk);
    const head = bytes.subarray(0, headBytes);
    const join = (...order: Buffer[]): Buffer => Buffer.concat([head, ...order]);
    assert.equal(faultOf(join(chunk(0), chunk(1), chunk(2), chunk(3))), undefined);
    assert.equal(faultOf(join(chunk(1), chunk(0), chunk(2), chunk(3))), "wrong-key-or-altered");
    assert.equal(faultOf(join(chunk(0), chunk(0), chunk(2), chunk(3))), "wrong-key-or-altered");
    const other = sealed(random.bytes(250_000));
    const foreign = other.subarray(headBytes + sealedChunk, headBytes + 2 * sealedChunk);
    assert.equal(faultOf(join(chunk(0), foreign, chunk(2), chunk(3))), "wrong-key-or-altered");
  });

  test("either wrong private key alone does not open it", () => {
    const bytes = sealed(Buffer.from("x"));
    const stranger = makeSealKeys().privateKeys;
    for (const keys of [
      { ...privateKeys, x25519: stranger.x25519 },
      { ...privateKeys, mlKem768: stranger.mlKem768 },
    ]) {
      const opened = openSealed(keys, [bytes]);
      assert.equal(opened.ok, false);
    }
  });

  test("random octets are refused and never throw", () => {
    for (let round = 0; round < 300; round += 1) {
      const noise = random.bytes(pick(random, 3000));
      if (round % 2 === 0) noise.write("PSL1", 0);
      assert.notEqual(faultOf(noise), undefined);
    }
  });
});
