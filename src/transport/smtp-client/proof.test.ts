import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, test } from "node:test";
import type { TlsDemand, TlsProof } from "#model/tls-policy";
import { oddCertificate } from "../../../tests/kit/odd-certificate.ts";
import {
  authority,
  good,
  host,
  issuing,
  leaf,
  meet,
  otherRoot,
  outcomeOf,
  root,
  type Shows,
} from "./fixture.test.ts";

describe("prove() by authority (S6)", () => {
  const expired = oddCertificate({ commonName: "Expired", authority: true, by: root, days: -1 });
  const notAuthority = oddCertificate({ commonName: "Not an authority", by: issuing });
  const noSigning = oddCertificate({ commonName: "X", authority: true, by: root, keyUsage: 0x80 });
  const cases: readonly (readonly [string, Shows, Partial<TlsProof> & object, string])[] = [
    ["the right name", { own: good }, {}, `authority ${host}`],
    ["the same for MTA-STS", { own: good }, { kind: "mta-sts" }, `mta-sts ${host}`],
    ["another name", { own: good }, { names: ["mx.other.test"] }, "certificate-host-mismatch"],
    ["no name at all", { own: good }, { names: [] }, "certificate-host-mismatch"],
    ["one of several names", { own: good }, { names: ["x.test", host] }, `authority ${host}`],
    [
      "a name in another case",
      { own: leaf({ dnsNames: ["MX.Example.TEST"] }) },
      {},
      `authority ${host}`,
    ],
    ["a wildcard", { own: leaf({ dnsNames: ["*.example.test"] }) }, {}, `authority ${host}`],
    [
      "a wildcard two labels up",
      { own: leaf({ dnsNames: ["*.test"] }) },
      {},
      "certificate-host-mismatch",
    ],
    ["a bare wildcard", { own: leaf({ dnsNames: ["*"] }) }, {}, "certificate-host-mismatch"],
    [
      "part of a label",
      { own: leaf({ dnsNames: ["m*.example.test"] }) },
      {},
      "certificate-host-mismatch",
    ],
    [
      "a wildcard inside",
      { own: leaf({ dnsNames: ["mx.*.test"] }) },
      {},
      "certificate-host-mismatch",
    ],
    [
      "a wildcard for two labels",
      { own: leaf({ dnsNames: ["*.example.test"] }) },
      { names: ["a.mx.example.test"] },
      "certificate-host-mismatch",
    ],
    [
      "a wildcard for its own base",
      { own: leaf({ dnsNames: ["*.example.test"] }) },
      { names: ["example.test"] },
      "certificate-host-mismatch",
    ],
    [
      "any host of a domain",
      { own: good },
      { names: ["*.example.test"] },
      "authority *.example.test",
    ],
    [
      "any host, not the domain",
      { own: good },
      { names: ["*.mx.example.test"] },
      "certificate-host-mismatch",
    ],
    [
      "the name in CN only",
      { own: leaf({ commonName: host, dnsNames: [] }) },
      {},
      "certificate-host-mismatch",
    ],
    [
      "NUL in the name",
      { own: leaf({ dnsNames: [`${host}\0.evil.test`] }) },
      {},
      "certificate-host-mismatch",
    ],
    [
      "NUL behind the name",
      { own: leaf({ dnsNames: [`${host}\0`] }) },
      {},
      "certificate-host-mismatch",
    ],
    [
      "an address",
      { own: leaf({ ipAddresses: ["192.0.2.1"] }) },
      { names: ["192.0.2.1"] },
      "authority 192.0.2.1",
    ],
    [
      "an IPv6 address",
      { own: leaf({ ipAddresses: ["2001:db8::1"] }) },
      { names: ["2001:db8:0::1"] },
      "authority 2001:db8:0::1",
    ],
    [
      "an address written as a name",
      { own: leaf({ dnsNames: ["192.0.2.1"] }) },
      { names: ["192.0.2.1"] },
      "certificate-host-mismatch",
    ],
    ["an expired certificate", { own: leaf({ days: -1 }) }, {}, "certificate-expired"],
    ["one that is not valid yet", { own: leaf({ startDays: 1 }) }, {}, "certificate-expired"],
    [
      "an expired intermediate",
      { own: leaf({ by: expired }), above: [expired] },
      {},
      "certificate-expired",
    ],
    [
      "one that signs itself",
      { own: oddCertificate({ commonName: "x", dnsNames: [host] }), above: [] },
      {},
      "certificate-not-trusted",
    ],
    [
      "another authority",
      { own: good },
      { authorities: [otherRoot.pem] },
      "certificate-not-trusted",
    ],
    ["no authority of ours", { own: good }, { authorities: undefined }, "certificate-not-trusted"],
    ["an intermediate that is missing", { own: good, above: [] }, {}, "certificate-not-trusted"],
    ["the chain with its root", { own: good, above: [issuing, root] }, {}, `authority ${host}`],
    ["the chain in another order", { own: good, above: [root, issuing] }, {}, `authority ${host}`],
    [
      "the intermediate as anchor",
      { own: good },
      { authorities: [issuing.pem] },
      `authority ${host}`,
    ],
    [
      "an issuer that is no authority",
      { own: leaf({ by: notAuthority }), above: [notAuthority, issuing] },
      {},
      "certificate-not-trusted",
    ],
    [
      "an issuer that may not sign",
      { own: leaf({ by: noSigning }), above: [noSigning] },
      {},
      "certificate-not-trusted",
    ],
    [
      "a certificate for clients",
      { own: leaf({ extendedUsage: "1.3.6.1.5.5.7.3.2" }) },
      {},
      "certificate-not-trusted",
    ],
    [
      "a forged signature",
      { own: leaf({ forgedWith: otherRoot.key }) },
      {},
      "certificate-not-trusted",
    ],
    [
      "a critical extension nobody knows",
      { own: leaf({ strange: "critical" }) },
      {},
      "certificate-not-trusted",
    ],
  ];
  for (const [name, shows, more, expected] of cases) {
    test(`CAP-41 ${name}: ${expected}`, async () => {
      const proof = { ...authority, ...more } as TlsProof;
      assert.equal(await outcomeOf(shows, { proof }), expected);
      // Where it is not demanded, it is noted and stands in nobody's way (RFC 7435).
      const noted = expected.includes(" ") ? expected : "-";
      assert.equal(await outcomeOf(shows, { proof, level: "opportunistic" }), noted);
    });
  }

  test("CAP-41 says why in words, with what RFC 8460 calls it", async () => {
    const outcome = await meet({ own: good }, { proof: { ...authority, names: ["other.test"] } });
    assert.ok(!outcome.ok);
    assert.equal(outcome.why, `its certificate is for ${host}, not for other.test`);
  });

  test("CAP-41 TLS without a proof is enough where none is given", async () => {
    assert.equal(await outcomeOf({ own: good }, {}), "-");
  });
});

describe("prove() by pin", () => {
  const own = oddCertificate({ commonName: "x", days: -1 });
  const shows = { own, above: [] };
  const certificate = hash("sha256", own.x509.raw, "hex");
  const key = hash("sha256", own.spki, "hex");
  const by = (...sha256: string[]): Partial<TlsDemand> => ({ proof: { kind: "pin", sha256 } });

  test("CAP-41 the certificate or its key, with no authority, name or date", async () => {
    assert.equal(await outcomeOf(shows, by(certificate)), "pin");
    assert.equal(await outcomeOf(shows, by(key)), "pin");
    assert.equal(await outcomeOf(shows, by("00".repeat(32), key.toUpperCase())), "pin");
  });

  test("CAP-41 no other certificate, not even one from the same authority", async () => {
    assert.equal(await outcomeOf(shows, by()), "certificate-not-trusted");
    assert.equal(await outcomeOf(shows, by("")), "certificate-not-trusted");
    const issuer = hash("sha256", issuing.x509.raw, "hex");
    assert.equal(await outcomeOf({ own: good }, by(issuer)), "certificate-not-trusted");
  });

  test("CAP-41 a certificate that changes between two connections is noticed", async () => {
    const renewed = oddCertificate({ commonName: "x", key: own.key });
    const swapped = oddCertificate({ commonName: "x" });
    assert.equal(await outcomeOf(shows, by(certificate)), "pin");
    assert.equal(
      await outcomeOf({ own: swapped, above: [] }, by(certificate)),
      "certificate-not-trusted",
    );
    assert.equal(
      await outcomeOf({ own: renewed, above: [] }, by(certificate)),
      "certificate-not-trusted",
    );
    assert.equal(await outcomeOf({ own: renewed, above: [] }, by(key)), "pin");
  });
});
