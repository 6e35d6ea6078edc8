import assert from "node:assert/strict";
import { basename } from "node:path";
import { describe, test } from "node:test";
import { safeName } from "./store-salvage.ts";

describe("safeName()", () => {
  test("leaves names as people gave them where a file system takes them", () => {
    for (const name of ["ana@example.org", "INBOX", "Größe", "2026 rest", "a.b"]) {
      assert.equal(safeName(name), name);
    }
  });

  test("leads nowhere else, and never takes the place of a message", () => {
    const hostile = [".", "..", "../etc", "a/b", "a\\b", "nul\0", '"x y"', ".hidden", "12.eml"];
    const names = hostile.map(safeName);
    for (const [index, name] of names.entries()) {
      assert.equal(basename(name), name);
      assert.notEqual(name, hostile[index] === '"x y"' ? "" : hostile[index]);
      assert.doesNotMatch(name, /^\.|^\d+\.eml$|[/\\\0]/);
    }
    assert.equal(new Set(names).size, names.length);
  });

  test("long names stay short and different", () => {
    const [one, other] = [`${"ü".repeat(400)}a`, `${"ü".repeat(400)}b`].map(safeName);
    assert.notEqual(one, other);
    assert.ok(Buffer.byteLength(one ?? "") <= 255);
  });

  test("takes half a character of UTF-16", () => {
    assert.doesNotThrow(() => safeName("a\ud800b"));
  });
});
