import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { openHouse } from "./fixture.test.ts";

/** A line of the scanner's JSON. */
interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

const aboveLow = new Set(["MEDIUM", "HIGH", "CRITICAL", "FATAL"]);
/** A certificate of the test has no authority that could take it back. */
const notOurs = new Set(["cert_revocation"]);

/** @param caFile PEM of what its certificate is trusted by */
async function scan(port: number, caFile: string): Promise<readonly Finding[]> {
  const out = join(dirname(caFile), "findings.json");
  const flags = ["--ip", "127.0.0.1", "--nodns", "none", "--add-ca", caFile, "--warnings", "off"];
  const quiet = ["--quiet", "--color", "0", "--jsonfile", out];
  const child = spawn("testssl", [...flags, ...quiet, `mail.example:${port}/login`], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  await new Promise((resolve) => child.on("close", resolve));
  return JSON.parse(readFileSync(out, "utf8")) as readonly Finding[];
}

test("W19 CAP-25 testssl.sh finds nothing above LOW", async (t) => {
  if (spawnSync("testssl", ["--version"]).error !== undefined) return t.skip("no testssl");
  await using house = await openHouse({ limits: { connectionsPerAddress: 1000 } });
  const findings = await scan(house.edge.endpoint.port, house.tls.certFile);
  const counts = Object.groupBy(findings, ({ severity }) => severity);
  const told = Object.entries(counts).map(([severity, all]) => `${severity} ${all?.length}`);
  t.diagnostic(told.join(", "));
  assert.ok((counts["OK"]?.length ?? 0) > 30, "the scan did not run");
  const worse = findings.filter(({ id, severity }) => aboveLow.has(severity) && !notOurs.has(id));
  assert.deepEqual(worse, []);
  const [tls13] = findings.filter(({ id }) => id === "TLS1_3");
  assert.match(tls13?.finding ?? "", /offered/);
});
