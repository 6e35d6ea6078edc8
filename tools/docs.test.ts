import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { makeDocs } from "./make-docs.ts";

const root = dirname(import.meta.dirname);

describe("pages made from code", () => {
  for (const [path, text] of Object.entries(makeDocs())) {
    test(`${path} is current`, () => {
      // Whole pages side by side would bury the advice.
      assert.ok(
        readFileSync(join(root, path), "utf8") === text,
        "run: node_modules/.bin/node tools/make-docs.ts",
      );
    });
  }

  test("the commands that are there are not called missing", () => {
    const [there = "", missing = ""] = (makeDocs()["docs/commands.md"] ?? "").split(
      "Not there yet",
    );
    assert.match(there, /\| `trace show <id>` \|/);
    assert.match(missing, /`analyze`/);
    for (const [, name = ""] of missing.matchAll(/`([^`]+)`/g)) {
      assert.ok(!there.includes(`| \`${name}\``), name);
    }
  });
});
