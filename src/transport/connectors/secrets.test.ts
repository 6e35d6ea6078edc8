import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { defaultsOf } from "#base/parameters";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { completeOutbound, outboundParameters, readConnectorFiles, readSecrets } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "connectors-"));
after(() => rmSync(folder, { recursive: true }));
const present = join(folder, "present");
const next = join(folder, "next");
const login = { secretFiles: [present, next] };
const secretsNow = () => readSecrets(login).map(({ secret }) => secret);

describe("readSecrets()", () => {
  test("CAP-45 reads both files anew each time: a secret changes without a restart", () => {
    writeFileSync(present, "old\n", { mode: 0o600 });
    assert.deepEqual(secretsNow(), ["old"]);
    writeFileSync(next, "new\r\n", { mode: 0o600 });
    assert.deepEqual(secretsNow(), ["old", "new"]);
    writeFileSync(present, " new ");
    writeFileSync(next, "");
    assert.deepEqual(secretsNow(), [" new "]);
    rmSync(next);
    assert.deepEqual(secretsNow(), [" new "]);
  });

  test("CAP-45 says when a file changed, and that everybody may read it", () => {
    writeFileSync(present, "s");
    chmodSync(present, 0o600);
    utimesSync(present, 1_000, 1_000);
    assert.deepEqual(readSecrets({ secretFiles: [present] }), [
      { secret: "s", file: present, changedAtMs: 1_000_000, openToAll: false },
    ]);
    chmodSync(present, 0o604);
    assert.equal(readSecrets({ secretFiles: [present] })[0]?.openToAll, true);
  });

  test("CAP-45 fails on a file that holds no secret, and never shows what it holds", () => {
    const pipe = join(folder, "pipe");
    execFileSync("/usr/bin/mkfifo", [pipe]);
    const cases = [
      ["two\nlines\n", /one line of text/],
      ["nul\0", /one line of text/],
      [Buffer.from([0xff, 0xfe]), /one line of text/],
      ["x".repeat(20_000), /longer than 16384 octets/],
      ["", /no secret there/],
    ] as const;
    for (const [content, expected] of cases) {
      writeFileSync(present, content);
      assert.throws(() => readSecrets({ secretFiles: [present] }), expected);
    }
    const missing = join(folder, "missing");
    assert.throws(() => readSecrets({ secretFiles: [missing] }), /missing: no secret there/);
    assert.throws(() => readSecrets({ secretFiles: [folder] }), /cannot be read \(EISDIR\)/);
    assert.throws(() => readSecrets({ secretFiles: [pipe] }), /cannot be read \(ESPIPE\)/);
    writeFileSync(present, "good", { mode: 0o600 });
    writeFileSync(next, "bad\nbad");
    assert.throws(() => readSecrets(login), /next: a secret is one line/);
  });
});

describe("readConnectorFiles()", () => {
  const made = selfSigned("us.example");
  const files = { tlsAuthorityFile: "ca.pem", tlsCertificateFile: "us.pem", tlsKeyFile: "us.key" };
  const paths = Object.fromEntries(
    Object.entries(files).map(([key, file]) => [key, join(folder, file)]),
  );
  const connector = () =>
    completeOutbound("a", {
      ...defaultsOf(outboundParameters),
      spaces: ["*"],
      tls: "required",
      ...paths,
    });

  test("puts PEM where the names of the files were, and names key and file when it cannot", () => {
    writeFileSync(join(folder, "ca.pem"), made.cert);
    writeFileSync(join(folder, "us.pem"), made.cert);
    assert.throws(() => readConnectorFiles(connector()), {
      name: "Misconfigured",
      message: `outbound.a.tlsKeyFile is ${join(folder, "us.key")}, which is not there`,
    });
    writeFileSync(join(folder, "us.key"), "nothing");
    assert.throws(() => readConnectorFiles(connector()), /tlsKeyFile is .*holds no such PEM/);
    writeFileSync(join(folder, "us.key"), made.key);
    const { tls } = readConnectorFiles(connector());
    assert.deepEqual(tls.authorities, [made.cert]);
    assert.deepEqual(tls.client, { certificate: made.cert, key: made.key });
  });
});
