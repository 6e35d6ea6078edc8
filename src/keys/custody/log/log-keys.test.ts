import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { Denied, Misconfigured } from "#base/errors";
import { openCurrentLog } from "./current-log.ts";
import { openLog } from "./log-keys.ts";

const root = (octet: number): string => Buffer.alloc(32, octet).toString("base64");
const rest = "time 1767614400123\nstore 0011223344556677\n";
const head = (origin: string, size: number | string, hash = root(1), more = rest): Buffer =>
  Buffer.from(`${origin}\n${size}\n${hash}\n${more}`);

let folder = "";
let directory = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "log-keys-"));
  directory = join(folder, "log");
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("openCurrentLog()", () => {
  test("ends the log of that name once, and keeps its folder", async () => {
    const log = await openCurrentLog(directory, "mail.example.org");
    const old = log.keys;
    await log.sign(head(old.name, 9));
    const signing = log.sign(head(old.name, 10));
    await Promise.all([log.renew(old.name), log.renew(old.name), signing]);
    assert.notEqual(log.keys.name, old.name);
    assert.ok(!log.keys.ed25519.equals(old.ed25519) && !log.keys.mlDsa65.equals(old.mlDsa65));
    await assert.rejects(log.sign(head(old.name, 11)), /not a head of/);
    await log.sign(head(log.keys.name, 3));
    assert.deepEqual((await openLog(directory, "mail.example.org")).keys, log.keys);
    const id = old.name.slice(-8);
    assert.deepEqual(readdirSync(folder).sort(), ["log", `log-${id}`]);
    const kept = await openLog(join(folder, `log-${id}`), "mail.example.org");
    assert.deepEqual(kept.keys, old);
    await assert.rejects(kept.sign(head(old.name, 9)), /size 10 was signed/);
  });
});

describe("openLog()", () => {
  test("makes two keys and a name of its own once, for its owner only", async () => {
    const { keys } = await openLog(directory, "mail.example.org");
    assert.match(keys.name, /^mail\.example\.org\/[0-9a-f]{8}$/);
    assert.deepEqual((await openLog(directory, "renamed.example.org")).keys, keys);
    const files = readdirSync(directory);
    assert.deepEqual(files.sort(), ["ed25519.pem", "ml-dsa-65.pem", "signed.json"]);
    for (const file of files) assert.equal(statSync(join(directory, file)).mode & 0o777, 0o600);
    assert.notEqual(
      (await openLog(join(folder, "other"), "mail.example.org")).keys.name,
      keys.name,
    );
  });

  test("signs a head with both keys over its very octets", async () => {
    const log = await openLog(directory, "mail.example.org");
    const text = head(log.keys.name, 7);
    const signatures = await log.sign(text);
    for (const name of ["ed25519", "mlDsa65"] as const) {
      const key = createPublicKey({ key: log.keys[name], format: "der", type: "spki" });
      assert.ok(verify(null, text, key, signatures[name]));
      assert.ok(!verify(null, Buffer.concat([text, text]), key, signatures[name]));
    }
    assert.deepEqual([signatures.ed25519.length, signatures.mlDsa65.length], [64, 3309]);
  });

  test("signs nothing but heads of its own log", async () => {
    const log = await openLog(directory, "mail.example.org");
    const { name } = log.keys;
    for (const text of [
      ...[head("other.example/00000000", 1), head(`${name}x`, 1), head(`${name} `, 1)],
      ...[head(name, "01"), head(name, -1), head(name, "1e3"), head(name, "9".repeat(16))],
      ...[head(name, 1, "AAAA"), head(name, 1, root(1).replace(/.=$/, "B="))],
      ...[
        head(name, 1, root(1), ""),
        head(name, 1, root(1), `${rest}\n`),
        head(name, 1, root(1), `${rest}more\n`),
      ],
      ...[head(name, 1).subarray(0, -1), Buffer.from(""), Buffer.from("v=1; a=rsa-sha256")],
      head(name, 1, root(1), `${"x".repeat(4096)}\n${rest}`),
    ]) {
      await assert.rejects(log.sign(text), Denied, JSON.stringify(text.toString("latin1")));
    }
    await log.sign(head(name, 0));
  });

  test("never signs a step back, nor two roots of one size, not even after a restart", async () => {
    const log = await openLog(directory, "mail.example.org");
    const { name } = log.keys;
    await log.sign(head(name, 10));
    const once = (await log.sign(head(name, 10))).ed25519;
    await log.sign(head(name, 12));
    for (const one of [log, await openLog(directory, "mail.example.org")]) {
      await assert.rejects(one.sign(head(name, 11)), /size 12 was signed: 11 is a step back/);
      await assert.rejects(
        one.sign(head(name, 12, root(2))),
        /another root was signed for size 12/,
      );
      await one.sign(head(name, 12));
    }
    const signed = JSON.parse(readFileSync(join(directory, "signed.json"), "utf8"));
    assert.deepEqual(signed, { origin: name, size: 12, root: root(1) });
    assert.equal(once.length, 64);
  });

  test("keeps order when many are asked at once", async () => {
    const log = await openLog(directory, "mail.example.org");
    const sizes = [3, 1, 2, 5, 4, 6];
    const outcomes = await Promise.allSettled(
      sizes.map((size) => log.sign(head(log.keys.name, size))),
    );
    assert.deepEqual(
      outcomes.map(({ status }) => status === "fulfilled"),
      [true, false, false, true, false, true],
    );
  });

  test("signs nothing when it cannot write down what it signs", async () => {
    const log = await openLog(directory, "mail.example.org");
    await log.sign(head(log.keys.name, 1));
    renameSync(directory, `${directory}-away`);
    await assert.rejects(log.sign(head(log.keys.name, 2)));
    renameSync(`${directory}-away`, directory);
    await log.sign(head(log.keys.name, 2));
  });

  test("begins no log in place of one that lost a file", async () => {
    const log = await openLog(directory, "mail.example.org");
    await log.sign(head(log.keys.name, 5));
    const lost = join(folder, "lost");
    for (const file of ["signed.json", "ed25519.pem", "ml-dsa-65.pem"]) {
      const path = join(directory, file);
      renameSync(path, lost);
      await assert.rejects(openLog(directory, "mail.example.org"), (error) => {
        assert.ok(error instanceof Misconfigured);
        return error.message.startsWith(`${path} is missing`);
      });
      renameSync(lost, path);
    }
    for (const text of ["", "{}", "[]", '{"origin":"a","size":1.5,"root":""}', "null"]) {
      writeFileSync(join(directory, "signed.json"), text);
      await assert.rejects(openLog(directory, "mail.example.org"), /is damaged/);
    }
  });

  test("completes a first start that a power cut ended", async () => {
    const { keys } = await openLog(directory, "mail.example.org");
    rmSync(join(directory, "ml-dsa-65.pem"));
    writeFileSync(join(directory, "ml-dsa-65.pem.part"), "-----BEGIN", { mode: 0o600 });
    const again = await openLog(directory, "mail.example.org");
    assert.equal(again.keys.name, keys.name);
    assert.deepEqual(again.keys.ed25519, keys.ed25519);
    await again.sign(head(keys.name, 1));
    chmodSync(join(directory, "ed25519.pem"), 0o644);
    await assert.rejects(openLog(directory, "mail.example.org"), /readable by its owner only/);
  });
});
