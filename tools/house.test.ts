import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { checkFloors } from "./check-floors.ts";
import { checkReach, reachOf } from "./check-reach.ts";

const root = dirname(import.meta.dirname);

/** A copy of the tree in which one file is new, or begins with more. */
function planted(file: string, text: string): { root: string } & Disposable {
  const copy = mkdtempSync(join(tmpdir(), "postern-house-"));
  for (const part of ["src", "programs", "tools", "tests", "bench", "web"]) {
    cpSync(join(root, part), join(copy, part), {
      recursive: true,
      filter: (path) => !path.includes("/dist") && !path.includes("/conformance"),
    });
  }
  for (const part of ["package.json", "knip.json", "tsconfig.json"]) {
    cpSync(join(root, part), join(copy, part));
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  mkdirSync(dirname(join(copy, file)), { recursive: true });
  const kept = existsSync(join(copy, file)) ? readFileSync(join(copy, file), "utf8") : "";
  writeFileSync(join(copy, file), text + kept);
  return { root: copy, [Symbol.dispose]: () => rmSync(copy, { recursive: true, force: true }) };
}

describe("the floors check", () => {
  test("finds nothing in the tree as it is", () => {
    assert.deepEqual(checkFloors(root), []);
  });

  const violations = [
    ["an import that goes up", "src/base/planted.ts", 'import "#store";', /goes up/],
    ["neighbours", "src/policy/planted.ts", 'import "#identity/spf";', /neighbours/],
    ["a pure room with hands", "src/identity/spf/planted.ts", 'import "node:fs";', /no hands/],
    ["a way past the door", "src/hub/planted.ts", 'import "../store/index.ts";', /leaves its room/],
    ["a door that is not there", "src/hub/planted.ts", 'import "#store/pages";', /no such door/],
  ] as const;
  for (const [what, file, text, expected] of violations) {
    test(`refuses ${what}`, () => {
      using copy = planted(file, `${text}\n`);
      assert.match(checkFloors(copy.root).join("\n"), expected);
    });
  }
});

describe("the reach check", () => {
  test("CAP-1 finds neither mailbox, directory nor key code in the programs of the DMZ", async () => {
    assert.deepEqual(await checkReach(root), []);
    for (const program of ["programs/edge-smtp.ts", "programs/edge-web.ts"]) {
      const folders = new Set([...reachOf(root, program).files].map((file) => file.split("/")[1]));
      for (const inside of ["store", "directory", "keys", "access", "hub"]) {
        assert.ok(!folders.has(inside), `${program} reaches ${inside}`);
      }
      assert.deepEqual([...reachOf(root, program).thirdParty], []);
    }
  });

  test("refuses a program of the DMZ that reaches the store, however far down", async () => {
    using copy = planted("src/policy/decide.ts", 'import "../store/index.ts";\n');
    assert.ok(
      reachOf(copy.root, "programs/edge-smtp.ts").files.has("src/store/index.ts"),
      "the walk does not see it",
    );
    assert.match((await checkReach(copy.root)).join("\n"), /edge-smtp.*belongs to the inside/);
  });

  test("names an import that leads to no file, door or not", async () => {
    const text = 'import "#store/pages";\nimport "./not-there.ts";\n';
    using copy = planted("src/policy/decide.ts", text);
    const findings = (await checkReach(copy.root)).join("\n");
    assert.match(findings, /edge-smtp\.ts: src\/policy\/decide\.ts:1: #store\/pages leads to no/);
    assert.match(findings, /decide\.ts:2: \.\/not-there\.ts leads to no file/);
  });

  test("refuses third-party code in the DMZ", async () => {
    using copy = planted("src/policy/decide.ts", 'import "commander";\n');
    assert.match((await checkReach(copy.root)).join("\n"), /third-party commander/);
  });
});

describe("the dead-code check", () => {
  test("refuses an export that nothing uses", () => {
    using copy = planted("src/base/planted.ts", "export const nobodyWantsThis = 1;\n");
    const knip = spawnSync("node_modules/.bin/knip", ["--no-progress"], {
      cwd: copy.root,
      encoding: "utf8",
    });
    assert.notEqual(knip.status, 0);
    assert.match(knip.stdout, /planted/);
  });
});
