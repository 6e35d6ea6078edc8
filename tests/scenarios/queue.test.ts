/** The queue in a whole installation: a provider that goes down, a message that kills, a link that is cut. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import type { QueueItem } from "#model/queue";
import { type FakeDns, startFakeDns } from "../kit/fake-dns.ts";
import { freePorts, type Installation, startInstallation } from "../kit/installation.ts";
import { mayRunPostfix, type Postfix, startPostfix } from "../kit/postfix.ts";
import { plainMessage } from "../kit/smtp-dialogue.ts";
import { SmtpSink } from "../kit/smtp-sink.ts";

const run = promisify(execFile);
const skip = mayRunPostfix ? false : "needs root: a Postfix, and port 25 of an address of its own";
const mx = "127.0.0.9";

let dns: FakeDns;
let installation: Installation;
let postfix: Postfix;
let postfixPort: number;
/** What the MX of remote.example gets: mail that goes past the provider. */
const direct = new SmtpSink();
let mxServer: Server;
/** What the server of killer.example says to RCPT; "": nothing, so that the attempt stays under way. */
let said: string | undefined;
const killer = new SmtpSink({ answer: (line) => (line.startsWith("RCPT") ? said : undefined) });
const underWay = (): number => killer.lines.filter((line) => line.startsWith("RCPT")).length;

before(async () => {
  if (skip !== false) return;
  dns = await startFakeDns({
    "remote.example": [{ MX: [10, "mx.remote.example"] }],
    "mx.remote.example": [{ A: mx }],
  });
  mxServer = createServer((socket) => direct.serve(socket));
  await new Promise<void>((resolve) => mxServer.listen(25, mx, resolve));
  const killerPort = await killer.listen();
  postfixPort = (await freePorts(1))[0] ?? 0;
  postfix = await startPostfix("remote.example", "", postfixPort);
  const { host, port } = dns.endpoint;
  installation = await startInstallation({
    config: `
[dns]
servers = ["${host}:${port}"]
[egress]
ports = ["25", "${postfixPort}", "${killerPort}"]
private = true
[queue]
firstRetryS = 2
probeS = 1
directAfter = 2
privateNetworks = true
[outbound.provider]
spaces = ["*"]
hosts = ["127.0.0.1:${postfixPort}"]
whenDown = "direct"
[outbound.killer]
spaces = ["killer.example"]
hosts = ["127.0.0.1:${killerPort}"]
`,
  });
});

after(async () => {
  if (skip !== false) return;
  await installation[Symbol.asyncDispose]();
  await postfix[Symbol.asyncDispose]();
  await killer.close();
  await new Promise((resolve) => mxServer.close(resolve));
  await dns[Symbol.asyncDispose]();
});

async function submit(to: string, marker: string): Promise<void> {
  const { submission, ca, accounts } = installation.ready();
  const { address, password } = accounts[0] ?? { address: "", password: "" };
  const file = join(installation.data, `${marker}.eml`);
  writeFileSync(file, plainMessage({ from: address, to, marker: `${marker}@postern.test` }));
  await run("curl", [
    ...["-sS", "--max-time", "20", "--cacert", ca, "-u", `${address}:${password}`],
    ...["--url", `smtps://localhost:${submission.port}`, "--mail-from", address],
    ...["--mail-rcpt", to, "-T", file],
  ]);
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + 40_000;
  while (!(await isSo())) {
    if (Date.now() > deadlineMs) throw new Error(`not within 40 s: ${what}\n${installation.log()}`);
    await pause(200);
  }
}

type Listed = QueueItem & { readonly why: string };

async function listed(...args: string[]): Promise<readonly Listed[]> {
  const { code, stdout } = await installation.cli("queue", "list", "--json", ...args);
  if (code !== 0) return []; // the hub is being started again
  return (JSON.parse(stdout) as { items: Listed[] }).items;
}

const gotDirect = (marker: string): boolean =>
  direct.mails.some(({ octets }) => octets.includes(`${marker}@postern.test`));

describe("CAP-47 a provider's host that is down", { skip }, () => {
  test("mail goes by it, past it while a real Postfix is killed, and by it again", async () => {
    await submit("a@remote.example", "first");
    await postfix.waitFor("first@postern.test");
    assert.equal(direct.mails.length, 0);

    await postfix[Symbol.asyncDispose]();
    for (const marker of ["second", "third", "fourth"]) await submit("a@remote.example", marker);
    for (const marker of ["second", "third", "fourth"]) {
      await until(`${marker} goes direct`, () => gotDirect(marker));
    }
    const [item] = await listed("--domain", "remote.example", "--limit", "1");
    assert.equal(item?.state, "delivered");
    assert.match(item.last?.remote ?? "", /^mx\.remote\.example \[127\.0\.0\.9\]$/);
    assert.equal(item.last?.connector, "provider");

    postfix = await startPostfix("remote.example", "", postfixPort);
    let last = "";
    await until("mail goes by the provider again", async () => {
      last = `back-${Date.now()}`;
      await submit("a@remote.example", last);
      await pause(1500);
      return postfix.delivered().some((text) => text.includes(`${last}@postern.test`));
    });
    assert.ok(!gotDirect(last), "and not by both");
  });
});

describe("the queue's commands", { skip }, () => {
  test("show every try with its server's words, and change many at once, with who did it", async () => {
    said = "450-4.2.1 first line\r\n450 4.2.1 second line";
    await submit("slow@killer.example", "slow");
    await until("it is tried", async () => {
      const [item] = await listed("--domain", "killer.example");
      return (item?.attempts ?? 0) > 0;
    });
    const held = await installation.cli("queue", "hold", "--domain", "killer.example");
    assert.match(held.stdout, /^hold: 1 items/);
    const [item] = await listed("--state", "held");
    assert.equal(item?.why, "held by command line");
    const { stdout } = await installation.cli("queue", "show", item.id);
    assert.match(stdout, /state +held: held by command line/);
    assert.match(
      stdout,
      /try 1: deferred\n {2}at .*\n {2}server +127\.0\.0\.1:\d+, connector killer\n {2}TLS +none\n {2}said +450 4\.2\.1 first line\n +second line/,
    );
    const proof = await installation.cli("trace", "proof", item.message);
    const hops = JSON.parse(proof.stdout) as {
      format: string;
      in: { tls?: { version: string } };
      out: { recipient: string; attempts: { leaf: number; connector: string }[] }[];
      history: { leaves: { index: number; statement?: string }[] };
    };
    assert.equal(hops.format, "postern-hops-1");
    assert.match(hops.in.tls?.version ?? "", /^TLSv1\.[23]$/);
    const [attempt] = hops.out[0]?.attempts ?? [];
    const leaf = hops.history.leaves.find(({ index }) => index === attempt?.leaf);
    assert.match(leaf?.statement ?? "", /"act":"attempted".*"connector":"killer"/);
    said = undefined;
    const released = await installation.cli("queue", "release", "--state", "held");
    assert.match(released.stdout, /^release: 1 items/);
    await until("it goes", async () => (await listed("--state", "held")).length === 0);
    const none = await installation.cli("queue", "drop");
    assert.equal(none.code, 64, "nobody drops everything by mistake");
    await until("it is delivered", async () => {
      const [gone] = await listed("--domain", "killer.example");
      return gone?.state === "delivered";
    });
    const late = await installation.cli("queue", "hold", item.id);
    assert.match(late.stderr, /hold does nothing: item [0-9a-f]{32} is delivered$/m);
    for (const words of ["queue show nosuch", "trace proof nosuch", "connector show nosuch"]) {
      const { stderr } = await installation.cli(...words.split(" "));
      assert.match(stderr, /no (item|message|connector) nosuch/);
    }
  });
});

describe("V4 a message under which the hub dies", { skip }, () => {
  test("V4-8 is set aside after three deaths; others flow, and it goes when it is released", async () => {
    said = "";
    let before = underWay();
    await submit("kill@killer.example", "kill");
    for (let deaths = 1; deaths <= 3; deaths += 1) {
      await until(`it is under way before death ${deaths}`, () => underWay() > before);
      before = underWay();
      const { hub } = installation.ready().pids;
      process.kill(hub, "SIGKILL");
      await until("the hub is started again", () => {
        return installation.ready().pids.hub !== hub;
      });
    }
    await until("it is held", async () => (await listed("--state", "held")).length === 1);
    const [item] = await listed("--state", "held");
    assert.match(item?.why ?? "", /held by the queue: set aside after 3 crashes/);
    await submit("a@remote.example", "others");
    await postfix.waitFor("others@postern.test");
    said = undefined;
    await installation.cli("queue", "release", item?.id ?? "");
    await until("it goes when released", () =>
      killer.mails.some(({ octets }) => octets.includes("kill@postern.test")),
    );
    assert.equal(
      killer.mails.filter(({ octets }) => octets.includes("kill@postern.test")).length,
      1,
    );
  });
});
