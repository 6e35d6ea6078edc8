import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, mock, test } from "node:test";
import { Command } from "commander";
import { addDkimCommands } from "./dkim.ts";

const data = mkdtempSync(join(tmpdir(), "dkim-"));
const record = (selector: string, state: string, sinceMs?: number): object => ({
  ...{ selector, state, algorithm: "rsa-sha256", text: "v=DKIM1; p=AA" },
  ...(sinceMs !== undefined && { sinceMs }),
  name: `${selector}._domainkey.example.org`,
});
const keys = [record("2026a", "active"), record("2026a2", "pending", Date.UTC(2026, 4, 1))];

/** What the hub was asked: "POST /path {body}". */
const asked: string[] = [];
const hub = createServer((request, response) => {
  let body = "";
  request.on("data", (chunk) => (body += String(chunk)));
  request.on("end", () => {
    asked.push(`${request.method} ${request.url} ${body}`.trim());
    const isUnpublished = request.url?.endsWith("activate") === true && !body.includes("true");
    response.statusCode = isUnpublished ? 409 : 200;
    const done = { done: "as asked", selectors: ["2026a2"] };
    const answer = isUnpublished ? { error: "2026a2 is not published" } : done;
    response.end(JSON.stringify(request.method === "GET" ? keys : answer));
  });
});
before(async () => {
  mkdirSync(join(data, "hub"));
  writeFileSync(join(data, "hub/admin.secret"), "secret");
  await new Promise<void>((resolve) => void hub.listen(join(data, "hub/admin.sock"), resolve));
});
after(() => {
  hub.close();
  hub.closeAllConnections();
  rmSync(data, { recursive: true });
});
beforeEach(() => void asked.splice(0));

/** Standard output, then standard error. */
async function run(...words: string[]): Promise<readonly [string, string]> {
  const said = { stdout: "", stderr: "" };
  const mocks = (["stdout", "stderr"] as const).map((name) => {
    const write = process[name].write.bind(process[name]);
    return mock.method(process[name], "write", (text: string | Uint8Array) => {
      if (typeof text !== "string") return write(text); // the test runner's own
      said[name] += text;
      return true;
    });
  });
  const program = new Command("postern").option("--data <folder>").option("--json");
  addDkimCommands(program);
  try {
    await program.parseAsync(["--data", data, "dkim", ...words], { from: "user" });
  } finally {
    for (const one of mocks) one.mock.restore();
  }
  return [said.stdout, said.stderr];
}

describe("postern dkim", () => {
  test("list shows what each key is for", async () => {
    const [out] = await run("list", "example.org");
    assert.equal(
      out,
      "2026a   active                               rsa-sha256  2026a._domainkey.example.org\n" +
        "2026a2  pending  since 2026-05-01 00:00:00Z  rsa-sha256  2026a2._domainkey.example.org\n",
    );
    assert.deepEqual(asked, ["GET /domains/example.org/dkim"]);
  });

  test("add shows what to publish, and only that", async () => {
    const [out, err] = await run("add", "example.org");
    assert.equal(out, "2026a2._domainkey.example.org TXT\n  v=DKIM1; p=AA\n");
    assert.match(err, /postern dkim activate example.org/);
    assert.equal(asked[0], "POST /domains/example.org/dkim");
  });

  test("activate and retire name the keys they are told, and pass force on", async () => {
    await assert.rejects(run("activate", "example.org"), /2026a2 is not published/);
    await run("activate", "example.org", "--force");
    await run("retire", "example.org", "2026a", "2026e");
    assert.deepEqual(asked, [
      'POST /domains/example.org/dkim/activate {"force":false}',
      'POST /domains/example.org/dkim/activate {"force":true}',
      'POST /domains/example.org/dkim/retire {"force":false,"selectors":["2026a","2026e"]}',
    ]);
  });
});
