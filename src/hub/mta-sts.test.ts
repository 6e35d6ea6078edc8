/** What we say of our own domains' TLS, and for which policy hosts a certificate can be had. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Misconfigured } from "#base/errors";
import { defaultsOf } from "#base/parameters";
import { parseStsPolicy } from "#formats/mta-sts";
import { zoneResolver } from "../../tests/kit/fake-dns.ts";
import { checkMtaSts, mtaStsParameters, provableHosts, stsTexts } from "./mta-sts.ts";

const settings = defaultsOf(mtaStsParameters);

test("CAP-49 stsTexts() gives each domain a policy that lists our servers (RFC 8461 §3.2)", () => {
  const given = { ...settings, mode: "enforce", mx: ["MX2.example.net", "*.backup.example"] };
  const texts = stsTexts(["one.example", "two.example"], given, "mail.one.example");
  assert.deepEqual(
    texts.flatMap(({ hosts, path }) => hosts.map((host) => host + path)),
    ["mta-sts.one.example/.well-known/mta-sts.txt", "mta-sts.two.example/.well-known/mta-sts.txt"],
  );
  assert.deepEqual(parseStsPolicy(Buffer.from(texts[0]?.text ?? "")), {
    ok: true,
    value: {
      mode: "enforce",
      mx: ["mail.one.example", "mx2.example.net", "*.backup.example"],
      maxAge: 604_800,
    },
  });
});

test("checkMtaSts() refuses what is no host name", () => {
  for (const mx of ["a b", "*", "mx..example", "a.*.example", "b\u00fccher.example"]) {
    assert.throws(() => checkMtaSts({ ...settings, mx: [mx] }), Misconfigured, mx);
  }
});

test("provableHosts() names only hosts that lead to us, and keeps them while the DNS is silent", async () => {
  const zone = {
    "mail.one.example": [{ A: "192.0.2.1" }, { AAAA: "2001:db8::1" }],
    "mta-sts.one.example": [{ CNAME: "mail.one.example" }],
    "mta-sts.six.example": [{ AAAA: "2001:db8::1" }],
    "mta-sts.other.example": [{ A: "192.0.2.99" }],
    "mta-sts.silent.example": ["TIMEOUT"],
    "mta-sts.new.example": ["SERVFAIL"],
  } as const;
  const domains = ["one", "six", "other", "none", "silent", "new"].map((name) => `${name}.example`);
  const before = ["mta-sts.silent.example", "mta-sts.other.example"];
  assert.deepEqual(await provableHosts(domains, "mail.one.example", zoneResolver(zone), before), [
    "mta-sts.one.example",
    "mta-sts.six.example",
    "mta-sts.silent.example",
  ]);
});
