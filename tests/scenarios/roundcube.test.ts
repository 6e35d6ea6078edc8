/** Debian's Roundcube, published by a table of the configuration alone, and used in a browser. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { hasBrowser, launchBrowser } from "../kit/browser.ts";
import { roundcubeIsMissing } from "../kit/roundcube.ts";
import { Talk } from "../kit/talk.ts";
import { shot } from "./login-webmail-stub.ts";
import { openRoundcube, type RoundcubeStage } from "./roundcube-stage.ts";

interface Somebody {
  readonly address: string;
  readonly password: string;
}

const missing = hasBrowser ? roundcubeIsMissing() : "there is no Chromium";
const subject = "100% sure & ready .. 🎉 50%2foff";

let stage: RoundcubeStage;
let browser: Browser;
let base = "";
let ana: Somebody;
let ben: Somebody;

before(async () => {
  if (missing !== undefined) return;
  [stage, browser] = await Promise.all([openRoundcube(), launchBrowser()]);
  const { https, accounts } = stage.system.ready();
  base = new URL(https.url).origin;
  const [one, other] = accounts;
  assert.ok(one && other);
  [ana, ben] = [one, other];
  stage.dovecot.deliver(ana.address, message(subject, "The whole sentence is here.", true));
  stage.dovecot.deliver(ana.address, message("Lunch on Friday", "Soup, I think."));
  stage.dovecot.deliver(ben.address, message("For Ben alone", "Nobody else reads this."));
  // Roundcube asks twice at once, and Dovecot's first look at a mailbox may show one of them nothing.
  for (const who of [ana, ben]) {
    const inbox = `imap://127.0.0.1:${stage.dovecot.imapPort}/INBOX?ALL`;
    const looked = spawnSync("curl", ["-sS", "-u", `${who.address}:${who.password}`, inbox]);
    assert.match(looked.stdout.toString(), /^\* SEARCH 1/);
  }
});

after(async () => {
  await browser?.close();
  await stage?.[Symbol.asyncDispose]();
});

function message(title: string, text: string, withFile = false): string {
  const encoded = `=?UTF-8?B?${Buffer.from(title).toString("base64")}?=`;
  const head = `From: Carl <carl@elsewhere.example>
To: undisclosed-recipients:;
Subject: ${encoded}
Date: ${new Date().toUTCString()}
Message-ID: <${encodeURIComponent(title)}@elsewhere.example>
MIME-Version: 1.0
`;
  const body = `Content-Type: text/plain; charset=utf-8

${text}
`;
  const file = `--part
Content-Type: application/octet-stream
Content-Disposition: attachment; filename="100% & more.bin"

the octets of a file
--part--
`;
  const whole = withFile
    ? `${head}Content-Type: multipart/mixed; boundary=part\n\n--part\n${body}${file}`
    : head + body;
  return whole.replaceAll("\n", "\r\n");
}

interface Opened extends AsyncDisposable {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Refused by a policy, broken in a script, or not to be had. */
  readonly complaints: string[];
}

async function open(): Promise<Opened> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (line) => {
    if (line.type() === "error" || line.type() === "warning") complaints.push(line.text());
  });
  page.on("response", (answer) => {
    if (answer.status() >= 400) complaints.push(`${answer.status()} ${answer.url()}`);
  });
  return { context, page, complaints, [Symbol.asyncDispose]: () => context.close() };
}

const inbox = "/roundcube/?_task=mail&_mbox=INBOX";
const row = (page: Page, text: string) => page.locator("#messagelist tr", { hasText: text });
const isForm = (page: Page): Promise<void> =>
  page.getByRole("heading", { name: "Sign in" }).waitFor();

/** From no session to a page of Roundcube: one form, and it is ours. */
async function enter(page: Page, who: Somebody, computer: string, to = inbox): Promise<void> {
  await page.goto(base + to);
  await isForm(page);
  await page.getByLabel("E-mail address").fill(who.address);
  await page.getByLabel("Password").fill(who.password);
  await page.getByLabel(computer).check();
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.locator("#taskmenu").waitFor();
}

/** Roundcube's own button, and then the one that ours shows. */
async function leave(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Logout" }).click();
  await page.getByRole("heading", { name: "Sign out" }).waitFor();
  assert.equal(page.url(), `${base}/logout`);
  await shot(page, "roundcube-logout");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("You are signed out.").waitFor();
}

/** The newest message of Ben's mailbox in Postern, as IMAP gives it. */
async function newestOfBen(): Promise<string> {
  const { imap, ca } = stage.system.ready();
  const tls = { ca: readFileSync(ca, "utf8"), servername: "localhost" };
  const deadlineMs = Date.now() + 10_000;
  for (;;) {
    using talk = await Talk.open(imap, tls, 10_000);
    await talk.line();
    talk.send(`a LOGIN ${ben.address} "${ben.password}"\r\nb EXAMINE INBOX\r\n`);
    talk.send("c FETCH * BODY[]\r\n");
    const lines: string[] = [];
    for (let line = ""; !line.startsWith("c "); lines.push(line)) line = await talk.line();
    const text = lines.join("\n");
    if (text.includes("Sent through the edge")) return text;
    if (Date.now() > deadlineMs) throw new Error(`Ben did not get it: ${text}`);
    await pause(100);
  }
}

describe("CAP-21 CAP-23 Roundcube with mailboxes of Dovecot, behind our login form", {
  skip: missing ?? false,
}, () => {
  test("W8 nothing of it is reached without a session, and nothing beside its rules with one", async () => {
    await using one = await open();
    const { page, context } = one;
    const soFar = stage.roundcube.asked().length;
    await page.goto(base + inbox);
    await isForm(page);
    assert.equal(
      (await context.request.get(`${base}/roundcube/skins/elastic/ui.min.js`)).status(),
      401,
    );
    assert.equal((await context.request.get(`${base}/roundcube/index.php`)).status(), 401);
    assert.equal(stage.roundcube.asked().length, soFar, "PHP was not asked");

    await enter(page, ana, "My own");
    await row(page, "Lunch").waitFor();
    await page.waitForLoadState("networkidle");
    const entered = stage.roundcube.asked().length;
    const statusOf = async (path: string): Promise<number> =>
      (await context.request.get(base + path)).status();
    for (const path of [
      ...["config/config.inc.php", "config/", "installer/", "installer/index.php", "bin/gc.sh"],
      ...["SQL/sqlite.initial.sql", "logs/errors.log", "temp/", ".git/config", ".htaccess"],
      ...["program/lib/Roundcube/bootstrap.php", "program/include/iniset.php", "vendor/", "x"],
    ]) {
      assert.equal(await statusOf(`/roundcube/${path}`), 404, path);
    }
    const climbing = ["skins/..%2f..%2fconfig", "skins/..;/config", "skins/%2e%2e%2fconfig"];
    for (const path of climbing) assert.equal(await statusOf(`/roundcube/${path}`), 400, path);
    const posted = await context.request.post(`${base}/roundcube/skins/elastic/x`);
    assert.equal(posted.status(), 405);
    assert.equal(stage.roundcube.asked().length, entered, "none of it reached PHP");
  });

  test("one login; a message whose subject is full of signs opens; search finds it", async () => {
    await using one = await open();
    const { page, complaints } = one;
    await enter(page, ana, "My own");
    await row(page, subject).waitFor();
    assert.equal(new URL(page.url()).search, "?_task=mail&_mbox=INBOX", "where they wanted to go");
    await shot(page, "roundcube-inbox");

    await row(page, subject).click();
    const shown = page.frameLocator("#messagecontframe");
    await shown.getByText("The whole sentence is here.").waitFor();
    assert.ok(await shown.getByText(subject).first().isVisible());
    await shot(page, "roundcube-message");
    const file = shown.getByRole("link", { name: "100% & more.bin" });
    const link = (await file.getAttribute("href")) ?? "";
    const address = new URL(`${link}&_download=1`, `${base}/roundcube/`).href;
    const saved = await page.context().request.get(address);
    assert.equal((await saved.text()).trim(), "the octets of a file");

    const search = page.locator("#mailsearchform");
    await search.fill("100% sure & ready .. 🎉");
    await search.press("Enter");
    await row(page, "Lunch").waitFor({ state: "detached" });
    await row(page, subject).waitFor();
    await search.fill("nobody wrote this");
    await search.press("Enter");
    await row(page, subject).waitFor({ state: "detached" });
    assert.deepEqual(complaints, []);
    assert.equal(stage.roundcube.errors(), "");
  });

  test("writes a message with an attachment, which arrives by a real submission", async () => {
    await using one = await open();
    const { page, complaints } = one;
    await enter(page, ana, "My own", "/roundcube/?_task=mail&_action=compose");
    await page.locator("#compose_to input").fill(`${ben.address},`);
    await page.getByLabel("Subject").fill("Sent through the edge");
    await page.locator("#composebody").fill("Käse & Brot\n.. and a dot");
    const octets = Buffer.from(Uint8Array.from({ length: 300_000 }, (_none, at) => at % 251));
    await page
      .locator("#uploadformFrm input[type=file], input[name='_attachments[]']")
      .first()
      .setInputFiles({
        name: "50% off & more.bin",
        mimeType: "application/octet-stream",
        buffer: octets,
      });
    await page
      .locator("#attachment-list li:not(.uploading)", { hasText: "50% off & more.bin" })
      .waitFor();
    await shot(page, "roundcube-compose");
    await page.locator("button.send").click();
    await page.waitForURL(/_task=mail(?!.*_action=compose)/);
    const arrived = await newestOfBen();
    assert.match(arrived, /^From: .*ana@postern\.test/m);
    const [encoded = ""] = /(?:[A-Za-z0-9+/=]{76}\n)+[A-Za-z0-9+/=]*/.exec(arrived) ?? [];
    assert.ok(Buffer.from(encoded, "base64").equals(octets), "the file is whole");

    await page.goto(`${base}/roundcube/?_task=mail&_mbox=Sent`);
    await row(page, "Sent through the edge").waitFor();
    assert.deepEqual(complaints, []);
    await leave(page);
    for (let back = 0; back < 3; back += 1) {
      await page.goBack();
      await page.waitForLoadState();
      assert.equal(await page.getByText("Sent through the edge").count(), 0, page.url());
      assert.equal(await page.locator("#taskmenu").count(), 0, page.url());
    }
    await shot(page, "roundcube-back");
  });

  test("W8 a session that was ended is asked again, and the next person sees nothing of it", async () => {
    await using one = await open();
    const { page, context } = one;
    await enter(page, ana, "My own");
    await row(page, subject).waitFor();
    const kept = await context.cookies();
    const ended = await stage.system.cli("account", "sessions", ana.address, "--end-all");
    assert.equal(ended.code, 0, ended.stderr);
    const asked = stage.roundcube.asked().length;
    const refused = page.waitForResponse((answer) => answer.status() === 401);
    await page.getByRole("button", { name: "Refresh" }).click();
    await refused;
    await page.reload();
    await isForm(page);
    assert.equal(stage.roundcube.asked().length, asked, "none of it reached PHP");

    await enter(page, ben, "Shared or public");
    await row(page, "For Ben alone").waitFor();
    await shot(page, "roundcube-next-person");
    assert.equal(await page.getByText(ana.address).count(), 0);
    // Also not by putting back what Ana's browser held.
    const session = (await context.cookies()).find(({ name }) => name === "__Host-postern");
    assert.ok(session);
    await context.addCookies([...kept, session]);
    await page.goto(`${base}/roundcube/?_task=settings&_action=identities`);
    await page.getByText(ben.address).first().waitFor();
    assert.equal(await page.getByText(ana.address).count(), 0);
  });

  test("CAP-24 on a public computer messages are read, and nothing of them is kept", async () => {
    await using one = await open();
    const { page, context } = one;
    const stored: string[] = [];
    page.on("response", (answer) => {
      const caching = answer.headers()["cache-control"] ?? "";
      if (answer.url().includes("/roundcube/") && caching !== "no-store") stored.push(caching);
    });
    await enter(page, ana, "Shared or public");
    await row(page, subject).click();
    const shown = page.frameLocator("#messagecontframe");
    await shown.getByText("The whole sentence is here.").waitFor();
    const link = await shown.getByRole("link", { name: "100% & more.bin" }).getAttribute("href");
    const address = new URL(`${link}&_download=1`, `${base}/roundcube/`).href;
    assert.equal((await context.request.get(address)).status(), 403, "no attachment is saved");
    assert.deepEqual(stored, []);
    const expiring = (await context.cookies()).filter(({ expires }) => expires > 0);
    assert.deepEqual(expiring, [], "every cookie goes with the browser");
    await leave(page);
    await page.goBack();
    await page.waitForLoadState();
    assert.equal(await page.getByText(subject).count(), 0, page.url());
  });
});
