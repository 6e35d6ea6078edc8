import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { ImapFlow } from "imapflow";
import { type Installation, runCli, startInstallation } from "../kit/installation.ts";
import { SmtpDialogue } from "../kit/smtp-dialogue.ts";

let installation: Installation;
before(async () => {
  installation = await startInstallation();
});
after(() => installation?.[Symbol.asyncDispose]());

function reader(address: string, password: string): ImapFlow {
  const { imap } = installation.ready();
  const client = new ImapFlow({
    ...{ host: imap.host, port: imap.port, secure: true, logger: false },
    auth: { user: address, pass: password },
    tls: { rejectUnauthorized: false },
  });
  client.on("error", () => {}); // the close that follows tells enough
  return client;
}

/** A session of submission that has logged in. */
async function submission(address: string, password: string): Promise<SmtpDialogue> {
  const { submission: door, ca } = installation.ready();
  const dialogue = new SmtpDialogue(door, {
    ca: readFileSync(ca, "utf8"),
    servername: "localhost",
  });
  await dialogue.reply();
  await dialogue.say("EHLO client.example");
  const login = Buffer.from(`\0${address}\0${password}`).toString("base64");
  assert.match((await dialogue.say(`AUTH PLAIN ${login}`)) ?? "", /^235 /);
  return dialogue;
}

async function enters(address: string, password: string): Promise<boolean> {
  const client = reader(address, password);
  try {
    await client.connect();
    await client.logout();
    return true;
  } catch {
    return false;
  }
}

async function said<Value>(...args: string[]): Promise<Value> {
  const { code, stdout, stderr } = await installation.cli("--json", "account", ...args);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Value;
}

describe("factors of accounts, by an administrator", () => {
  test("an app password enters by IMAP, outlives a restart of the hub, and ends when taken away", async () => {
    const [ana] = installation.ready().accounts;
    assert.ok(ana);
    const { address } = ana;
    const { id, password } = await said<{ id: string; password: string }>(
      ...["app-password", address, "phone"],
    );
    assert.ok(await enters(address, password));
    const { hub } = installation.ready().pids;
    process.kill(hub, "SIGKILL");
    for (let round = 0; round < 100 && installation.ready().pids.hub === hub; round += 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.ok(await untilTrue(() => enters(address, password)), "after the restart");
    const listed = await said<{ id: string; kind: string; name: string }[]>("factors", address);
    assert.deepEqual(
      listed.map(({ id: listedId, kind, name }) => [listedId, kind, name]),
      [[id, "app-password", "phone"]],
    );
    assert.ok(!JSON.stringify(listed).includes(password));
    await said("factors", address, "--remove", id);
    assert.equal(await enters(address, password), false);
    assert.ok(await enters(address, ana.password), "the password itself still does");
  });

  test("W8 what was opened with an app password ends when it is taken away, and nothing else does", async () => {
    const [ana] = installation.ready().accounts;
    assert.ok(ana);
    const { address } = ana;
    const make = (name: string) =>
      said<{ id: string; password: string }>("app-password", address, name);
    const [phone, laptop] = [await make("phone"), await make("laptop")];
    const used = async () => {
      const listed = await said<{ id: string; usedAtMs?: number }[]>("factors", address);
      return listed.filter(({ usedAtMs }) => usedAtMs !== undefined).map(({ id }) => id);
    };
    assert.deepEqual(await used(), []);
    const mails = [];
    for (const { password } of [phone, laptop, ana])
      mails.push(await submission(address, password));
    const reads = [reader(address, phone.password), reader(address, laptop.password)];
    for (const one of reads) await one.connect();
    const ended = new Promise((resolve) => reads[0]?.once("close", () => resolve("ended")));
    assert.deepEqual(await used(), [phone.id, laptop.id]);
    await said("factors", address, "--remove", phone.id);
    const [first, ...others] = mails;
    assert.match((await first?.say(`MAIL FROM:<${address}>`)) ?? "", /^421 4\.7\.0 /);
    for (const one of others) {
      assert.match((await one.say(`MAIL FROM:<${address}>`)) ?? "", /^250 /);
      assert.match((await one.say("RSET")) ?? "", /^250 /);
    }
    assert.equal(await ended, "ended");
    assert.ok(reads[1]?.usable);
    await reads[1]?.logout();
    await said("factors", address, "--remove", laptop.id);

    const [, own] = others;
    assert.match((await own?.say(`MAIL FROM:<${address}>`)) ?? "", /^250 /);
    assert.match((await own?.say(`RCPT TO:<${address}>`)) ?? "", /^250 /);
    assert.match((await own?.say("DATA")) ?? "", /^354 /);
    const words = ["account", "password", address];
    const changed = await runCli(installation.data, words, `${ana.password}\n`);
    assert.equal(changed.code, 0, changed.stderr);
    const mail = `From: ${address}\r\nSubject: too late\r\n\r\nx\r\n.`;
    assert.match((await own?.say(mail)) ?? "", /^530 5\.7\.0 /);
    assert.match((await own?.say(`MAIL FROM:<${address}>`)) ?? "", /^421 4\.7\.0 /);
  });

  test("what is not there is said so", async () => {
    const [ana] = installation.ready().accounts;
    const address = ana?.address ?? "";
    assert.deepEqual(await said("sessions", address), []);
    const gone = await installation.cli("account", "sessions", address, "--end", "none");
    assert.match(gone.stderr, /has no session none/);
    const nobody = await installation.cli("account", "factors", "nobody@example.org");
    assert.match(nobody.stderr, /no such account/);
    const both = await installation.cli("account", "factors", address, "--reset", "--remove", "x");
    assert.equal(both.code, 64);
  });
});

async function untilTrue(ask: () => Promise<boolean>): Promise<boolean> {
  const deadlineMs = Date.now() + 90_000;
  while (Date.now() < deadlineMs) {
    if (await ask()) return true;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return false;
}
