import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { TlsOptions } from "node:tls";
import { Misconfigured } from "#base/errors";
import { formatCertificate, formatPem } from "#formats/x509";
import { application, edgeTo, portOf, statusOf } from "./fixture.test.ts";

const dayMs = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), "postern-publish-"));
after(() => rmSync(folder, { recursive: true }));

/** Signs itself; named for itself, or for another machine. */
function certificate(name: string, agedDays = 0): { readonly cert: string; readonly key: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const facts = {
    serial: Buffer.concat([Buffer.of(1), randomBytes(15)]),
    commonName: name,
    dnsNames: [name],
    publicKey: publicKey.export({ type: "spki", format: "der" }),
    usage: "both",
    notBeforeMs: Date.now() - (agedDays + 1) * dayMs,
    notAfterMs: Date.now() - agedDays * dayMs + (agedDays > 0 ? 0 : dayMs),
  } as const;
  const der = formatCertificate(facts, (octets) => sign("sha256", octets, privateKey));
  return {
    cert: formatPem("CERTIFICATE", der),
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
  };
}

async function httpsServer(options: TlsOptions) {
  let asked = 0;
  const server = createServer(options, (_asked, answer) => {
    asked += 1;
    answer.end("ok");
  });
  server.on("tlsClientError", () => {});
  const port = await portOf(server);
  return {
    url: `https://localhost:${port}`,
    asked: () => asked,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

function caFile(text: string): string {
  const path = join(folder, `${randomBytes(6).toString("hex")}.pem`);
  writeFileSync(path, text);
  return path;
}

describe("an application by TLS (CAP-16)", () => {
  test("is asked when its certificate comes from the authority that is set", async () => {
    const own = certificate("localhost");
    await using server = await httpsServer(own);
    using edge = edgeTo(application(server.url, { caFile: caFile(own.cert) }));
    assert.equal(statusOf(await edge.ask()), 200);
    assert.equal(statusOf(await edge.ask()), 200);
  });

  const own = certificate("localhost");
  const refused: readonly (readonly [string, TlsOptions, string, string])[] = [
    ["nobody known signed", own, "", "certificate"],
    ["another authority signed", own, certificate("localhost").cert, "certificate"],
  ];
  for (const [name, options, ca, why] of refused) {
    test(`is refused where ${name}`, async () => {
      await using server = await httpsServer(options);
      using edge = edgeTo(application(server.url, ca === "" ? {} : { caFile: caFile(ca) }));
      assert.deepEqual((await edge.ask()).answer, { refused: "unreachable", why });
      assert.equal(server.asked(), 0);
    });
  }

  test("is refused when the certificate has expired", async () => {
    const old = certificate("localhost", 2);
    await using server = await httpsServer(old);
    using edge = edgeTo(application(server.url, { caFile: caFile(old.cert) }));
    assert.deepEqual((await edge.ask()).answer, { refused: "unreachable", why: "certificate" });
    assert.match(edge.log.join(), /expired/);
  });

  test("is refused when the certificate is another machine's", async () => {
    const other = certificate("elsewhere.example");
    await using server = await httpsServer(other);
    using edge = edgeTo(application(server.url, { caFile: caFile(other.cert) }));
    assert.deepEqual((await edge.ask()).answer, { refused: "unreachable", why: "certificate" });
    assert.equal(server.asked(), 0);
  });

  test("is refused below TLS 1.2", async () => {
    await using server = await httpsServer({
      ...own,
      minVersion: "TLSv1",
      maxVersion: "TLSv1.1",
      ciphers: "DEFAULT@SECLEVEL=0",
    });
    using edge = edgeTo(application(server.url, { caFile: caFile(own.cert) }));
    assert.deepEqual((await edge.ask()).answer, { refused: "unreachable", why: "no-connection" });
  });

  const wrong: readonly (readonly [object, RegExp])[] = [
    [{ upstream: "http://10.0.0.5/" }, /plainWaiver/],
    [{ upstream: "http://inside.example" }, /plainWaiver/],
    [{ upstream: "http://127.0.0.1.evil.example" }, /plainWaiver/],
    [{ upstream: "https://inside.example/path" }, /upstream/],
    [{ upstream: "https://ana:secret@inside.example" }, /upstream/],
    [{ upstream: "ftp://inside.example" }, /upstream/],
    [{ upstream: "" }, /upstream/],
    [{ upstream: "https://a", signOn: "header", signOnHeader: "Host" }, /signOnHeader/],
    [{ upstream: "https://a", signOn: "header", signOnHeader: "X_User" }, /signOnHeader/],
    [{ upstream: "https://a", signOn: "header", signOnHeader: "" }, /signOnHeader/],
  ];
  for (const [settings, why] of wrong) {
    test(`cannot be set as ${JSON.stringify(settings)}`, () => {
      const { upstream, ...more } = settings as { upstream: string };
      assert.throws(() => application(upstream, more), why);
    });
  }

  test("plain only by a waiver, or on this machine", () => {
    assert.equal(application("http://10.0.0.5", { plainWaiver: true }).plainWaiver, true);
    for (const url of ["http://127.0.0.1:8080", "http://[::1]", "http://localhost:1"]) {
      assert.equal(application(url).upstream, url);
    }
  });

  test("a file without authorities is a mistake that is told at the start", () => {
    const missing = application("https://a.example", { caFile: join(folder, "missing") });
    assert.throws(() => edgeTo(missing), Misconfigured);
    const empty = application("https://a.example", { caFile: caFile("x") });
    assert.throws(() => edgeTo(empty), Misconfigured);
  });
});
