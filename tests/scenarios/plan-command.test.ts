/** `postern plan` as an administrator types it: answers, files and exit codes. */

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { application, runCli } from "../kit/installation.ts";

const data = mkdtempSync(join(tmpdir(), "postern-plan-"));
after(() => rmSync(data, { recursive: true }));
const plan = (...args: string[]): ReturnType<typeof runCli> => runCli(data, ["plan", ...args]);

describe("postern plan", () => {
  test("CAP-5 CAP-6 CAP-12 show: ours opens nothing inward, and knows all that the programs do", async () => {
    const ran = await plan("show", "--layout", "postern", "--json");
    assert.equal(ran.code, 0, ran.stderr);
    const shown = JSON.parse(ran.stdout);
    assert.deepEqual(shown.fromDmzToInside, { rules: 0, ports: 0 });
    assert.deepEqual(shown.insideRolesInDmz, []);
    const unknown = shown.findings.filter((one: { level: string }) => one.level !== "note");
    assert.deepEqual(unknown, [], "no manifest says what the plan does not know");
    const edge = shown.ifTaken.find((one: { host: string }) => one.host === "edge");
    const inside = [...edge.direct, ...edge.worst].filter((one: { inside: boolean }) => one.inside);
    assert.deepEqual(inside, []);
  });

  test("CAP-5 show: the legacy matrix beside ours, with exit code 2", async () => {
    const ran = await plan("show", "--layout", "legacy");
    assert.equal(ran.code, 2, ran.stderr);
    assert.match(
      ran.stdout,
      /! +front-end +→ dc1 +389\/tcp +dmz → inside +LDAP\n +an Exchange server .*; without it: /,
    );
    assert.match(ran.stdout, /\n {2}rules +13 +0\n {2}ports +64522 +0\n/);
    assert.match(ran.stdout, / dc1: 53\/udp 53 88\/udp 88 135 389 3268 1025-65535 +nothing\n/);
    assert.match(ran.stdout, / back-end: 25 80 110 143 691\n/);
  });

  test("show writes the pictures and tables that it is asked for; those of the manual are current", async () => {
    for (const name of ["legacy", "proxy", "postern"]) {
      const [svg, csv] = [join(data, "p.svg"), join(data, "p.csv")];
      await plan("show", "--layout", name, "--svg", svg, "--csv", csv);
      const kept = readFileSync(join(application, `docs/placement-${name}.svg`), "utf8");
      assert.equal(readFileSync(svg, "utf8"), kept, `docs/placement-${name}.svg is not current`);
      assert.match(readFileSync(csv, "utf8"), /^"from","from zone","to"/);
    }
  });

  test("CAP-3 show without a file: this installation, all of it on one machine", async () => {
    const ran = await plan("show", "--json");
    assert.equal(ran.code, 2, ran.stderr);
    assert.deepEqual(JSON.parse(ran.stdout).insideRolesInDmz, [
      "hub on machine",
      "keyring on machine",
    ]);
    const own = await plan("layout");
    writeFileSync(join(data, "own.toml"), own.stdout);
    assert.equal((await plan("show", join(data, "own.toml"))).code, 2);
  });

  test("rules writes a file for each host, and refuses what it should not write", async () => {
    const into = join(data, "rules");
    const ran = await plan("rules", "--layout", "postern", "--into", into);
    assert.equal(ran.code, 0, ran.stderr);
    assert.deepEqual(readdirSync(into).sort(), [
      "edge.nft",
      "hub.nft",
      "resolver.nft",
      "zone-firewall.nft",
    ]);
    const { stdout } = await plan("layout", "postern");
    const file = join(data, "any.toml");
    writeFileSync(
      file,
      `${stdout}[link.lan]\nbetween = ["lan", "hub"]\nby = "ipsec"\nselectors = "any"\n`,
    );
    assert.equal((await plan("rules", file, "--into", join(data, "any"))).code, 78);
  });

  test("mistakes get their exit code and a word of help", async () => {
    const cases = [
      [["show", "--layout", "none"], 64, /no layout "none": legacy, proxy, postern/],
      [["show", join(data, "missing.toml")], 66, /cannot be read \(ENOENT\)/],
      [["rules", "--layout", "postern"], 64, /--host is missing: edge, resolver, hub/],
      [["rules", "--layout", "postern", "--host", "x"], 64, /no host "x"/],
      [["rules", "--layout", "postern", "--host", "hub", "--format", "pf"], 64, /no format "pf"/],
      [
        ["rules", "--layout", "postern", "--host", "hub", "--format", "swanctl"],
        64,
        /has no link by ipsec/,
      ],
      [["verify", "--layout", "postern", "--from", "moon"], 64, /where does this machine stand/],
    ] as const;
    for (const [args, code, words] of cases) {
      const ran = await plan(...args);
      assert.equal(ran.code, code, ran.stderr);
      assert.match(ran.stderr, words);
    }
  });
});
