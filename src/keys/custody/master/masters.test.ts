import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { Denied, Misconfigured } from "#base/errors";
import { pick, seededRandom } from "#base/random";
import { UnknownMaster, WrapDamaged, type WrappedKey } from "#contracts/keyring";
import { openMaster } from "#keys/custody";
import { makeSoftToken } from "./fixture.ts";
import { type MasterSettings, type Masters, openMasters } from "./masters.ts";
import { secretsIn } from "./secret.ts";

const purpose = "store 0011223344556677";
const first = (): void => {};

let folder = "";
let directory = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "masters-"));
  directory = join(folder, "master");
});
afterEach(() => rmSync(folder, { recursive: true }));

const inFiles = (): MasterSettings => ({ source: "file", directory });

function credentials(text: string | Buffer, name = "credentials"): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "postern-master"), text);
  return path;
}

async function opens(masters: Masters, wrapped: WrappedKey, key: Buffer): Promise<void> {
  assert.deepEqual(await masters.unwrapKey(wrapped, purpose), key);
}

describe("master keys in files", () => {
  test("are made at the first start alone, for their owner only", async () => {
    await assert.rejects(openMaster(inFiles()), /folder .* holds no master key/);
    const told: string[] = [];
    const made = await openMasters(inFiles(), (id) => void told.push(id));
    const { current } = made.ids();
    assert.deepEqual(told, [current]);
    const [name = ""] = readdirSync(directory);
    assert.equal(name, `1-${current}.key`);
    assert.equal(statSync(join(directory, name)).mode & 0o777, 0o600);
    assert.equal(statSync(directory).mode & 0o777, 0o700);
    const again = await openMasters(inFiles(), assert.fail);
    assert.deepEqual(again.ids(), { current, held: [current] });
  });

  test("wrap for one purpose, and what an offline command opens is the same", async () => {
    const masters = await openMasters(inFiles(), first);
    const key = randomBytes(32);
    const wrapped = await masters.wrapKey(key, purpose);
    assert.equal(wrapped.wrapped.indexOf(key), -1);
    await using offline = await openMaster(inFiles());
    assert.deepEqual(await offline.unwrapKey(wrapped, purpose), key);
    await assert.rejects(masters.unwrapKey(wrapped, "store 0"), WrapDamaged);
    for (const bad of ["", "a\nb", "ä", "x".repeat(129)]) {
      await assert.rejects(masters.wrapKey(key, bad), Denied);
      await assert.rejects(masters.unwrapKey(wrapped, bad), Denied);
    }
    for (const length of [0, 31, 33]) {
      await assert.rejects(masters.wrapKey(Buffer.alloc(length), purpose), Denied);
    }
  });

  test("find every damage to what they wrapped", async () => {
    const masters = await openMasters(inFiles(), first);
    const { master, wrapped } = await masters.wrapKey(randomBytes(32), purpose);
    for (let bit = 0; bit < wrapped.length * 8; bit += 1) {
      const flipped = Buffer.from(wrapped);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await assert.rejects(masters.unwrapKey({ master, wrapped: flipped }, purpose), WrapDamaged);
    }
    const random = seededRandom(12);
    for (let round = 0; round < 500; round += 1) {
      const junk = random.bytes(pick(random, 200));
      await assert.rejects(masters.unwrapKey({ master, wrapped: junk }, purpose), WrapDamaged);
    }
  });

  test("rotate: the old key unwraps until it is retired, and is off the disk then", async () => {
    const masters = await openMasters(inFiles(), first);
    const old = masters.ids().current;
    const wrapped = await masters.wrapKey(Buffer.alloc(32, 1), purpose);
    const [one, other] = await Promise.all([masters.rotate(old), masters.rotate(old)]);
    assert.equal(one, other, "a repeated request rotates once");
    assert.deepEqual(masters.ids(), { current: one, held: [one, old] });
    await opens(masters, wrapped, Buffer.alloc(32, 1));
    const again = await openMasters(inFiles(), first);
    assert.deepEqual(again.ids(), { current: one, held: [one, old] });
    await opens(again, wrapped, Buffer.alloc(32, 1));
    await assert.rejects(again.retire(one), Denied);
    await again.retire(old);
    await again.retire(old);
    assert.deepEqual(readdirSync(directory), [`2-${one}.key`]);
    await assert.rejects(again.unwrapKey(wrapped, purpose), (error) => {
      assert.ok(error instanceof UnknownMaster);
      assert.equal(error.master, old);
      return error.message.includes(old) && error.message.includes("put back");
    });
  });

  test("that are damaged, readable by others or unfinished do not count", async () => {
    const { current } = (await openMasters(inFiles(), first)).ids();
    const path = join(directory, `1-${current}.key`);
    const octets = readFileSync(path);
    writeFileSync(join(directory, "2-0011223344556677.key.part"), "half", { mode: 0o600 });
    assert.equal((await openMasters(inFiles(), first)).ids().current, current);
    assert.deepEqual(readdirSync(directory), [`1-${current}.key`]);
    for (const damaged of [Buffer.alloc(0), Buffer.alloc(33), octets.subarray(1)]) {
      writeFileSync(path, damaged);
      await assert.rejects(openMasters(inFiles(), first), (error) => {
        assert.ok(error instanceof Misconfigured);
        return error.message.includes(path) && error.message.includes("put back a copy");
      });
    }
    writeFileSync(path, octets.subarray(0, 32)); // a power cut before the line feed
    assert.equal((await openMasters(inFiles(), first)).ids().current, current);
    chmodSync(path, 0o640);
    await assert.rejects(openMasters(inFiles(), first), /readable by its owner only/);
  });

  test("say nothing of themselves in an error about a strange id", async () => {
    const masters = await openMasters(inFiles(), first);
    const wrapped = Buffer.alloc(60);
    for (const master of ["", "\u0007\n", "x".repeat(1000), "__proto__"]) {
      await assert.rejects(masters.unwrapKey({ master, wrapped }, purpose), (error) => {
        assert.ok(error instanceof UnknownMaster);
        return !/[\u0007\n]/.test(error.message) && error.message.length < 500;
      });
    }
  });
});

describe("a master key in a credential", () => {
  const key = Buffer.from("1f".repeat(31) + "0a", "hex");
  const settings = (path: string | undefined): MasterSettings => ({
    source: "credential",
    directory,
    ...(path !== undefined && { credentials: path }),
  });

  test("is the same key raw, in hexadecimal and in base64", async () => {
    const forms = [key, key.toString("hex"), `${key.toString("hex").toUpperCase()}\n`];
    forms.push(key.toString("base64"), Buffer.concat([key, Buffer.from("\n")]));
    const ids = new Set<string>();
    for (const form of forms) {
      ids.add((await openMasters(settings(credentials(form)), first)).ids().current);
    }
    assert.equal(ids.size, 1);
    const copy = Buffer.from(key);
    assert.equal(secretsIn(copy)?.[0]?.id, [...ids][0]);
    assert.deepEqual(copy, Buffer.alloc(32), "read and zeroed");
  });

  test("that is absent or no key fails by name, and shows nothing of it", async () => {
    await assert.rejects(openMasters(settings(undefined), first), /postern-master is not there/);
    await assert.rejects(
      openMasters(settings(join(folder, "none")), first),
      /none\/postern-master cannot be read \(ENOENT\)/,
    );
    for (const text of ["", "00".repeat(31), "secret words", `${"00".repeat(32)}\nzz`]) {
      await assert.rejects(openMasters(settings(credentials(text)), first), (error) => {
        assert.ok(error instanceof Misconfigured);
        return error.message.endsWith("is not 32 octets, raw or in hexadecimal or base64");
      });
    }
  });

  test("is never written: a new one goes on its first line", async () => {
    const path = credentials(key.toString("hex"));
    const masters = await openMasters(settings(path), first);
    const { current } = masters.ids();
    const wrapped = await masters.wrapKey(Buffer.alloc(32, 1), purpose);
    await assert.rejects(masters.rotate(current), (error) => {
      assert.ok(error instanceof Denied);
      return /first line/.test(error.message);
    });
    writeFileSync(
      join(path, "postern-master"),
      `${Buffer.alloc(32, 9).toString("base64")}\n${key.toString("hex")}\n`,
    );
    const rotated = await openMasters(settings(path), first);
    assert.equal(rotated.ids().held[1], current);
    await opens(rotated, wrapped, Buffer.alloc(32, 1));
    await assert.rejects(rotated.retire(current), Denied);
  });

  test("takes over from a file, which is the same key when it was copied", async () => {
    const files = await openMasters(inFiles(), first);
    const wrapped = await files.wrapKey(Buffer.alloc(32, 1), purpose);
    const [name = ""] = readdirSync(directory);
    const path = credentials(key);
    copyFileSync(join(directory, name), join(path, "postern-master"));
    rmSync(directory, { recursive: true });
    const moved = await openMasters(settings(path), first);
    assert.deepEqual(moved.ids(), files.ids());
    await opens(moved, wrapped, Buffer.alloc(32, 1));
  });
});

describe("sources side by side", () => {
  test("the chosen one wraps, what the others wrapped is still unwrapped", async () => {
    const token = makeSoftToken();
    try {
      token.makeKey("postern-master");
      const files = await openMasters(inFiles(), first);
      const old = files.ids().current;
      const wrapped = await files.wrapKey(Buffer.alloc(32, 1), purpose);
      const settings = { ...inFiles(), token: token.settings };
      {
        await using both = await openMasters({ ...settings, source: "pkcs11" }, first);
        assert.deepEqual(both.ids(), {
          current: "token:postern-master",
          held: ["token:postern-master", old],
        });
        await opens(both, wrapped, Buffer.alloc(32, 1));
        assert.equal((await both.wrapKey(Buffer.alloc(32), purpose)).master, both.ids().current);
        await both.retire(old);
        assert.deepEqual(readdirSync(directory), []);
      }
      await using back = await openMasters(settings, first);
      assert.match(back.ids().current, /^[0-9a-f]{16}$/);
      assert.equal(back.ids().held[1], "token:postern-master");
    } finally {
      token.remove();
    }
  });

  test("a source that is chosen and not set up is named", async () => {
    await assert.rejects(openMaster({ ...inFiles(), source: "pkcs11" }), /tokenModule/);
  });
});
