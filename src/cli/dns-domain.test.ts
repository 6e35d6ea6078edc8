import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Zone, zoneResolver } from "../../tests/kit/fake-dns.ts";
import { checkDomain } from "./dns-domain.ts";

const sound: Zone = {
  "example.org": [{ MX: [10, "mail.example.org"] }, { TXT: "v=spf1 mx -all" }],
  "mail.example.org": [{ A: "192.0.2.25" }],
  "25.2.0.192.in-addr.arpa": [{ PTR: "mail.example.org" }],
  "s._domainkey.example.org": [{ TXT: `v=DKIM1; k=ed25519; p=${"A".repeat(43)}=` }],
  "_dmarc.example.org": [{ TXT: "v=DMARC1; p=reject; rua=mailto:d@example.org" }],
};

const check = async (more: Zone, domain = "example.org") => {
  const findings = await checkDomain(domain, ["s"], zoneResolver({ ...sound, ...more }));
  return findings.map(({ area, level, text }) => `${level} ${area}: ${text}`);
};

describe("checkDomain()", () => {
  test("finds nothing wrong with a sound domain", async () => {
    const found = await check({});
    assert.deepEqual(
      found.filter((line) => !/^(?:ok|note) /.test(line)),
      [],
    );
    assert.equal(found.filter((line) => line.startsWith("ok ")).length, 5);
  });

  const one = (name: string, ...more: Zone[string]): Zone => ({ [name]: more });
  const own = (...more: Zone[string]): Zone => one("example.org", ...more);
  const spf = { TXT: "v=spf1 mx -all" };
  const mx = { MX: [10, "mail.example.org"] };
  const cases: readonly (readonly [Zone, RegExp])[] = [
    [own(spf), /^bad MX: .* no MX record and takes no mail/],
    [own(spf, { A: "192.0.2.25" }), /^warn MX: .* its mail goes to its own address/],
    [own({ MX: [0, ""] }, { TXT: "v=spf1 -all" }), /^ok MX: takes no mail, and says so/],
    [own(mx), /^bad SPF: .* publishes no SPF record/],
    [own("SERVFAIL"), /^unknown MX: DNS did not answer/],
    [own({ MX: [10, "192.0.2.1"] }, spf), /^bad addresses: 192\.0\.2\.1 is an address where/],
    [one("mail.example.org"), /^bad addresses: mail\.example\.org has no address/],
    [one("mail.example.org", { A: "10.0.0.1" }), /^bad addresses: .* not a public address/],
    [
      { "mail.example.org": [{ CNAME: "m.example" }], "m.example": [{ A: "192.0.2.25" }] },
      /^warn addresses: mail\.example\.org is an alias/,
    ],
    [one("25.2.0.192.in-addr.arpa"), /^warn addresses: .* has no reverse name/],
    [one("25.2.0.192.in-addr.arpa", { PTR: "vps.example" }), /^warn .* does not lead back/],
    [one("s._domainkey.example.org"), /^bad DKIM: s\._domainkey\.example\.org has no key/],
    [one("s._domainkey.example.org", { TXT: "v=DKIM1; p=" }), /^warn DKIM: p=: .* withdrawn/],
    [one("_dmarc.example.org"), /^bad DMARC: .* publish no DMARC record/],
    [one("_dmarc.example.org", { TXT: "v=DMARC1; p=none" }), /^warn DMARC: p=none/],
    [one("_dmarc.example.org", { TXT: "v=DMARC1; p=reject" }), /^warn DMARC: nobody gets reports/],
    [one("_mta-sts.example.org", { TXT: "v=STSv1; id=1" }), /^bad MTA-STS: .* has no address/],
    [one("_mta-sts.example.org", { TXT: "v=STSv1" }), /^bad MTA-STS: id=: is missing/],
    [
      one("_smtp._tls.example.org", { TXT: "v=TLSRPTv1; rua=x" }),
      /^bad TLS-RPT: rua=x: .* no address to report to/,
    ],
    [
      one("_25._tcp.mail.example.org", {
        TLSA: { usage: 3, selector: 1, matching: 1, data: "abcd" },
      }),
      /^bad DANE: .* has 4 digits, must have 64/,
    ],
    [
      one("_imaps._tcp.example.org", {
        SRV: { priority: 0, weight: 1, port: 993, target: "mail.example.org" },
      }),
      /^ok clients: _imaps\._tcp .*: 0 1 993 mail\.example\.org\.$/,
    ],
  ];
  for (const [zone, expected] of cases) {
    test(String(expected), async () => {
      const found = await check(zone);
      assert.ok(
        found.some((line) => expected.test(line)),
        found.join("\n"),
      );
    });
  }

  test("a policy of the domain above counts for the one below", async () => {
    const below = { "sub.example.org": [{ MX: [10, "mail.example.org"] }] };
    const found = await check(below, "sub.example.org");
    assert.ok(
      found.some((line) => /^ok DMARC: .*reject, inherited from example\.org/.test(line)),
      found.join("\n"),
    );
  });

  test("a domain with a thousand servers of a thousand addresses stays within bounds", async () => {
    const many = Array.from({ length: 1000 }, (_, index) => ({ MX: [index, `m${index}.example`] }));
    const addresses = Array.from({ length: 1000 }, (_, index) => ({ A: `192.0.2.${index % 256}` }));
    const resolver = zoneResolver({ "example.org": many, "*.example": addresses });
    await checkDomain("example.org", [], resolver);
    assert.ok(resolver.queries.length < 200, String(resolver.queries.length));
  });
});
