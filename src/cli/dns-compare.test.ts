import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RecordType, Resolver } from "#base/dns";
import { type Zone, zoneResolver } from "../../tests/kit/fake-dns.ts";
import { comparedText, compareRecords, isWrong } from "./dns-compare.ts";
import { type MailSetup, recordsText, wantedRecords, zoneText } from "./dns-wanted.ts";

const key = `v=DKIM1; k=rsa; h=sha256; p=${"A".repeat(380)}`;
const setup: MailSetup = {
  domain: "example.org",
  hostname: "mail.example.org",
  dkim: [{ name: "2026a._domainkey.example.org", text: key }],
  reports: { address: "postmaster@example.org", exists: true },
  stsPolicy: "version: STSv1\r\nmode: testing\r\nmx: mail.example.org\r\nmax_age: 604800\r\n",
  ports: { submission: 465, imap: 993, https: 443 },
  certificate: { keySha256: "ab".repeat(32), until: "2027-01-05" },
};

const wanted = wantedRecords(setup);
const valueOf = (type: string, name: string): string =>
  wanted.find((row) => row.type === type && row.name === name)?.value ?? assert.fail(name);

/** All as `dns show` says it. */
const right: Zone = {
  "example.org": [{ MX: [10, "mail.example.org"] }, { TXT: valueOf("TXT", "@") }],
  "mail.example.org": [{ A: "192.0.2.25" }],
  "2026a._domainkey.example.org": [{ TXT: key }],
  "_dmarc.example.org": [{ TXT: valueOf("TXT", "_dmarc") }],
  "_smtp._tls.example.org": [{ TXT: valueOf("TXT", "_smtp._tls") }],
  "_mta-sts.example.org": [{ TXT: valueOf("TXT", "_mta-sts") }],
  "mta-sts.example.org": [{ CNAME: "mail.example.org" }],
  ...Object.fromEntries(
    [
      ["_submissions._tcp", 465],
      ["_imaps._tcp", 993],
      ["_jmap._tcp", 443],
    ].map(([name, port]) => [
      `${name}.example.org`,
      [{ SRV: { priority: 0, weight: 1, port, target: "mail.example.org" } }],
    ]),
  ),
};

const compare = async (zone: Zone) => {
  const rows = await compareRecords(wanted, "example.org", "mail.example.org", zoneResolver(zone));
  return rows;
};

const statusOf = async (zone: Zone, type: string, name: string) => {
  const rows = await compare(zone);
  const row = rows.find((one) => one.type === type && one.name === name) ?? assert.fail(name);
  return [row.status, isWrong(row)];
};

describe("wantedRecords()", () => {
  test("a gateway leads mail programs nowhere: the mailboxes are on the server inside", () => {
    const rows = wantedRecords({ ...setup, isGateway: true });
    assert.deepEqual(
      rows.filter(({ type, name }) => type === "SRV" || name.startsWith("auto")),
      [],
    );
    assert.equal(rows.length, wanted.length - 5);
  });

  test("the sender policy names a smart host when there is one", () => {
    const rows = wantedRecords({ ...setup, smartHost: "out.provider.example" });
    assert.ok(rows.some(({ value }) => value === "v=spf1 mx a:out.provider.example ~all"));
  });

  test("a server of another domain stands with its full name", () => {
    const rows = wantedRecords({ ...setup, hostname: "mail.provider.example" });
    const names = rows.filter(({ per }) => per === "machine").map(({ name }) => name);
    assert.deepEqual(names, ["mail.provider.example.", "_25._tcp.mail.provider.example."]);
  });

  test("as a zone: strings of at most 255 octets, and a comment on what may not be there yet", () => {
    const zone = zoneText("example.org", wanted);
    assert.match(zone, /^\$ORIGIN example\.org\.\n\$TTL 300\n/);
    const line = zone.split("\n").find((one) => one.startsWith("2026a._domainkey IN TXT")) ?? "";
    const strings = [...line.matchAll(/"([^"]*)"/g)].map(([, text = ""]) => text);
    assert.equal(strings.join(""), key);
    assert.ok(strings.length === 2 && strings.every((text) => text.length <= 255));
    assert.match(zone, /\n; _25\._tcp\.mail IN TLSA 3 1 1 (?:ab){32}\n/);
    assert.match(zone, /\n; mail IN A ADDRESS\n/);
    assert.match(zone, /\n_imaps\._tcp IN SRV 0 1 993 mail\.example\.org\.\n/);
  });

  test("mail programs are sent to the host whose certificate they will see", () => {
    const rows = wantedRecords({ ...setup, clientHost: "imap.example.org" });
    const target = (name: string): string | undefined =>
      rows.find((row) => row.type === "SRV" && row.name === name)?.value;
    assert.equal(target("_imaps._tcp"), "0 1 993 imap.example.org.");
    assert.equal(target("_jmap._tcp"), "0 1 443 mail.example.org.");
  });

  test("every line for people fits into 80 columns, but for the values", () => {
    const lines = recordsText("example.org", wanted).split("\n");
    const wide = lines.filter((line) => line.length > 80 && !/^ {4}\S/.test(line));
    assert.deepEqual(wide, []);
  });
});

describe("compareRecords()", () => {
  test("all is right when all is published as shown", async () => {
    const rows = await compare(right);
    const states = new Map(rows.map(({ type, name, status }) => [`${type} ${name}`, status]));
    assert.deepEqual(
      [...states].filter(([, status]) => status !== "ok"),
      [
        ["TLSA _25._tcp.mail", "unchecked"],
        ["CNAME autoconfig", "unchecked"],
        ["CNAME autodiscover", "unchecked"],
      ],
    );
    assert.ok(!rows.some(isWrong));
  });

  const entries = (name: string, more: Zone[string]): Zone => ({ ...right, [name]: more });
  const mx = { MX: [10, "mail.example.org"] };
  const cases: readonly (readonly [string, Zone, string, string, string, boolean])[] = [
    ["nothing at all", {}, "MX", "@", "missing", true],
    [
      "a server elsewhere",
      entries("example.org", [{ MX: [5, "old.example"] }]),
      "MX",
      "@",
      "different",
      true,
    ],
    ["no SPF", entries("example.org", [mx, { TXT: "site=1" }]), "TXT", "@", "missing", true],
    [
      "two SPF",
      entries("example.org", [mx, { TXT: "v=spf1 mx -all" }, { TXT: "v=spf1 -all" }]),
      "TXT",
      "@",
      "conflicting",
      true,
    ],
    [
      "SPF of a wizard",
      entries("example.org", [mx, { TXT: "v=spf1 ip4:192.0.2.0/24 ~all" }]),
      "TXT",
      "@",
      "ok",
      false,
    ],
    [
      "SPF without us",
      entries("example.org", [mx, { TXT: "v=spf1 ip4:198.51.100.1 ~all" }]),
      "TXT",
      "@",
      "different",
      true,
    ],
    [
      "broken SPF",
      entries("example.org", [mx, { TXT: "v=spf1 ipv4:1.2.3.4" }]),
      "TXT",
      "@",
      "different",
      true,
    ],
    [
      "another key",
      entries("2026a._domainkey.example.org", [{ TXT: "v=DKIM1; p=BBBB" }]),
      "TXT",
      "2026a._domainkey",
      "different",
      true,
    ],
    [
      "the key in another form",
      entries("2026a._domainkey.example.org", [{ TXT: `p=${"A".repeat(380)};k=rsa` }]),
      "TXT",
      "2026a._domainkey",
      "ok",
      false,
    ],
    [
      "a stricter DMARC",
      entries("_dmarc.example.org", [{ TXT: "v=DMARC1; p=reject" }]),
      "TXT",
      "_dmarc",
      "ok",
      false,
    ],
    [
      "a broken DMARC",
      entries("_dmarc.example.org", [{ TXT: "v=DMARC1; p=no" }]),
      "TXT",
      "_dmarc",
      "different",
      true,
    ],
    [
      "another port",
      entries("_imaps._tcp.example.org", [
        { SRV: { priority: 0, weight: 1, port: 143, target: "mail.example.org" } },
      ]),
      "SRV",
      "_imaps._tcp",
      "different",
      true,
    ],
    ["no SRV", entries("_imaps._tcp.example.org", []), "SRV", "_imaps._tcp", "missing", true],
    [
      "DNS that fails",
      entries("_dmarc.example.org", ["SERVFAIL"]),
      "TXT",
      "_dmarc",
      "unchecked",
      false,
    ],
    [
      "autoconfig elsewhere",
      entries("autoconfig.example.org", [{ CNAME: "x.example" }]),
      "CNAME",
      "autoconfig",
      "different",
      true,
    ],
  ];
  for (const [what, zone, type, name, status, wrong] of cases) {
    test(`${what}: ${type} ${name} is ${status}`, async () => {
      assert.deepEqual(await statusOf(zone, type, name), [status, wrong]);
    });
  }

  test("shows both texts of what differs", async () => {
    const zone = entries("example.org", [mx, { TXT: "v=spf1 ip4:198.51.100.1 ~all" }]);
    const text = comparedText("example.org", await compare(zone));
    assert.match(
      text,
      /different +TXT +@\n.*\n.*\n? +expected +v=spf1 mx -all\n +found +v=spf1 ip4/,
    );
    assert.match(text, /1 different, 3 unchecked of 14\./);
  });

  test("TLSA counts once the zone is signed", async () => {
    const signed = (zone: Zone): Resolver => {
      const { query, cached } = zoneResolver(zone);
      const asked = async (name: string, type: RecordType) => {
        const answer = await query(name, type);
        return answer.kind === "found" ? { ...answer, authenticated: true } : answer;
      };
      return { cached, query: asked as Resolver["query"] };
    };
    const tlsa = (data: string): Zone =>
      entries("_25._tcp.mail.example.org", [
        { TLSA: { usage: 3, selector: 1, matching: 1, data } },
      ]);
    const states = [];
    for (const zone of [right, tlsa("ab".repeat(32)), tlsa("cd".repeat(32))]) {
      const rows = await compareRecords(wanted, "example.org", "mail.example.org", signed(zone));
      const row = rows.find(({ type }) => type === "TLSA") ?? assert.fail();
      states.push([row.status, isWrong(row)]);
    }
    assert.deepEqual(states, [
      ["unchecked", false],
      ["ok", false],
      ["different", true],
    ]);
  });
});
