/** Connectors of a whole installation, towards real servers: which way mail goes, and with what login. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { selfSigned } from "../kit/certificate.ts";
import { type Installation, startInstallation } from "../kit/installation.ts";
import { type LoginHost, startLoginHost } from "../kit/login-host.ts";
import { mayRunPostfix, type Postfix, startPostfix } from "../kit/postfix.ts";

const run = promisify(execFile);
const skip = mayRunPostfix ? false : "needs root";
const folder = mkdtempSync(join(tmpdir(), "postern-connectors-"));
const secret = join(folder, "partner.secret");
const nextSecret = join(folder, "partner.secret.next");
const theirSecret = join(folder, "them.secret");
const theirNext = join(folder, "them.secret.next");
const dayMs = 86_400_000;

let installation: Installation;
let partner: LoginHost;
let rest: Postfix;

before(async () => {
  if (!mayRunPostfix) return;
  const certificate = selfSigned("mx.partner.example");
  partner = await startLoginHost("partner.example", "us", certificate);
  rest = await startPostfix("other.example");
  partner.setPassword("the first one");
  writeFileSync(secret, "the first one\n", { mode: 0o600 });
  writeFileSync(join(folder, "authority.pem"), certificate.cert);
  installation = await startInstallation({
    config: `
[egress]
ports = ["${partner.port}", "${rest.port}"]
private = true
[queue]
firstRetryS = 2
[outbound.partner]
spaces = ["partner.example", ".partner.example"]
hosts = ["127.0.0.1:${partner.port}"]
tls = "required"
tlsNames = ["mx.partner.example"]
tlsAuthorityFile = "${folder}/authority.pem"
auth = "scram"
user = "us"
secretFiles = ["${secret}", "${nextSecret}"]
messagesPerSession = 1
[inbound.them]
user = "them"
secretFiles = ["${theirSecret}", "${theirNext}"]
senderDomains = ["them.example"]
[spf]
temperror = "accept"
[outbound.rest]
spaces = ["*"]
hosts = ["127.0.0.1:${rest.port}"]
[outbound.nowhere]
spaces = ["*"]
cost = 10
tls = "pinned"
tlsPins = ["${"0".repeat(64)}"]
hosts = ["127.0.0.1:${partner.port}"]
`,
  });
});

after(async () => {
  await installation?.[Symbol.asyncDispose]();
  await partner?.[Symbol.asyncDispose]();
  await rest?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function submit(to: string, marker: string): Promise<void> {
  const { submission, ca, accounts } = installation.ready();
  const { address = "", password = "" } = accounts[0] ?? {};
  const file = join(folder, "mail.eml");
  writeFileSync(file, `From: <${address}>\r\nTo: <${to}>\r\nSubject: ${marker}\r\n\r\nA line.\r\n`);
  await run("curl", [
    ...["-sS", "--max-time", "20", "--cacert", ca, "-u", `${address}:${password}`],
    ...["--url", `smtps://localhost:${submission.port}`, "--mail-from", address],
    ...["--mail-rcpt", to, "-T", file],
  ]);
}

/** What the edge says to a partner's server with that password. */
async function deliverAs(password: string): Promise<string> {
  const { smtp, accounts } = installation.ready();
  const args = [
    ...["--server", `${smtp.host}:${smtp.port}`, "-tls", "--helo", "mx.them.example"],
    ...["-a", "PLAIN", "--auth-user", "them", "--auth-password", password],
    ...["--from", "a@them.example", "--to", accounts[0]?.address ?? "", "--body", "A line."],
  ];
  return run("swaks", args).then(
    ({ stdout }) => stdout,
    (error: { stdout?: string }) => error.stdout ?? "",
  );
}

interface Shown {
  readonly name: string;
  readonly login?: {
    readonly secrets: readonly { readonly file: string; readonly ageDays: number }[];
  };
  readonly health?: readonly { readonly succeededAtMs?: number; readonly failure?: string }[];
}

async function shown(name: string): Promise<Shown> {
  const { stdout } = await installation.cli("connector", "show", name, "--json");
  const [one] = JSON.parse(stdout) as Shown[];
  assert.ok(one, stdout);
  return one;
}

describe("connectors towards real servers", { skip }, () => {
  test("CAP-42 a partner's mail goes its own way, and mail to everybody else is not touched", async () => {
    await submit("a@partner.example", "to the partner");
    await submit("a@other.example", "to the others");
    await partner.waitFor("to the partner");
    await rest.waitFor("to the others");
    assert.equal(partner.delivered().length, 1);
    assert.equal(rest.delivered().length, 1);
    assert.match(partner.log(), /sasl_method=SCRAM-SHA-256, sasl_username=us/);
    assert.doesNotMatch(rest.log(), /sasl_username/);
    const { stdout } = await installation.cli("trace", "find", "a@partner.example", "--json");
    const [found] = JSON.parse(stdout) as { id: string }[];
    const trace = await installation.cli("trace", "show", found?.id ?? "", "--json");
    assert.match(trace.stdout, /TLSv1\.3/);
  });

  test("CAP-42 the command says which way a domain goes, and that it works", async () => {
    const good = await installation.cli("connector", "test", "partner", "a.partner.example");
    assert.equal(good.code, 0, good.stdout + good.stderr);
    assert.match(
      good.stdout,
      /a\.partner\.example goes by "partner": its space \.partner\.example/,
    );
    assert.match(good.stdout, /not by "rest": its space \* at cost 0/);
    assert.match(good.stdout, /ok +TLSv1\.3, .*proved by authority.*logged in as us/);
    const wrong = await installation.cli("connector", "test", "nowhere", "other.example");
    assert.equal(wrong.code, 1, wrong.stdout);
    assert.match(wrong.stdout, /other\.example goes by "rest"/);
    assert.match(wrong.stdout, /failed at tls/);
    const list = await installation.cli("connector", "list");
    assert.match(
      list.stdout,
      /^partner +out +tls required.*\n +to partner\.example \.partner\.example\n +login us: 0 days old/m,
    );
    const { health } = await shown("partner");
    assert.ok(health?.some(({ succeededAtMs }) => succeededAtMs !== undefined));
  });

  test("CAP-45 a password changes while mail goes out: nothing is lost, nothing waits", async (t) => {
    const before_ = partner.delivered().length;
    let sent = 0;
    const send = async (count: number): Promise<void> => {
      for (let nth = 0; nth < count; nth += 1) {
        sent += 1;
        await submit("b@partner.example", `rotation ${sent}.`);
      }
    };
    const arrived = async (): Promise<void> => {
      for (let nth = 1; nth <= sent; nth += 1) await partner.waitFor(`rotation ${nth}.`);
    };
    await send(3);
    writeFileSync(nextSecret, "the second, longer one\n", { mode: 0o600 });
    await send(3);
    await arrived();
    partner.setPassword("the second, longer one");
    await pause(1_100); // Dovecot looks at the file's time, in seconds
    await send(6);
    await arrived();
    assert.equal((await shown("partner")).login?.secrets.length, 2);
    renameSync(nextSecret, secret);
    await send(3);
    await arrived();
    assert.equal(partner.delivered().length - before_, sent);
    const { stdout } = await installation.cli("queue", "list", "--json");
    const { items } = JSON.parse(stdout) as { items: { attempts: number; state: string }[] };
    for (const item of items) assert.deepEqual([item.state, item.attempts], ["delivered", 1]);
    const refused = partner.log().match(/SCRAM-SHA-256 authentication failed/g)?.length ?? 0;
    assert.equal(refused, 6, "a login for each message while the first secret was the old one");
    const { login, health } = await shown("partner");
    assert.equal(login?.secrets.length, 1);
    assert.ok(
      health?.every(({ failure }) => failure === undefined),
      JSON.stringify(health),
    );
    t.diagnostic(`${sent} messages, each at its first attempt; ${refused} times the second secret`);
  });

  test("CAP-45 a partner's password changes while its mail comes in: both are taken for a time", async () => {
    const isTaken = /<~ +250 2\.\d\.\d kept as/;
    const isRefused = /<~\* +535 /;
    writeFileSync(theirSecret, "their old one\n", { mode: 0o600 });
    assert.match(await deliverAs("their old one"), isTaken);
    assert.match(await deliverAs("their new one"), isRefused);
    writeFileSync(theirNext, "their new one\n", { mode: 0o600 });
    assert.match(await deliverAs("their old one"), isTaken);
    assert.match(await deliverAs("their new one"), isTaken);
    renameSync(theirNext, theirSecret);
    assert.match(await deliverAs("their new one"), isTaken);
    assert.match(await deliverAs("their old one"), isRefused);
  });

  test("CAP-45 an old secret is shown as expired, and still works", async () => {
    const old = Date.now() / 1_000 - (400 * dayMs) / 1_000;
    utimesSync(secret, old, old);
    const list = await installation.cli("connector", "list");
    assert.match(list.stdout, /us: 400 days old, expired 3[45] days ago/);
    assert.doesNotMatch(list.stdout, /the second/);
    await submit("c@partner.example", "with an old secret");
    await partner.waitFor("with an old secret");
    const shownText = await installation.cli("connector", "show", "partner");
    assert.doesNotMatch(shownText.stdout, /the second|BEGIN/);
    const settings = readFileSync(join(installation.data, "hub/settings.json"), "utf8");
    assert.doesNotMatch(settings, /the first|the second|BEGIN/);
  });
});
