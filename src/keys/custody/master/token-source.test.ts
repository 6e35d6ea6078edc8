import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Misconfigured, Unavailable } from "#base/errors";
import { pick, seededRandom } from "#base/random";
import { makeSoftToken, type SoftToken } from "./fixture.ts";
import { loadPkcs11 } from "./pkcs11.ts";
import type { MasterSource } from "./source.ts";
import { openTokenSource, type TokenSettings } from "./token-source.ts";

const purpose = "store 0011223344556677";

describe("a token", () => {
  let token: SoftToken;
  before(() => {
    token = makeSoftToken();
    token.makeKey("postern-master");
    token.makeKey("postern-master-x");
    token.makeKey("other");
  });
  after(() => token.remove());

  async function open(settings: Partial<TokenSettings> = {}): Promise<MasterSource> {
    return await openTokenSource({ ...token.settings, ...settings }, undefined);
  }

  test("wraps and unwraps inside, bound to purpose and key", async () => {
    const source = await open();
    try {
      const [id = ""] = source.ids();
      assert.deepEqual(source.ids(), ["token:postern-master"]);
      const key = randomBytes(32);
      const wrapped = await source.wrap(id, key, purpose);
      assert.equal(wrapped.length, 60);
      assert.equal(wrapped.indexOf(key), -1);
      assert.notDeepEqual(await source.wrap(id, key, purpose), wrapped);
      assert.deepEqual(await source.unwrap(id, wrapped, purpose), key);
      assert.equal(await source.unwrap(id, wrapped, `${purpose} `), undefined);
    } finally {
      await source.close();
    }
  });

  test("finds every damage, and goes on", async () => {
    const source = await open();
    try {
      const [id = ""] = source.ids();
      const key = randomBytes(32);
      const wrapped = await source.wrap(id, key, purpose);
      for (let bit = 0; bit < wrapped.length * 8; bit += 1) {
        const flipped = Buffer.from(wrapped);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        assert.equal(await source.unwrap(id, flipped, purpose), undefined, `bit ${bit}`);
      }
      const random = seededRandom(3);
      for (let round = 0; round < 200; round += 1) {
        const junk = random.bytes(pick(random, 200));
        assert.equal(await source.unwrap(id, junk, purpose), undefined);
      }
      assert.deepEqual(await source.unwrap(id, wrapped, purpose), key);
    } finally {
      await source.close();
    }
  });

  test("leaves Node's own cryptography as it was", async () => {
    const sum = (): string => createHmac("sha256", "k").update("x").digest("hex");
    const beforehand = sum();
    for (let round = 0; round < 20; round += 1) await (await open()).close();
    assert.equal(sum(), beforehand);
  });

  test("survives thousands of calls between collections", async () => {
    const source = await open();
    try {
      const [id = ""] = source.ids();
      for (let round = 0; round < 5000; round += 1) {
        const key = randomBytes(32);
        const wrapped = await source.wrap(id, key, purpose);
        assert.ok(key.equals((await source.unwrap(id, wrapped, purpose)) ?? Buffer.alloc(0)));
      }
    } finally {
      await source.close();
    }
  });

  test("that is not there is not waited for, and is named", async () => {
    await assert.rejects(open({ label: "elsewhere" }), (error) => {
      assert.ok(error instanceof Unavailable);
      return /token "elsewhere" of .* is not there/.test(error.message);
    });
  });

  test("without the key says which label is missing", async () => {
    await assert.rejects(open({ key: "absent" }), (error) => {
      assert.ok(error instanceof Misconfigured);
      return /token "postern" has no AES key labelled "absent"/.test(error.message);
    });
  });

  test("with two keys of one label is not guessed at", async () => {
    token.makeKey("twice");
    token.makeKey("twice");
    await assert.rejects(open({ key: "twice" }), /several AES keys/);
  });

  test("refuses a wrong PIN once, is not asked again, and the PIN is not in the error", async () => {
    const pinFile = join(token.folder, "wrong-pin");
    writeFileSync(pinFile, "555555", { mode: 0o600 });
    await assert.rejects(open({ pinFile }), (error) => {
      assert.ok(error instanceof Misconfigured);
      assert.ok(!JSON.stringify([error.message, error.stack]).includes("555555"));
      return /refuses the PIN \(C_Login failed: CKR_PIN_INCORRECT\)/.test(error.message);
    });
    await (await open()).close();
  });

  test("whose PIN others can read, or nobody gave, is not opened", async () => {
    const pinFile = join(token.folder, "open-pin");
    writeFileSync(pinFile, "9876", { mode: 0o644 });
    await assert.rejects(open({ pinFile }), /readable by its owner only/);
    const { pinFile: _, ...settings } = token.settings;
    await assert.rejects(openTokenSource(settings, undefined), /credential postern-pin/);
    writeFileSync(join(token.folder, "postern-pin"), "9876");
    await (await openTokenSource(settings, token.folder)).close();
  });

  test("needs a library that is one", async () => {
    await assert.rejects(open({ module: "/nowhere/lib.so" }), (error) => {
      assert.ok(error instanceof Misconfigured);
      return /\/nowhere\/lib.so cannot be loaded/.test(error.message);
    });
    await assert.rejects(open({ module: "libc.so.6" }), /cannot be loaded: .*C_Initialize/);
  });

  test("that goes away is missed by name, and is back without a restart", async () => {
    const source = await open();
    const [id = ""] = source.ids();
    const wrapped = await source.wrap(id, Buffer.alloc(32, 7), purpose);
    token.unplug();
    await assert.rejects(source.unwrap(id, wrapped, purpose), (error) => {
      assert.ok(error instanceof Unavailable, String(error));
      return /"postern"/.test(error.message);
    });
    token.plug();
    assert.deepEqual(await source.unwrap(id, wrapped, purpose), Buffer.alloc(32, 7));
    await source.close();
  });

  test("whose session is lost fails that request and is opened again by the next", async () => {
    const source = await open();
    const [id = ""] = source.ids();
    const wrapped = await source.wrap(id, Buffer.alloc(32, 7), purpose);
    (await loadPkcs11(token.settings.module)).call("C_Finalize", 0n);
    await assert.rejects(source.unwrap(id, wrapped, purpose), (error) => {
      assert.ok(error instanceof Unavailable, String(error));
      return /token "postern" does not answer: .*CKR_CRYPTOKI_NOT_INITIALIZED/.test(error.message);
    });
    assert.deepEqual(await source.unwrap(id, wrapped, purpose), Buffer.alloc(32, 7));
    await source.close();
  });

  test("makes new keys that cannot leave it, keeps the old ones until they are retired", async () => {
    const source = await open();
    try {
      const first = "token:postern-master";
      const wrapped = await source.wrap(first, Buffer.alloc(32, 1), purpose);
      assert.equal(await source.make(), "token:postern-master-2");
      assert.equal(await source.make(), "token:postern-master-3");
      assert.deepEqual(source.ids(), [
        "token:postern-master-3",
        "token:postern-master-2",
        "token:postern-master",
      ]);
      assert.deepEqual(await source.unwrap(first, wrapped, purpose), Buffer.alloc(32, 1));
      await source.retire(first);
      assert.deepEqual(source.ids(), ["token:postern-master-3", "token:postern-master-2"]);
    } finally {
      await source.close();
    }
    assert.equal(token.show("postern-master"), "");
    assert.match(token.show("postern-master-3"), /AES length 32[^]*sensitive[^]*never extractable/);
    const again = await open();
    assert.equal(again.ids()[0], "token:postern-master-3");
    await again.close();
  });
});
