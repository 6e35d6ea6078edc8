import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { complete } from "../config/read.ts";
import { certificateNames } from "./certificate-settings.ts";
import { layoutOf } from "./layout.ts";
import { makeCertificates } from "./secrets.ts";

test("our own authority signs every name that clients use at a place, and none of another place", () => {
  const data = mkdtempSync(join(tmpdir(), "postern-secrets-"));
  try {
    const layout = layoutOf(data);
    for (const folder of [layout.pki, layout.hub, layout.edgeSmtp, layout.edgeWeb]) {
      mkdirSync(folder, { recursive: true });
    }
    const hostname = "mail.example.org";
    const made = (given: Readonly<Record<string, Record<string, unknown>>>) => {
      const names = certificateNames(complete(given), hostname);
      makeCertificates(layout, "all", { hostname, names }, 1_800_000_000_000);
      return (folder: string) => new X509Certificate(readFileSync(join(folder, "tls.pem")));
    };
    const bare = made({})(layout.edgeWeb);
    const given = {
      web: { hosts: ["apps.example.org:8443", "127.0.0.1:8443"] },
      certificates: { insideNames: ["imap.example.org", "*.example.net"] },
    };
    const at = made(given);
    const web = at(layout.edgeWeb);
    assert.notEqual(web.serialNumber, bare.serialNumber);
    for (const name of [hostname, "apps.example.org"]) assert.ok(web.checkHost(name), name);
    assert.equal(web.checkHost("imap.example.org"), undefined);
    assert.equal(at(layout.edgeSmtp).checkHost("apps.example.org"), undefined);
    assert.ok(at(layout.hub).checkHost("imap.example.org"));
    assert.ok(at(layout.hub).checkHost("a.example.net"));
    const again = made(given);
    assert.equal(again(layout.hub).serialNumber, at(layout.hub).serialNumber);
    assert.equal(again(layout.edgeWeb).serialNumber, web.serialNumber, "made once");
  } finally {
    rmSync(data, { recursive: true });
  }
});
