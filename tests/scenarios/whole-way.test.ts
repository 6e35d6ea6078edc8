import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { promisify } from "node:util";
import { authenticate } from "mailauth";
import { hasBrowser, launchBrowser } from "../kit/browser.ts";
import { type FakeDns, startFakeDns } from "../kit/fake-dns.ts";
import { freePorts, type Installation, runCli, startInstallation } from "../kit/installation.ts";
import { mayRunPostfix, type Postfix, startPostfix } from "../kit/postfix.ts";
import { plainMessage, SmtpDialogue, sendMail } from "../kit/smtp-dialogue.ts";

const run = promisify(execFile);
let dns: FakeDns;
let installation: Installation;
let postfix: Postfix | undefined;
/** Every connection seen from an edge towards the inside, over the whole run. */
const inward: string[] = [];
let watching: NodeJS.Timeout;

before(async () => {
  dns = await startFakeDns({
    "good.example": [{ TXT: "v=spf1 ip4:127.0.0.1 -all" }],
    "bad.example": [{ TXT: "v=spf1 ip4:192.0.2.1 -all" }],
    "soft.example": [{ TXT: "v=spf1 ip4:192.0.2.1 ~all" }],
  });
  if (mayRunPostfix) postfix = await startPostfix("remote.example");
  const port = postfix?.port ?? (await freePorts(1))[0] ?? 0;
  const { host, port: dnsPort } = dns.endpoint;
  installation = await startInstallation({
    config: `
[dns]
servers = ["${host}:${dnsPort}"]
[spf]
fail = "reject"
[egress]
ports = ["25", "${port}"]
private = true
[queue]
firstRetryS = 2
[outbound.remote]
spaces = ["remote.example"]
hosts = ["127.0.0.1:${port}"]
`,
  });
  watching = setInterval(watchConnections, 100);
});

after(async () => {
  clearInterval(watching);
  await installation[Symbol.asyncDispose]();
  await postfix?.[Symbol.asyncDispose]();
  await dns[Symbol.asyncDispose]();
});

/** Peers of the edges' connections that lead to a door of the inside. */
function watchConnections(): void {
  if (!existsSync(join(installation.data, "ready.json"))) return;
  const { pids, imap, submission, console: door } = installation.ready();
  const inside = [imap.port, submission.port, Number(new URL(door.url).port)];
  const lines = execFileSync("ss", ["-Htnp"], { encoding: "utf8" }).split("\n");
  for (const line of lines) {
    const [, , , , peer = "", owner = ""] = line.trim().split(/\s+/);
    const isEdge = [pids["edge-smtp"], pids["edge-web"]].some((pid) =>
      owner.includes(`pid=${pid},`),
    );
    if (isEdge && inside.includes(Number(peer.split(":").at(-1)))) inward.push(line);
  }
}

const account = (nth = 0): { address: string; password: string } =>
  installation.ready().accounts[nth] ?? { address: "", password: "" };

async function curlImap(path: string, ...more: string[]): Promise<string> {
  const { imap, ca } = installation.ready();
  const { address, password } = account();
  const url = `imaps://localhost:${imap.port}/${path}`;
  const login = ["--cacert", ca, "-u", `${address}:${password}`];
  const { stdout } = await run("curl", [
    "-sS",
    "--max-time",
    "20",
    ...login,
    "--url",
    url,
    ...more,
  ]);
  return stdout;
}

async function untilInInbox(text: string): Promise<string> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const found = await curlImap("INBOX", "-X", `UID SEARCH TEXT "${text}"`);
    const uid = /\* SEARCH (\d+)/.exec(found)?.[1];
    if (uid !== undefined) return curlImap(`INBOX;UID=${uid}`);
    await pause(100);
  }
  throw new Error(`"${text}" did not reach the inbox`);
}

describe("a message from outside", () => {
  test("swaks sends it, curl reads it over IMAPS, byte for byte under our trace fields", async () => {
    const { smtp } = installation.ready();
    const swaks = await run("swaks", [
      ...["--server", `${smtp.host}:${smtp.port}`, "--from", "a@good.example"],
      ...["--to", account().address, "--body", "first line\n.dot line\nlast line"],
      ...["--header", "Subject: by swaks", "--helo", "mx.good.example"],
    ]);
    assert.match(swaks.stdout, /<- {2}250 2\.0\.0 kept as [0-9a-f]{32}/);
    const message = await untilInInbox("by swaks");
    assert.match(message, /^Return-Path: <a@good\.example>\r\n/);
    assert.match(
      message,
      /\r\nAuthentication-Results: mail\.postern\.test;\r\n\tspf=pass[^;]* smtp\.mailfrom=good\.example;\r\n\tsender-id=pass/,
    );
    assert.match(
      message,
      /\r\nReceived: from mx\.good\.example \(\[127\.0\.0\.1\]\)\r\n\tby mail\.postern\.test with ESMTP\r\n\tid [0-9a-f]{32}\r\n\tfor <ana@postern\.test>;/,
    );
    assert.match(message, /\r\n\r\nfirst line\r\n\.dot line\r\nlast line\r\n/);
  });

  const refusals = [
    ["an unknown user", "x@good.example", "nobody@postern.test", /^550 5\.1\.1 /],
    ["a foreign domain", "x@good.example", "a@elsewhere.example", /^550 5\.7\.1 relaying denied/],
    ["an SPF fail", "x@bad.example", "ana@postern.test", /^550 5\.7\.23 /],
  ] as const;
  for (const [what, from, to, expected] of refusals) {
    test(`is refused in session for ${what}, and the trace says so`, async () => {
      const { smtp } = installation.ready();
      const octets = plainMessage({ from, to, marker: `refused@${what.replaceAll(" ", "-")}` });
      assert.match((await sendMail(smtp, { from, to: [to], octets })) ?? "broken", expected);
      for (let attempt = 0; ; attempt += 1) {
        const { stdout } = await installation.cli(
          "trace",
          "find",
          to === "ana@postern.test" ? from : to,
        );
        if (/refused/.test(stdout)) break;
        assert.ok(attempt < 60, `no trace of the refusal: ${stdout}`);
        await pause(100);
      }
    });
  }

  test("goes to Junk on an SPF softfail", async () => {
    const { smtp } = installation.ready();
    const octets = plainMessage({
      from: "s@soft.example",
      to: account().address,
      marker: "soft@soft.example",
    });
    const reply = await sendMail(smtp, { from: "s@soft.example", to: [account().address], octets });
    assert.match(reply ?? "broken", /^250 /);
    assert.match(
      await curlImap("Junk", "-X", "SEARCH HEADER Message-ID soft@soft.example"),
      /SEARCH 1/,
    );
  });

  test("loses fields that pretend to be our Authentication-Results, and nothing else (S17)", async () => {
    const { smtp } = installation.ready();
    const forged = "Authentication-Results: mail.postern.test; dkim=pass header.d=bank.example\r\n";
    const foreign = "Authentication-Results: mx.other.example; spf=pass\r\n";
    const plain = plainMessage({
      from: "a@good.example",
      to: account().address,
      marker: "s17@good.example",
    });
    const octets = forged + foreign + plain;
    const reply = await sendMail(smtp, { from: "a@good.example", to: [account().address], octets });
    assert.match(reply ?? "broken", /^250 /);
    const message = await untilInInbox("s17@good.example");
    assert.doesNotMatch(message, /bank\.example/);
    assert.ok(message.endsWith(foreign + plain), message);
  });

  test("CAP-63 keeps its envelope beside it, not in it", async () => {
    const { smtp } = installation.ready();
    const to = account().address;
    const octets = plainMessage({
      from: "header@good.example",
      to: "list@other.example",
      marker: "c63@good.example",
    });
    const reply = await sendMail(smtp, { from: "envelope@good.example", to: [to], octets });
    assert.match(reply ?? "broken", /^250 /);
    const message = await untilInInbox("c63@good.example");
    assert.ok(message.endsWith(octets), "an octet of the message changed");
    const { stdout } = await installation.cli("trace", "find", "envelope@good.example", "--json");
    const [found] = JSON.parse(stdout) as { id: string; from: string; to: string[] }[];
    assert.deepEqual([found?.from, found?.to], ["envelope@good.example", [to]]);
    const { stdout: shown } = await installation.cli("trace", "show", found?.id ?? "");
    for (const step of [
      "connected",
      "mail",
      "recipient",
      "content",
      "checked",
      "decided",
      "deposited",
      "committed",
      "delivered",
    ]) {
      assert.match(
        shown,
        new RegExp(`\\+\\d+\\.\\d{3} s .* ${step} `),
        `no step ${step}:\n${shown}`,
      );
    }
  });
});

describe("a message from our own people", () => {
  test("a reply from the webmail reaches a Postfix, DKIM-valid for an independent verifier", {
    skip: !hasBrowser || !mayRunPostfix,
  }, async () => {
    const { smtp, https } = installation.ready();
    const { address, password } = account();
    const octets = plainMessage({
      from: "friend@remote.example",
      to: address,
      marker: "q@remote.example",
      subject: "A question",
    });
    assert.match(
      (await sendMail(smtp, { from: "a@good.example", to: [address], octets })) ?? "",
      /^250 /,
    );
    const browser = await launchBrowser();
    try {
      const context = await browser.newContext({ ignoreHTTPSErrors: true });
      const page = await context.newPage();
      await page.goto(https.url);
      await page.getByLabel("E-mail address").fill(address);
      await page.getByLabel("Password").fill(password);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.locator(".row-open", { hasText: "A question" }).click();
      await page.frameLocator("iframe.body").getByText("A line.").waitFor();
      await page.keyboard.press("r");
      await page.getByLabel("Text", { exact: true }).fill("An answer, with ümlauts.\n.leading dot");
      await page.getByRole("button", { name: "Send", exact: true }).click();
      await page.getByText("Message sent").waitFor({ timeout: 20_000 });
    } finally {
      await browser.close();
    }
    const arrived = (await postfix?.waitFor("Re: A question")) ?? "";
    await isDkimValid(arrived, address);
    assert.match(arrived, /\r?\nIn-Reply-To: <q@remote\.example>/);
  });

  test("submission by curl: signed, traced, and the legs are measured (CAP-111 CAP-112 CAP-113)", {
    skip: !mayRunPostfix,
  }, async () => {
    const { submission, ca } = installation.ready();
    const { address, password } = account();
    const file = join(installation.data, "mail.eml");
    const to = [account(1).address, "someone@remote.example"];
    writeFileSync(
      file,
      plainMessage({ from: address, to: to.join(">, <"), marker: "sub@postern.test" }),
    );
    await run("curl", [
      ...["-sS", "--max-time", "20", "--cacert", ca, "-u", `${address}:${password}`],
      ...["--url", `smtps://localhost:${submission.port}`, "--mail-from", address],
      ...to.flatMap((one) => ["--mail-rcpt", one]),
      ...["-T", file],
    ]);
    await isDkimValid((await postfix?.waitFor("sub@postern.test")) ?? "", address);
    const { stdout } = await installation.cli("trace", "find", "someone@remote.example", "--json");
    const [found] = JSON.parse(stdout) as { id: string }[];
    const { stdout: shown } = await installation.cli("trace", "show", found?.id ?? "");
    assert.match(shown, /delivered +to INBOX of ben@postern\.test/);
    assert.match(shown, /attempted .*250 /);
    const { url, token } = installation.ready().console;
    const metrics = await (
      await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${token}` } })
    ).text();
    for (const path of ["inbound", "internal", "outbound"]) {
      const count = new RegExp(`delivery_duration_seconds_count\\{path="${path}"\\} (\\d+)`).exec(
        metrics,
      )?.[1];
      assert.ok(Number(count) > 0, `no ${path} delivery was measured`);
    }
    assert.ok(metrics.endsWith("# EOF\n"));
  });

  test("A2 may not send as somebody else, by envelope or by From", async () => {
    const { submission, ca } = installation.ready();
    const { address, password } = account();
    const login = Buffer.from(`\0${address}\0${password}`).toString("base64");
    const tls = { ca: readFileSync(ca, "utf8"), servername: "localhost" };
    const dialogue = new SmtpDialogue(submission, tls);
    assert.match((await dialogue.reply()) ?? "", /^220 /);
    await dialogue.say("EHLO client.example");
    assert.match((await dialogue.say("MAIL FROM:<x@y.example>")) ?? "", /^530 5\.7\.0 /);
    assert.match((await dialogue.say(`AUTH PLAIN ${login}`)) ?? "", /^235 /);
    assert.match((await dialogue.say(`MAIL FROM:<${account(1).address}>`)) ?? "", /^550 5\.7\.1 /);
    assert.match((await dialogue.say(`MAIL FROM:<${address}>`)) ?? "", /^250 /);
    assert.match((await dialogue.say(`RCPT TO:<${account(1).address}>`)) ?? "", /^250 /);
    assert.match((await dialogue.say("DATA")) ?? "", /^354 /);
    dialogue.write(
      `${plainMessage({ from: account(1).address, to: address, marker: "a2@x" })}.\r\n`,
    );
    assert.match((await dialogue.reply()) ?? "", /^550 5\.7\.1 .*From/);
    dialogue.close();
  });

  test("a message that cannot be delivered comes back once, with the reason (RFC 3464)", async () => {
    const { submission, ca } = installation.ready();
    const { address, password } = account();
    const file = join(installation.data, "bounce.eml");
    writeFileSync(
      file,
      plainMessage({ from: address, to: "x@nowhere.example", marker: "gone@postern.test" }),
    );
    await run("curl", [
      ...["-sS", "--max-time", "20", "--cacert", ca, "-u", `${address}:${password}`],
      ...["--url", `smtps://localhost:${submission.port}`, "--mail-from", address],
      ...["--mail-rcpt", "x@nowhere.example", "-T", file],
    ]);
    const notice = await untilInInbox("nowhere.example");
    assert.match(notice, /Content-Type: multipart\/report; report-type=delivery-status/);
    assert.match(
      notice,
      /\nFinal-Recipient: rfc822; ?x@nowhere\.example\r\nAction: failed\r\nStatus: 5\./,
    );
  });
});

/** Judged by mailauth, with the very records that `postern dns show` tells to publish. */
async function isDkimValid(message: string, from: string): Promise<void> {
  const domain = from.slice(from.indexOf("@") + 1);
  const { stdout } = await installation.cli("dns", "show", domain, "--json");
  const records = JSON.parse(stdout) as { type: string; name: string; value: string }[];
  const result = await authenticate(message.replaceAll(/\r?\n/g, "\r\n"), {
    resolver: async (name: string, type: string) => {
      const found = records.find((one) => one.type === type && `${one.name}.${domain}` === name);
      if (found === undefined) throw Object.assign(new Error("none"), { code: "ENOTFOUND" });
      return [[found.value]];
    },
    trustReceived: false,
    disableArc: true,
    disableBimi: true,
  });
  const verdicts = result.dkim.results.map((one) => `${one.status.result} ${one.signingDomain}`);
  assert.deepEqual(verdicts, [`pass ${domain}`, `pass ${domain}`], message);
}

describe("the doors", () => {
  test("CAP-4 CAP-7 no program listens anywhere but where the configuration says", () => {
    const ready = installation.ready();
    const lines = execFileSync("ss", ["-Htlnp"], { encoding: "utf8" }).split("\n");
    const pids = Object.values(ready.pids);
    const open = lines
      .filter((line) => pids.some((pid) => line.includes(`pid=${pid},`)))
      .map((line) => line.trim().split(/\s+/)[3] ?? "");
    const config = readFileSync(join(installation.data, "postern.toml"), "utf8");
    const expected = [...config.matchAll(/^\w+ = "(127\.0\.0\.1:\d+)"/gm)].map(
      (match) => match[1] ?? "",
    );
    assert.deepEqual(open.toSorted(), expected.toSorted());
  });

  test("CAP-25 CAP-26 CAP-30 IMAP and submission speak TLS 1.2 or newer from the first octet", async () => {
    const { imap, submission } = installation.ready();
    for (const door of [imap, submission]) {
      const old = await new Promise<string>((resolve) => {
        const options = {
          ...door,
          rejectUnauthorized: false,
          maxVersion: "TLSv1.1",
          minVersion: "TLSv1",
          ciphers: "DEFAULT@SECLEVEL=0",
        } as const;
        const socket = connectTls(options, () => resolve("spoke TLS 1.1"));
        socket.on("error", () => resolve("refused"));
      });
      assert.equal(old, "refused");
      const clear = new SmtpDialogue(door);
      clear.write("a CAPABILITY\r\nEHLO x\r\n");
      assert.equal(await clear.reply(15_000), undefined, "answered without TLS");
      clear.close();
    }
  });

  test("CAP-28 AUTH is neither offered nor taken on port 25", async () => {
    const dialogue = new SmtpDialogue(installation.ready().smtp);
    await dialogue.reply();
    assert.doesNotMatch((await dialogue.say("EHLO a.example")) ?? "", /AUTH/);
    assert.match((await dialogue.say("AUTH PLAIN AGEAYg==")) ?? "", /^5/);
    dialogue.close();
  });

  test("CAP-6 no edge opened a connection towards the hub during the whole run", () => {
    watchConnections();
    assert.deepEqual(inward, []);
    const { pids } = installation.ready();
    const lines = execFileSync("ss", ["-Htnp"], { encoding: "utf8" }).split("\n");
    const settings = JSON.parse(
      readFileSync(join(installation.data, "hub/settings.json"), "utf8"),
    ) as {
      link: { edges: { endpoint: { port: number } }[] };
    };
    const linkPorts = settings.link.edges.map(({ endpoint }) => endpoint.port);
    const dialled = lines
      .filter((line) => line.includes(`pid=${pids.hub},`))
      .map((line) => Number(line.trim().split(/\s+/)[4]?.split(":").at(-1)));
    assert.ok(
      linkPorts.every((port) => dialled.includes(port)),
      "the links are not dialled by the hub",
    );
  });
});

describe("the installation", () => {
  test("CAP-108 sending, receiving and reading are probed", async () => {
    const { url, token } = installation.ready().console;
    const headers = { authorization: `Bearer ${token}` };
    const status = await fetch(`${url}/api/status`, { headers });
    const { probes } = (await status.json()) as { probes: Record<string, { ok: boolean }> };
    for (const door of ["send", "receive", "read"]) assert.equal(probes[door]?.ok, true, door);
    const metrics = await (await fetch(`${url}/metrics`, { headers })).text();
    assert.match(metrics, /probe_success\{door="read"\} 1/);
    assert.equal((await fetch(`${url}/metrics`)).status, 401);
  });

  test("a second start on the same folder refuses, and the first goes on", async () => {
    const { pids } = installation.ready();
    const second = await runCli(installation.data, ["up"]);
    assert.equal(second.code, 78, second.stderr);
    assert.match(second.stderr, /already|in use|another/i);
    assert.ok(existsSync(join(installation.data, "ready.json")), "ready.json of the first is gone");
    assert.deepEqual(installation.ready().pids, pids);
  });

  test("an unknown key in the configuration stops the start with line, column and advice", async () => {
    const file = join(installation.data, "wrong.toml");
    writeFileSync(file, '[site]\nhostnam = "x"\n');
    const refused = await runCli(installation.data, ["--config", file, "up"]);
    assert.equal(refused.code, 78);
    assert.match(
      refused.stderr,
      /wrong\.toml:2:1: hostnam is not known; did you mean "hostname"\?/,
    );
    const checked = await runCli(installation.data, ["config", "test", file]);
    assert.equal(checked.code, 78);
  });

  test("people are administered while it runs, and the edge knows at once", async () => {
    const { smtp, domain } = installation.ready();
    const added = await runCli(
      installation.data,
      ["account", "add", `carl@${domain}`],
      "a good password\n",
    );
    assert.equal(added.code, 0, added.stderr);
    const alias = await runCli(installation.data, [
      "alias",
      "add",
      `sales@${domain}`,
      `carl@${domain}`,
    ]);
    assert.equal(alias.code, 0, alias.stderr);
    let reply: string | undefined;
    for (let attempt = 0; attempt < 50; attempt += 1) {
      const octets = plainMessage({
        from: "a@good.example",
        to: `sales@${domain}`,
        marker: "al@good.example",
      });
      reply = await sendMail(smtp, { from: "a@good.example", to: [`sales+x@${domain}`], octets });
      if (reply?.startsWith("250")) break;
      await pause(50);
    }
    assert.match(reply ?? "broken", /^250 /);
    assert.equal(
      (await runCli(installation.data, ["account", "add", `carl@${domain}`], "a good password\n"))
        .code,
      1,
    );
    assert.equal((await runCli(installation.data, ["alias", "remove", `sales@${domain}`])).code, 0);
    assert.equal(
      (await runCli(installation.data, ["account", "remove", `carl@${domain}`])).code,
      0,
    );
    assert.equal(
      (await runCli(installation.data, ["account", "remove", `carl@${domain}`])).code,
      66,
    );
  });

  test("`check spf` says what the edge would say, alone and in batches", async () => {
    const { host, port } = dns.endpoint;
    const at = ["--dns", `${host}:${port}`];
    const mail = ["--helo", "mx.bad.example", "--mail-from", "x@bad.example"];
    const one = await installation.cli(
      "check",
      "spf",
      "--json",
      "--ip",
      "192.0.2.1",
      ...mail,
      ...at,
    );
    assert.equal((JSON.parse(one.stdout) as { result: string }).result, "pass", one.stderr);
    const lines = [
      '{"id":1,"ip":"203.0.113.9","mailFrom":"x@bad.example"}',
      "nonsense",
      '{"id":3}',
    ];
    const many = await runCli(
      installation.data,
      ["check", "spf", "--batch", ...at],
      `${lines.join("\n")}\n`,
    );
    const answers = many.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { id?: number; result?: string; error?: string });
    assert.deepEqual(
      [answers[0]?.id, answers[0]?.result, answers[1]?.error, answers[2]?.id],
      [1, "fail", "not JSON", 3],
    );
  });

  test("commands on a folder where nothing runs say so with their exit codes", async () => {
    const nowhere = join(installation.data, "nothing-here");
    assert.equal((await runCli(nowhere, ["account", "list"])).code, 66);
    assert.equal((await runCli(nowhere, ["store", "verify"])).code, 66);
    assert.equal((await runCli(nowhere, ["acount", "list"])).code, 64);
  });

  test("the store verifies clean on stopped files and after a rebuild everything is still there", async () => {
    const { data, stop } = installation;
    const before_ = await curlImap("INBOX", "-X", "FETCH 1:* (UID FLAGS RFC822.SIZE)");
    await stop();
    const verified = await runCli(data, ["store", "verify", "--json"]);
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    assert.deepEqual((JSON.parse(verified.stdout) as { damages: unknown[] }).damages, []);
    const rebuilt = await runCli(data, ["store", "rebuild"]);
    assert.equal(rebuilt.code, 0, rebuilt.stderr);
    installation = await startInstallation({ data });
    assert.equal(await curlImap("INBOX", "-X", "FETCH 1:* (UID FLAGS RFC822.SIZE)"), before_);
  });
});
