import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { Endpoint } from "#base/net";
import type { TraceSummary } from "#model/trace";
import { adminClient } from "../../src/cli/admin-client.ts";
import { hasBrowser, launchBrowser } from "../kit/browser.ts";
import { runCli } from "../kit/installation.ts";
import { plainMessage, SmtpDialogue, sendMail } from "../kit/smtp-dialogue.ts";
import { SmtpSink } from "../kit/smtp-sink.ts";
import { edgeAddress, enrol, invite, makeSplit, type Split } from "../kit/split.ts";

const ana = "ana@us.test";
const password = "a long pass phrase of hers";
let split: Split;
let sink: SmtpSink;
let toEdge: string[];

before(async () => {
  sink = new SmtpSink();
  const port = await sink.listen();
  split = await makeSplit({
    edge: `[egress]\nports = ["${port}"]\nprivate = true\n[link]\nspool = "sealed"\nspoolMib = 32\n`,
    inside: `[queue]\nfirstRetryS = 2\n[outbound.remote]\nspaces = ["remote.example"]\nhosts = ["127.0.0.1:${port}"]\n[spf]\ntemperror = "accept"\n`,
  });
  const { linkSmtp, linkWeb } = split.ports;
  toEdge = [
    ...["--address", edgeAddress],
    "--smtp-link",
    `${linkSmtp}`,
    "--web-link",
    `${linkWeb}`,
  ];
});

after(async () => {
  await split[Symbol.asyncDispose]();
  await sink.close();
});

async function until(what: string, isSo: () => Promise<boolean> | boolean): Promise<void> {
  for (const deadlineMs = Date.now() + 90_000; Date.now() < deadlineMs; await pause(200)) {
    if (await isSo()) return;
  }
  throw new Error(`${what} did not come about:\n${split.inside.log()}\n${split.edge.log()}`);
}

const linked = async (): Promise<boolean> => {
  try {
    const { links } = await adminClient(split.inside.data).get<Status>("/status");
    return Object.keys(links).length === 2 && Object.values(links).every(Boolean);
  } catch {
    return false; // the hub may just be starting again
  }
};

interface Status {
  readonly links: Readonly<Record<string, boolean>>;
}

function send(marker: string, to = ana): Promise<string | undefined> {
  const { smtp } = split.edge.ready();
  const octets = plainMessage({ from: "a@strangers.test", to, marker });
  return sendMail(smtp, { from: "a@strangers.test", to: [to], octets });
}

async function isInMailbox(marker: string): Promise<boolean> {
  const query = `/trace?limit=5&text=${encodeURIComponent(marker)}`;
  const found = await adminClient(split.inside.data).get<TraceSummary[]>(query);
  return found.length > 0;
}

describe("two machines that do not know each other", () => {
  test("an edge that was never enrolled does not start, and says what to do", async () => {
    const { code, stderr } = await split.edge.cli("edge");
    assert.equal(code, 78);
    assert.match(stderr, /postern edge enrol TOKEN/);
  });

  test("the inside starts without an edge: people can be made", async () => {
    await split.inside.start();
    const made = await runCli(split.inside.data, ["account", "add", ana], `${password}\n`);
    assert.equal(made.code, 0, made.stderr);
    assert.match((await split.inside.cli("edge", "list")).stdout, /no edge/);
  });

  test("a token with a slip in it is refused at once", async () => {
    const { code, stderr } = await enrol(split.edge, "postern1.AAAA");
    assert.equal(code, 64);
    assert.match(stderr, /incomplete or mistyped/);
  });

  test("a token whose time is over enrols nothing, on either side", async () => {
    const invited = await invite(split.inside, "late", ...toEdge, "--minutes", "0.05");
    assert.equal((await invited.ended).code, 75);
    const { code, stderr } = await enrol(split.edge, invited.token);
    assert.equal(code, 75);
    assert.match(stderr, /time is over/);
    assert.ok(!existsSync(join(split.edge.data, "edge/enrolment.json")));
    assert.ok(!existsSync(join(split.inside.data, "hub/edges.json")));
  });

  test("a token of another invitation is refused: five tries, and nothing is written", async () => {
    const old = await invite(split.inside, "old", ...toEdge);
    old.child.kill("SIGINT");
    await old.ended;
    const now = await invite(split.inside, "now", ...toEdge);
    const [edge, inside] = await Promise.all([enrol(split.edge, old.token), now.ended]);
    assert.equal(edge.code, 77, edge.stderr);
    assert.equal(inside.code, 77, inside.stderr);
    assert.match(inside.stderr, /somebody else/);
    assert.ok(!existsSync(join(split.edge.data, "edge/enrolment.json")));
    assert.ok(!existsSync(join(split.inside.data, "hub/edges.json")));
  });
});

describe("after the enrolment", () => {
  let token: string;

  test("CAP-43 each knows the other's certificate, and the hub takes the edge up by itself", async () => {
    const invited = await invite(split.inside, "dmz1", ...toEdge);
    token = invited.token;
    const edge = await enrol(split.edge, token);
    assert.equal(edge.code, 0, edge.stderr);
    assert.equal((await invited.ended).code, 0);
    await split.edge.start();
    await until("the link", linked);
    const listed = await split.inside.cli("--json", "edge", "list");
    const [one] = JSON.parse(listed.stdout) as { name: string; smtp: { fingerprint: string } }[];
    assert.equal(one?.name, "dmz1");
    assert.match(one.smtp.fingerprint, /^[0-9a-f]{64}$/);
  });

  test("CAP-2 no secret of the inside lies on the edge's machine, and the token nowhere", () => {
    const disk = execFileSync("tar", ["-cf", "-", "-C", split.edge.data, "."], {
      maxBuffer: 1 << 30,
    });
    const inside = execFileSync("tar", ["-cf", "-", "-C", split.inside.data, "."], {
      maxBuffer: 1 << 30,
    });
    const read = (path: string): string =>
      readFileSync(join(split.inside.data, path), "utf8").trim();
    const secrets = [
      ...["hub/link.key", "hub/policy.key", "hub/tls.key", "pki/site-ca.key"].map(
        (path) => read(path).split("\n")[1] ?? "",
      ),
      ...["keyring/secret", "hub/admin.secret", "hub/console.token"].map(read),
      ...[password, token],
    ];
    for (const secret of secrets) {
      assert.ok(secret.length > 10);
      assert.equal(disk.indexOf(secret), -1, secret.slice(0, 8));
    }
    assert.equal(inside.indexOf(token), -1);
    for (const path of ["hub", "keyring", "pki"])
      assert.ok(!existsSync(join(split.edge.data, path)));
  });

  test("CAP-6 CAP-12 mail comes in, and the edge's programs open no connection inward", async () => {
    assert.match((await send("in@split")) ?? "", /^250 /);
    await until("the message", () => isInMailbox("in@split"));
    const { pids } = split.edge.ready();
    const lines = execFileSync("ss", ["-Htnp", "state", "established"], { encoding: "utf8" }).split(
      "\n",
    );
    const own = lines.filter((line) =>
      [pids["edge-smtp"], pids["edge-web"]].some((pid) => line.includes(`pid=${pid},`)),
    );
    assert.ok(own.length >= 4, `${own.length} connections`);
    const { linkSmtp, linkWeb } = split.ports;
    for (const line of own) {
      const [, , local = ""] = line.trim().split(/\s+/);
      assert.match(local, new RegExp(`:(?:${linkSmtp}|${linkWeb})$`), line);
    }
  });

  test("mail goes out, through the edge", async () => {
    const { submission, ca } = split.inside.ready();
    const trust = readFileSync(ca, "utf8");
    const talk = new SmtpDialogue(submission as Endpoint, {
      ca: trust,
      servername: "mail.us.test",
    });
    await talk.reply();
    await talk.say("EHLO client.us.test");
    const plain = Buffer.from(`\0${ana}\0${password}`).toString("base64");
    assert.match((await talk.say(`AUTH PLAIN ${plain}`)) ?? "", /^235 /);
    await talk.say(`MAIL FROM:<${ana}>`);
    await talk.say("RCPT TO:<bob@remote.example>");
    await talk.say("DATA");
    const octets = plainMessage({ from: ana, to: "bob@remote.example", marker: "out@split" });
    talk.write(octets);
    assert.match((await talk.say(".")) ?? "", /^250 /);
    talk.close();
    await until("the mail at the other end", () =>
      sink.mails.some((mail) => mail.octets.includes("out@split")),
    );
  });

  test("a used token enrols nobody again, and an enrolled edge not twice", async () => {
    await split.edge.stop();
    const again = await enrol(split.edge, token);
    assert.equal(again.code, 78);
    assert.match(again.stderr, /enrolled already/);
    const second = await invite(split.inside, "dmz2", ...toEdge);
    assert.match(second.token, /failed: .*postern edge remove dmz1/s);
    const before = readFileSync(join(split.edge.data, "edge/enrolment.json"), "utf8");
    const forced = split.edge.command("edge", "enrol", token, "--replace");
    forced.stdout?.resume();
    await pause(4000); // nobody dials: the inside has forgotten this token
    forced.kill("SIGTERM");
    assert.equal(readFileSync(join(split.edge.data, "edge/enrolment.json"), "utf8"), before);
    await split.edge.start();
    await until("the link", linked);
  });

  test("the edge's restart loses nothing, and mail that comes while the inside is down waits sealed", async () => {
    await split.inside.stop();
    await until("the lost link", () => /"link\.down"/.test(split.edge.log()));
    assert.match((await send("sealed@split")) ?? "", /^250 /);
    await split.edge.stop();
    await split.edge.start();
    await split.inside.start();
    await until("the link", linked);
    await until("the sealed message", () => isInMailbox("sealed@split"));
    assert.match((await send("later@split")) ?? "", /^250 /);
  });
});

describe("the webmail", { skip: hasBrowser ? false : "no browser here" }, () => {
  test("a login through the edge opens the mailbox inside", async () => {
    const browser = await launchBrowser({
      args: [`--host-resolver-rules=MAP mail.us.test ${edgeAddress}`],
    });
    try {
      const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
      const { port } = new URL(split.edge.ready().https.url);
      await page.goto(`https://mail.us.test:${port}/`);
      await page.getByLabel("E-mail address").fill(ana);
      await page.getByLabel("Password").fill(password);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("navigation", { name: "Mailboxes" }).waitFor();
      await page.locator(".row-open").first().waitFor();
    } finally {
      await browser.close();
    }
  });
});

describe("an edge that is removed", () => {
  test("is not dialled again, and mail at its door is put off or sealed, never lost", async () => {
    const removed = await split.inside.cli("edge", "remove", "dmz1");
    assert.equal(removed.code, 0, removed.stderr);
    const dials = (): number => split.inside.log().split('"link.up"').length;
    await until("the cut", async () => !(await linked()));
    const count = dials();
    await pause(3000);
    assert.equal(dials(), count);
    assert.equal((await split.inside.cli("edge", "remove", "dmz1")).code, 66);
  });

  test("the same machine is enrolled anew with new keys, and mail flows again", async () => {
    const old = readFileSync(join(split.edge.data, "edge/smtp/link.pem"), "utf8");
    await split.edge.stop();
    const invited = await invite(split.inside, "dmz2", ...toEdge);
    const edge = await enrol(split.edge, invited.token, "--replace");
    assert.equal(edge.code, 0, edge.stderr);
    assert.equal((await invited.ended).code, 0);
    assert.notEqual(readFileSync(join(split.edge.data, "edge/smtp/link.pem"), "utf8"), old);
    await split.edge.start();
    await until("the link", linked);
    assert.match((await send("anew@split")) ?? "", /^250 /);
    await until("the message", () => isInMailbox("anew@split"));
  });
});
