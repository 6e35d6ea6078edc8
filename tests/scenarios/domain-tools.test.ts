import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pemOf } from "../kit/certificate.ts";
import { type FakeDns, startFakeDns, type Zone } from "../kit/fake-dns.ts";
import { application, runCli } from "../kit/installation.ts";

const dkim = `v=DKIM1; k=ed25519; h=sha256; p=${"A".repeat(43)}=`;
const many = Array.from({ length: 1000 }, (_, index) => `include:w${index}.hostile.example`);

const zone: Zone = {
  "example.org": [
    { MX: [10, "mail.example.org"] },
    { TXT: ["v=spf1 mx ip4:203.0.113.0/28 ", "include:_spf.provider.example ~all"] },
    { TXT: "spf2.0/pra mx -all" },
  ],
  "mail.example.org": [{ A: "192.0.2.25" }],
  "25.2.0.192.in-addr.arpa": [{ PTR: "mail.example.org" }],
  "_spf.provider.example": [{ TXT: "v=spf1 ip4:198.51.100.0/24 -all" }],
  "s._domainkey.example.org": [{ TXT: dkim }],
  "_dmarc.example.org": [{ TXT: "v=DMARC1; p=reject; rua=mailto:d@example.org" }],
  "new.example": [{ MX: [10, "mail.new.example"] }],
  "mail.new.example": [{ A: "192.0.2.26" }],
  "hostile.example": [{ TXT: `v=spf1 ${many.join(" ")} \u001b]0;title\u0007` }],
  "wide.example": [{ TXT: `v=spf1 ${many.join(" ")} -all` }],
  "*.hostile.example": [{ TXT: "v=spf1 include:x.hostile.example mx a -all" }],
  "down.example": ["SERVFAIL"],
};

const data = mkdtempSync(join(tmpdir(), "postern-domain-"));
const resent = join(data, "resent.eml");
const sentMail = join(data, "sent.jsonl");
let dns: FakeDns;
let hub: Server;

/** What the admin socket of an installation with one domain answers. */
const answers: Readonly<Record<string, unknown>> = {
  "/domains": [{ name: "example.org" }],
  "/status": { hostname: "mail.example.org", domain: "example.org" },
  "/domains/example.org/dkim": [
    { selector: "s", name: "s._domainkey.example.org", text: dkim, strings: [dkim] },
  ],
  "/accounts": [{ address: "ana@example.org" }],
  "/reports/own-sources?domain=example.org&days=30": [
    { ip: "192.0.2.25", count: 7 },
    { ip: "203.0.113.201", count: 3 },
  ],
  "/aliases": [{ address: "dmarc-reports@example.org", targets: ["ana@example.org"] }],
};

before(async () => {
  dns = await startFakeDns(zone);
  for (const folder of ["hub", "edge/smtp"]) mkdirSync(join(data, folder), { recursive: true });
  writeFileSync(join(data, "hub/admin.secret"), "secret");
  writeFileSync(join(data, "edge/smtp/tls.pem"), pemOf("mail.example.org"));
  hub = createServer((request, response) => {
    const answer = answers[request.url ?? ""];
    response.writeHead(answer === undefined ? 404 : 200).end(JSON.stringify(answer ?? {}));
  }).listen(join(data, "hub/admin.sock"));
  await once(hub, "listening");
  writeFileSync(
    resent,
    "Resent-From: list@example.org\r\nFrom: ann@elsewhere.example\r\n\r\nx\r\n",
  );
  writeFileSync(sentMail, '{"ip":"192.0.2.25","count":40}\n{"ip":"203.0.113.200","count":2}\n');
  for (const [index, ran] of (await runAll(Object.values(lines))).entries()) {
    outcomes.set(Object.keys(lines)[index] ?? "", ran);
  }
});

after(async () => {
  await dns[Symbol.asyncDispose]();
  hub.close();
  rmSync(data, { recursive: true });
});

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly tookMs: number;
}

const seed2 = "198.51.100.10 198.51.100.11".split(" ").flatMap((ip) => ["--address", ip]);
const smart = "203.0.113.1 203.0.113.2 203.0.113.3"
  .split(" ")
  .flatMap((ip) => ["--smart-host", ip]);

/** Every command line of this test; DNS questions go to its own server. */
const lines = {
  show: ["spf", "show", "example.org"],
  wizard1: ["spf", "wizard", "new.example", "--inbound", "--others", "softfail", "--yes"],
  wizard2: [
    ...["spf", "wizard", "new.example", "--no-inbound", ...seed2, ...smart],
    ...["--direct-fallback", "--yes", "--json"],
  ],
  reported: ["--data", data, "spf", "wizard", "example.org", "--yes"],
  senderId: ["check", "sender-id", resent, "--ip", "192.0.2.25", "--json"],
  noAddressGiven: ["check", "sender-id", resent],
  replay: ["spf", "wizard", "example.org", "--yes", "--replay", sentMail],
  hostile: ["spf", "show", "hostile.example"],
  wide: ["spf", "show", "wide.example"],
  down: ["spf", "show", "down.example"],
  none: ["spf", "show", "new.example"],
  noDomain: ["spf", "show", "no domain"],
  noAddress: ["spf", "wizard", "new.example", "--yes", "--address", "1.2.3"],
  checkOurs: ["check", "domain", "example.org"],
  checkNew: ["check", "domain", "new.example", "--json"],
  records: ["dns", "show", "example.org"],
  zone: ["dns", "show", "example.org", "--zone"],
  recordsJson: ["dns", "show", "example.org", "--json"],
  recordsOther: ["dns", "show", "other.example"],
  compare: ["dns", "check", "example.org"],
  explainText: ["dns", "explain", "v=DMARC1; p=quarantine; rua=mailto:d@example.org"],
  explainName: ["dns", "explain", "_dmarc.example.org"],
  explainBad: ["dns", "explain", "v=spf1 ipv4:192.0.2.1"],
  explainHello: ["dns", "explain", "hello"],
  explainNothing: ["dns", "explain", "nothing.example"],
  explainDown: ["dns", "explain", "down.example"],
} as const;

const outcomes = new Map<string, Ran>();
const ran = (name: keyof typeof lines): Ran => outcomes.get(name) ?? assert.fail(name);

/** Many command lines in one process, for starting costs more than they do. */
const runner = `
  const { runCommandLine } = await import("#cli");
  const write = process.stdout.write;
  const results = [];
  for (const args of JSON.parse(process.argv[1])) {
    let stdout = "";
    process.stdout.write = (text) => { stdout += text; return true; };
    process.exitCode = 0;
    const startedMs = performance.now();
    const code = await runCommandLine(args, { application: "", version: "", manifests: {} });
    results.push({ code, stdout, tookMs: performance.now() - startedMs });
  }
  process.exitCode = 0;
  process.stdout.write = write;
  process.stdout.write(JSON.stringify(results));
`;

function runAll(all: readonly (readonly string[])[]): Promise<Ran[]> {
  const server = ["--dns", `127.0.0.1:${dns.endpoint.port}`];
  const whole = all.map((args) => {
    const asks = args[0] !== "dns" || args[1] !== "show";
    return ["--data", data, ...args, ...(asks ? server : [])];
  });
  const args = ["--input-type=module", "-e", runner, "--", JSON.stringify(whole)];
  const options = { cwd: application, timeout: 60_000, maxBuffer: 2 ** 26 };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(JSON.parse(stdout) as Ran[]);
      else reject(new Error(stderr, { cause: error }));
    });
  });
}

function isNarrow(text: string): void {
  const wide = text.split("\n").filter((line) => line.length > 80 && !/v=spf1|v=DKIM1/.test(line));
  assert.deepEqual(wide, []);
}

describe("postern spf", () => {
  test("CAP-53 show explains anybody's record", () => {
    const { code, stdout } = ran("show");
    assert.equal(code, 0);
    assert.match(stdout, /the mail servers \(MX\) of example\.org: mail\.example\.org\s+\(192/);
    assert.match(stdout, /ip4:203\.0\.113\.0\/28 +16 addresses, 203\.0\.113\.0 to 203\.0\.113\.15/);
    assert.match(stdout, /\| ip4:198\.51\.100\.0\/24 +256 addresses/);
    assert.match(stdout, /everything else: soft fail: "probably not ours"/);
    assert.match(stdout, /Look-ups: 2 of 10/);
    assert.match(stdout, /Addresses that may send: 273 IPv4, 0 IPv6\./);
    assert.match(stdout, /Sender ID record .*: spf2\.0\/pra mx -all/);
    isNarrow(stdout);
  });

  test("CAP-52 wizard: one server that receives and sends", () => {
    const { code, stdout } = ran("wizard1");
    assert.equal(code, 0);
    assert.match(stdout, /^Publish as TXT record of new\.example:\n\n {2}v=spf1 mx ~all\n/);
    assert.match(stdout, /inbound server mail\.new\.example \(192\.0\.2\.26\)\n +pass/);
    assert.match(stdout, /a stranger \(203\.0\.113\.77\)\n +softfail/);
    isNarrow(stdout);
  });

  test("CAP-52 wizard: two servers, a provider's three, direct delivery when it is down", () => {
    const { code, stdout } = ran("wizard2");
    assert.equal(code, 0);
    const plan = JSON.parse(stdout) as { record: string; lookups: number; samples: object[] };
    assert.equal(
      plan.record,
      "v=spf1 ip4:198.51.100.10 ip4:198.51.100.11 ip4:203.0.113.1 ip4:203.0.113.2 ip4:203.0.113.3 ~all",
    );
    assert.equal(plan.lookups, 0);
    assert.equal(plan.samples.length, 7);
  });

  test("wizard begins with what is published, and replays mail that was sent", () => {
    const { code, stdout } = ran("replay");
    assert.equal(code, 0);
    assert.match(stdout, /v=spf1 ip4:203\.0\.113\.0\/28 mx include:_spf\.provider\.example ~all/);
    assert.match(stdout, /Your mail under this record: 40 pass, 2 softfail\.\n +2 from 203/);
  });

  test("wizard replays what DMARC reports told of our own mail", () => {
    assert.match(ran("reported").stdout, /Your mail under this record: 7 pass, 3 softfail\./);
  });

  test("CAP-54 check sender-id names the responsible address, its field and the status", () => {
    const { code, stdout } = ran("senderId");
    const { pra, praHeader, status, result } = JSON.parse(stdout) as Record<string, string>;
    assert.deepEqual(
      [code, pra, praHeader, status, result],
      [0, "list@example.org", "Resent-From", "pass", "pass"],
    );
    assert.equal(ran("noAddressGiven").code, 64);
  });

  test("a thousand includes and control characters end soon, with a finding", () => {
    for (const name of ["hostile", "wide"] as const) {
      const { code, stdout, tookMs } = ran(name);
      assert.equal(code, 2);
      assert.ok(!stdout.includes("\u001b"));
      assert.ok(tookMs < 10_000, String(tookMs));
    }
  });

  test("exit codes", () => {
    const names = ["down", "none", "noDomain", "noAddress"] as const;
    assert.deepEqual(
      names.map((name) => ran(name).code),
      [75, 2, 64, 64],
    );
  });
});

describe("postern check domain", () => {
  test("CAP-53 one of ours: with its DKIM keys", () => {
    const { code, stdout } = ran("checkOurs");
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^ok +DKIM +s\._domainkey\.example\.org/m);
    assert.match(stdout, /^ok +DMARC +mail that pretends to be of the domain: reject$/m);
    assert.match(stdout, /\nNothing is wrong\.\n$/);
    isNarrow(stdout);
  });

  test("anybody's: findings and exit code 2", () => {
    const { code, stdout } = ran("checkNew");
    assert.equal(code, 2);
    const { findings } = JSON.parse(stdout) as { findings: { area: string; level: string }[] };
    const bad = findings.filter(({ level }) => level === "bad").map(({ area }) => area);
    assert.deepEqual(bad, ["SPF", "DMARC"]);
  });
});

describe("postern dns", () => {
  test("show has every record with its reason, as text, zone and JSON", () => {
    assert.match(
      ran("records").stdout,
      /must +MX +@\n +where mail for the domain goes\n +10 mail\./,
    );
    const zoneFile = ran("zone").stdout;
    assert.match(zoneFile, /\n_dmarc IN TXT "v=DMARC1; p=none; rua=mailto:dmarc-reports@example/);
    assert.match(zoneFile, /\n; _25\._tcp\.mail IN TLSA 3 1 1 [0-9a-f]{64}\n/);
    const rows = JSON.parse(ran("recordsJson").stdout) as { name: string; value: string }[];
    assert.equal(rows.length, 14);
    assert.ok(rows.some(({ name, value }) => name === "s._domainkey" && value === dkim));
    assert.equal(ran("recordsOther").code, 66);
  });

  test("check says what is missing, and takes another record that does the same", () => {
    const { code, stdout } = ran("compare");
    assert.equal(code, 2);
    assert.match(stdout, /^ok +TXT +@\n +another text than ours, and mail of our server passes$/m);
    assert.match(stdout, /^missing +SRV +_imaps\._tcp\n +expected +0 1 993 mail\.example\.org\.$/m);
    assert.match(stdout, /^unchecked +TLSA +_25\._tcp\.mail\n +the zone is not signed/m);
    assert.match(stdout, /6 missing, 3 unchecked of 14\./);
    isNarrow(stdout);
  });

  test("explain takes a text, a name, or standard input", async () => {
    assert.match(
      ran("explainText").stdout,
      /p=quarantine +mail of this domain that fails: treat it/,
    );
    assert.match(ran("explainName").stdout, /^DMARC at _dmarc\.example\.org: /);
    const file = "version: STSv1\nmode: enforce\nmx: mail.example.org\n";
    const { code, stdout } = await runCli(data, ["dns", "explain", "-"], file);
    assert.equal(code, 0);
    assert.match(stdout, /mode: enforce +servers deliver over verified TLS or not at all/);
  });

  test("exit codes", () => {
    const names = ["explainBad", "explainHello", "explainNothing", "explainDown"] as const;
    assert.deepEqual(
      names.map((name) => ran(name).code),
      [2, 64, 66, 75],
    );
  });
});
