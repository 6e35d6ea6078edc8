import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type Fenced, type Grants, noGrants, startFlags } from "#base/fence";

const folder = mkdtempSync(join(tmpdir(), "fence-"));
const application = mkdtempSync(join(tmpdir(), "fence-app-#1 %20"));
mkdirSync(join(application, "programs"));
mkdirSync(join(application, "src/base"), { recursive: true });
copyFileSync(join(import.meta.dirname, "frozen.ts"), join(application, "src/base/frozen.ts"));
writeFileSync(join(application, "package.json"), '{"type":"module"}');
writeFileSync(join(application, "src/store.ts"), "");
after(() => [folder, application].forEach((path) => rmSync(path, { recursive: true })));

/** Runs one line behind the fence: "ok", or the code or words of its error. */
function attempt(line: string, fenced: Fenced, grants: Grants = noGrants): string {
  const program = join(application, `programs/${fenced.name}.ts`);
  writeFileSync(
    program,
    `export {};\ntry { ${line}; console.log("ok"); } catch (error) { console.log(error.code ?? error.message); }\n`,
  );
  const flags = startFlags(fenced, { application, folder }, grants);
  return execFileSync(process.execPath, [...flags, program], { encoding: "utf8" }).trim();
}

const edge = { name: "edge-smtp", mayReach: ["edge"], fence: "permission", zone: "dmz" } as const;
const hub = { name: "hub", mayReach: [], fence: "plain", zone: "inside" } as const;
const dsync = `const fs = await import("node:fs"); const fd = fs.openSync(${JSON.stringify(join(folder, "a"))}, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_DSYNC)`;

describe("startFlags()", () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ["writes durably with O_DSYNC", `${dsync}; fs.writeSync(fd, "x")`, /^ok$/],
    ["cannot fsync", `${dsync}; fs.fsyncSync(fd)`, /ACCESS_DENIED/],
    [
      "reads nothing else",
      `(await import("node:fs")).readFileSync("/etc/passwd")`,
      /ACCESS_DENIED/,
    ],
    [
      "writes nothing else",
      `(await import("node:fs")).writeFileSync("${tmpdir()}/z", "")`,
      /DENIED/,
    ],
    [
      "not even its own code",
      `(await import("node:fs")).writeFileSync("${application}/z", "")`,
      /DENIED/,
    ],
    [
      "reads no code of other rooms",
      `(await import("node:fs")).readFileSync("${application}/src/store.ts")`,
      /DENIED/,
    ],
    ["starts no program", `(await import("node:child_process")).spawnSync("true")`, /DENIED/],
    ["loads no SQLite", `await import("node:sqlite")`, /UNKNOWN_BUILTIN/],
    ["loads no native library", `await import("node:ffi")`, /UNKNOWN_BUILTIN/],
    ["makes no code from text", `(0, eval)("1")`, /generation from strings/],
    ["freezes what is built in", "Array.prototype.push = () => 1", /read only/],
    ["adds nothing to all objects", "Object.prototype.found = 1", /not extensible/],
    ["nor to what iterates", "Object.getPrototypeOf([].values()).next = 1", /read only/],
    ["nor to all errors", "Error.prototype.code = 1", /not extensible/],
    ["names its own errors", `Object.assign(new Error(), { name: "a", message: "b" })`, /^ok$/],
    ["knows no __proto__", "({}).__proto__", /PROTO_ACCESS/],
    ["listens", `(await import("node:net")).createServer().listen(0).unref()`, /^ok$/],
  ];
  for (const [name, line, outcome] of cases) {
    test(`a DMZ program ${name}`, () => assert.match(attempt(line, edge), outcome));
  }

  test("a caged program is granted what the configuration names, and that alone", () => {
    const outside = mkdtempSync(join(tmpdir(), "fence-outside-"));
    try {
      writeFileSync(join(outside, "credential"), "");
      const keyring = { ...edge, name: "keyring", zone: "caged" } as const;
      const grants = { reads: [join(outside, "/")], ffi: true };
      const read = `(await import("node:fs")).readFileSync("${outside}/credential")`;
      const load = `(await import("node:ffi")).dlopen(null, {})`;
      assert.equal(attempt(read, keyring, grants), "ok");
      assert.match(attempt(read, keyring), /ACCESS_DENIED/);
      assert.equal(attempt(load, keyring, grants), "ok");
      assert.match(attempt(load, keyring, { ...grants, ffi: false }), /UNKNOWN_BUILTIN/);
      const other = `(await import("node:fs")).readFileSync("/etc/passwd")`;
      assert.match(attempt(other, keyring, grants), /ACCESS_DENIED/);
    } finally {
      rmSync(outside, { recursive: true });
    }
  });

  test("the hub may fsync, and still makes no code from text", () => {
    assert.equal(attempt(`${dsync}; fs.fsyncSync(fd)`, hub), "ok");
    assert.match(attempt(`(0, eval)("1")`, hub), /generation from strings/);
  });
});
