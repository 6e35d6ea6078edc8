/**
 * TLS between servers in a whole installation: DANE, MTA-STS that is remembered, reports on both, and
 * our own policy on the web edge (CAP-49, S6).
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { decodeBody, describeMessage } from "#formats/mime";
import { parseTlsReport } from "#formats/tls-report";
import { adminClient } from "../../src/cli/admin-client.ts";
import { selfSigned } from "../kit/certificate.ts";
import { type FakeDns, startFakeDns } from "../kit/fake-dns.ts";
import { freePorts, type Installation, startInstallation } from "../kit/installation.ts";
import { SmtpSink } from "../kit/smtp-sink.ts";
import { tlsaOf } from "../kit/tls-world.ts";

const run = promisify(execFile);
/** MX records have no port: the servers stand at port 25. */
const skip = process.getuid?.() === 0 ? false : "needs root for port 25";
const folder = mkdtempSync(join(tmpdir(), "postern-mail-tls-"));

const at = {
  dane: "127.25.0.1",
  liar: "127.25.0.2",
  stripped: "127.25.0.3",
  plain: "127.25.0.4",
} as const;
const good = selfSigned("whatever.example");
const other = selfSigned("mx.liar.example");

let dns: FakeDns;
let installation: Installation;
const sinks: Record<keyof typeof at, SmtpSink> = {
  dane: new SmtpSink({ tls: good }),
  liar: new SmtpSink({ tls: other }),
  stripped: new SmtpSink(),
  plain: new SmtpSink(),
};

before(async () => {
  if (skip !== false) return;
  const domain = (name: keyof typeof at) => ({
    [`${name}.example`]: [{ MX: [10, `mx.${name}.example`] }],
    [`mx.${name}.example`]: [{ A: at[name] }],
    [`_smtp._tls.${name}.example`]: [{ TXT: `v=TLSRPTv1; rua=mailto:tls@plain.example` }],
  });
  dns = await startFakeDns(
    {
      ...Object.assign({}, ...Object.keys(at).map((name) => domain(name as keyof typeof at))),
      "_25._tcp.mx.dane.example": [{ TLSA: tlsaOf(good.cert, 3, 1, 1) }],
      "_25._tcp.mx.liar.example": [{ TLSA: tlsaOf(good.cert, 3, 1, 1) }],
    },
    { authenticated: true },
  );
  for (const name of Object.keys(at) as (keyof typeof at)[])
    await sinks[name].listenAt(at[name], 25);
  const data = join(folder, "data");
  mkdirSync(join(data, "hub"), { recursive: true });
  // As a policy is that was fetched a day ago; the host that served it is gone since.
  writeFileSync(
    join(data, "hub/mta-sts.json"),
    JSON.stringify({
      version: 1,
      entries: [
        {
          domain: "stripped.example",
          id: "1",
          policy: { mode: "enforce", mx: ["mx.stripped.example"], maxAge: 604_800 },
          fetchedAtMs: Date.now() - 86_400_000,
          usedAtMs: Date.now() - 86_400_000,
        },
      ],
    }),
  );
  const doors = ["smtp", "https", "submission", "imap", "console", "linkSmtp", "linkWeb"] as const;
  const ports = await freePorts(doors.length);
  const listen = doors.map((door, index) => `${door} = "127.0.0.1:${ports[index]}"`).join("\n");
  writeFileSync(
    join(data, "postern.toml"),
    `
[listen]
${listen}
[dns]
servers = ["${dns.endpoint.host}:${dns.endpoint.port}"]
[egress]
private = true
[queue]
privateNetworks = true
firstRetryS = 600
[reports]
send = true
[mtaSts]
mode = "enforce"
mx = ["mx2.postern.test"]
`,
  );
  installation = await startInstallation({ data });
});

after(async () => {
  if (skip !== false) return;
  await installation?.[Symbol.asyncDispose]();
  for (const sink of Object.values(sinks)) await sink.close();
  await dns[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function submit(to: string): Promise<void> {
  const { submission, ca, accounts } = installation.ready();
  const { address = "", password = "" } = accounts[0] ?? {};
  const file = join(folder, "mail.eml");
  writeFileSync(file, `From: <${address}>\r\nTo: <${to}>\r\nSubject: x\r\n\r\nA line.\r\n`);
  await run("curl", [
    ...["-sS", "--max-time", "20", "--cacert", ca, "-u", `${address}:${password}`],
    ...["--url", `smtps://localhost:${submission.port}`, "--mail-from", address],
    ...["--mail-rcpt", to, "-T", file],
  ]);
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    if (await holds()) return;
    await pause(200);
  }
  assert.fail(`${what}: not in time\n${installation.log().slice(-3000)}`);
}

/** What the command line asks for, without its start. */
function asked<Value>(path: string): Promise<Value> {
  return adminClient(installation.data).get<Value>(path);
}

async function queued(to: string): Promise<string> {
  type Listed = { readonly items: readonly { recipient: string; last?: unknown }[] };
  const { items } = await asked<Listed>("/queue");
  return JSON.stringify(items.find(({ recipient }) => recipient === to)?.last ?? "");
}

describe("CAP-49 S6 a whole installation", { skip }, () => {
  test("DANE: the right key gets the mail, and the proof is in the trace", async () => {
    await submit("a@dane.example");
    await until("delivered", () => sinks.dane.mails.length === 1);
    assert.equal(sinks.dane.mails[0]?.tls, true);
    const [found] = await asked<{ id: string }[]>("/trace?text=a@dane.example");
    await until("traced", async () => {
      const trace = JSON.stringify(await asked(`/trace/${found?.id ?? ""}`));
      return /over TLSv1\.3 .*, verified by dane/.test(trace);
    });
  });

  test("DANE: another key gets nothing, and the queue says why", async () => {
    await submit("a@liar.example");
    await until("tried", async () => /TLSA|tlsa|certificate/.test(await queued("a@liar.example")));
    assert.equal(sinks.liar.mails.length, 0);
  });

  test("MTA-STS: remembered over the start, with the policy host gone: nothing leaves in the clear", async () => {
    await submit("a@stripped.example");
    const why = () => queued("a@stripped.example");
    await until("tried", async () => /starttls-not-supported/.test(await why()));
    assert.equal(sinks.stripped.mails.length, 0);
  });

  test("a domain that demands nothing gets its mail as before", async () => {
    await submit("a@plain.example");
    await until("delivered", () => sinks.plain.mails.length === 1);
  });

  test("postern check domain says what each demands, and what we would do", async () => {
    const said = async (domain: string): Promise<string> => {
      const { stdout } = await installation.cli("check", "domain", domain, "--json");
      const { findings } = JSON.parse(stdout) as { findings: { area: string; text: string }[] };
      return findings.find(({ area }) => area === "sending")?.text ?? "";
    };
    assert.match(
      await said("dane.example"),
      /MX signed; DANE: 3 1 1 .*TLSA records are for, or not/,
    );
    assert.match(
      await said("stripped.example"),
      /MTA-STS: enforce: mx\.stripped\.example\): TLS with a trusted certificate for mx\.stripped/,
    );
    assert.match(await said("plain.example"), /MTA-STS: none\): TLS when it is offered/);
    assert.equal(await said("postern.test"), "");
  });

  test("TLS reports tell the owners, even where TLS fails (RFC 8460, RFC 8689)", async () => {
    const sent = await installation.cli("reports", "send", "--now", "--json");
    assert.equal(sent.code, 0, sent.stdout + sent.stderr);
    const isReport = ({ octets }: { octets: Buffer }) => octets.includes("TLS-Report-Domain");
    await until("reports came", () => sinks.plain.mails.filter(isReport).length === 4);
    const reports = sinks.plain.mails.filter(isReport).map(({ octets }) => {
      assert.match(octets.toString("latin1"), /^DKIM-Signature:/im);
      const part = describeMessage(octets).root.parts[1];
      assert.ok(part);
      const read = parseTlsReport(
        decodeBody(octets.subarray(part.bodyStart, part.bodyEnd), part.encoding),
      );
      assert.ok(read.ok);
      return read.value.policies.map(({ type, successes, details }) => [
        type,
        successes,
        ...details.map(({ result }) => result),
      ]);
    });
    assert.deepEqual(reports.map((one) => JSON.stringify(one)).sort(), [
      '[["no-policy-found",0,"starttls-not-supported"]]',
      '[["sts",0,"starttls-not-supported"]]',
      '[["tlsa",0,"tlsa-invalid"]]',
      '[["tlsa",1]]',
    ]);
    const { stdout } = await installation.cli("reports", "sent");
    assert.match(stdout, /tls +liar\.example .* 1 sessions/);
  });

  test("reports of others are read and shown", async () => {
    const sample = join(import.meta.dirname, "../conformance/reports/tlsrpt/rpt01.eml");
    const taken = await installation.cli("reports", "import", sample);
    assert.match(taken.stdout, /1 taken in/);
    const { stdout } = await installation.cli("reports", "tls", "--days", "9999");
    assert.match(
      stdout,
      /company-y\.example: 5629 sessions in 1 reports of 1 senders, 94\.6 % with/,
    );
    assert.match(stdout, /Company-X +starttls-not-supported +200 sessions/);
  });

  test("our own policy stands on the web edge, for our domains and for new ones", async () => {
    const { https } = installation.ready();
    const { port } = new URL(https.url);
    const policyOf = async (domain: string): Promise<string> => {
      const host = `mta-sts.${domain}`;
      const { stdout } = await run("curl", [
        ...["--silent", "--insecure", "--max-time", "20"],
        ...["--connect-to", `${host}:443:127.0.0.1:${port}`],
        `https://${host}/.well-known/mta-sts.txt`,
      ]);
      return stdout;
    };
    const { stdout: shown } = await installation.cli("status", "--json");
    const { hostname } = JSON.parse(shown) as { hostname: string };
    const expected = `version: STSv1\r\nmode: enforce\r\nmx: ${hostname}\r\nmx: mx2.postern.test\r\nmax_age: 604800\r\n`;
    assert.equal(await policyOf("postern.test"), expected);
    assert.doesNotMatch(await policyOf("new.example"), /STSv1/);
    await installation.cli("domain", "add", "new.example");
    await until("published", async () => (await policyOf("new.example")) === expected);
  });

  test("dns show wants the records that go with it", async () => {
    const { stdout } = await installation.cli("dns", "show", "postern.test", "--json");
    assert.match(stdout, /"_mta-sts"/);
    assert.match(stdout, /"mta-sts"/);
    assert.match(stdout, /"_smtp\._tls"/);
  });
});
