import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ImapFlow } from "imapflow";
import type { ReadByOther, RetentionRule, Withheld } from "#model/retention";
import { hasBrowser, launchBrowser } from "../kit/browser.ts";
import { type Installation, startInstallation } from "../kit/installation.ts";
import { plainMessage, sendMail } from "../kit/smtp-dialogue.ts";

const data = mkdtempSync(join(tmpdir(), "postern-retention-"));
let installation: Installation;

before(async () => {
  installation = await startInstallation({ data });
});

after(async () => {
  await installation[Symbol.asyncDispose]();
  rmSync(data, { recursive: true, force: true });
});

const owner = (): { address: string; password: string } =>
  installation.ready().accounts[0] ?? { address: "", password: "" };

/** Sends one message and says under which id it was kept. */
async function send(marker: string): Promise<string> {
  const to = owner().address;
  const octets = plainMessage({ from: "a@localhost", to, marker, subject: marker });
  const mail = { from: "a@localhost", to: [to], octets };
  const reply = await sendMail(installation.ready().smtp, mail);
  return /kept as ([0-9a-f]{32})/.exec(reply ?? "")?.[1] ?? assert.fail(reply ?? "broken");
}

async function asOwner(work: (imap: ImapFlow) => Promise<void>): Promise<void> {
  const { imap, ca } = installation.ready();
  const { address: user, password: pass } = owner();
  const tls = { ca: readFileSync(ca), servername: "localhost" };
  const client = new ImapFlow({
    ...{ host: imap.host, port: imap.port, secure: true, tls, auth: { user, pass }, logger: false },
  });
  await client.connect();
  try {
    await using lock = await locked(client);
    await work(lock.client);
  } finally {
    await client.logout();
  }
}

async function locked(client: ImapFlow): Promise<{ client: ImapFlow } & AsyncDisposable> {
  const lock = await client.getMailboxLock("INBOX");
  return { client, [Symbol.asyncDispose]: async () => lock.release() };
}

async function deleteEverything(): Promise<void> {
  await asOwner(async (imap) => void (await imap.messageDelete("1:*")));
}

async function ok(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await installation.cli(...args);
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return stdout;
}

async function json<Value>(...args: string[]): Promise<Value> {
  return JSON.parse(await ok(...args, "--json")) as Value;
}

const reason = ["--reason", "case 2026-17"];

describe("mail that is not one's own", () => {
  test("CAP-93 is read only on the record, which its owner sees in the webmail", async () => {
    const { address } = owner();
    const id = await send("read-me@x");
    const read = ["message", "read", id, "--account", address];
    assert.equal((await installation.cli(...read)).code, 64, "not without a reason");
    assert.equal(await ok("account", "reads", address), "nobody\n");
    const octets = await ok(...read, ...reason);
    assert.match(octets, /^Return-Path: <a@localhost>\r\n[^]*\r\nMessage-ID: <read-me@x>\r\n/i);
    const answer = await json<{ octets: string }>(...read, ...reason);
    assert.equal(Buffer.from(answer.octets, "base64").toString("latin1"), octets);

    const reads = await json<ReadByOther[]>("account", "reads", address);
    assert.deepEqual(
      reads.map(({ message, reason: why }) => [message, why]),
      [
        [id, "case 2026-17"],
        [id, "case 2026-17"],
      ],
    );
    assert.match(reads[0]?.by ?? "", /^command line \(\S+\)$/);
    const other = installation.ready().accounts[1]?.address ?? "";
    assert.equal(
      (await installation.cli("message", "read", id, "--account", other, ...reason)).code,
      66,
    );
    assert.equal(await ok("account", "reads", other), "nobody\n");
    if (hasBrowser) await seeInWebmail("read-me@x", reads[0]?.by ?? "");
  });

  async function seeInWebmail(subject: string, by: string): Promise<void> {
    const browser = await launchBrowser();
    try {
      const context = await browser.newContext({ ignoreHTTPSErrors: true });
      const page = await context.newPage();
      await page.goto(installation.ready().https.url);
      await page.getByLabel("E-mail address").fill(owner().address);
      await page.getByLabel("Password").fill(owner().password);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByText("Somebody else has read mail of yours").waitFor();
      await page.getByRole("button", { name: "Read by others" }).click();
      const list = page.getByRole("dialog", { name: "Read by others" });
      await list.getByText(subject).first().waitFor();
      await list.getByText(by).first().waitFor();
      await list.getByText("case 2026-17").first().waitFor();
    } finally {
      await browser.close();
    }
  }
});

describe("a hold", () => {
  test("CAP-93 keeps deleted mail through erasure and a restart; its end lets it be destroyed", async () => {
    const { address } = owner();
    const id = await send("held@x");
    await ok("hold", "put", address, ...reason);
    await deleteEverything();
    assert.equal((await json<{ contents: number }>("store", "erase")).contents, 0);
    await installation.stop();
    installation = await startInstallation({ data });

    const withheld = await json<Withheld[]>("hold", "show", address);
    assert.ok(withheld.some(({ message }) => message === id));
    assert.match(await ok("hold", "list"), /case 2026-17/);
    assert.match(await ok("message", "read", id, "--account", address, ...reason), /held@x/);
    const folder = join(data, "evidence");
    const exporting = ["hold", "export", address, ...reason, "--to", folder];
    await ok(...exporting);
    assert.equal(readdirSync(folder).length, withheld.length);
    assert.match(readFileSync(join(folder, `${id}.eml`), "latin1"), /held@x/);
    assert.equal((await installation.cli(...exporting)).code, 66, "evidence is not written over");
    const removal = await installation.cli("account", "remove", address);
    assert.equal(removal.code, 77, removal.stderr);
    assert.match(removal.stderr, /on hold/);

    await ok("hold", "remove", address);
    assert.equal(await ok("hold", "list"), "no holds\n");
    assert.equal((await installation.cli("hold", "remove", address)).code, 66);
    const { contents } = await json<{ contents: number }>("store", "erase");
    assert.ok(contents >= withheld.length, `${contents} destroyed`);
    const gone = await installation.cli("message", "read", id, "--account", address, ...reason);
    assert.equal(gone.code, 66, gone.stderr);
    assert.ok(existsSync(join(folder, `${id}.eml`)));
    await asOwner(async (imap) => {
      const status = await imap.status("INBOX", { messages: true });
      assert.ok(status !== false && status.messages === 0, "the owner sees none of it");
    });
  });
});

describe("retention rules", () => {
  test("are set, listed, replaced and removed, and wrong ones are refused", async () => {
    const { address } = owner();
    assert.equal(await ok("retention", "list"), "no rules\n");
    await ok("retention", "set", "trash", "--days", "30");
    await ok("retention", "set", "trash", "--days", "60");
    await ok("retention", "set", "Lists/Größe", "--days", "7", "--account", address);
    const rules = await json<RetentionRule[]>("retention", "list");
    assert.deepEqual(
      rules.toSorted((one, two) => one.days - two.days),
      [
        { account: address, mailbox: "Lists/Größe", days: 7 },
        { account: "*", mailbox: "trash", days: 60 },
      ],
    );
    await ok("retention", "remove", "Lists/Größe", "--account", address);
    assert.match(await ok("retention", "list"), /^all accounts +trash +60 days\n$/);
    const wrong = [
      [["retention", "set", "trash"], 64],
      [["retention", "set", "trash", "--days", "0"], 64],
      [["retention", "set", "trash", "--days", "soon"], 64],
      [["retention", "set", "trash", "--days", "9", "--account", "nobody@x.example"], 66],
      [["retention", "remove", "junk"], 66],
      [["hold", "put", "nobody@x.example", ...reason], 66],
      [["hold", "put", address], 64],
    ] as const;
    for (const [args, code] of wrong) {
      assert.equal((await installation.cli(...args)).code, code, args.join(" "));
    }
  });
});
