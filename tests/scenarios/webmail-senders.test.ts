import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { hasBrowser } from "../kit/browser.ts";
import { enter, openStage, type Stage, shot } from "./webmail-stage.ts";
import type { StubMessage } from "./webmail-stub.ts";

let stage: Stage;

before(async () => {
  if (!hasBrowser) return;
  stage = await openStage();
  for (const message of messages) stage.jmap.deliver(message);
});

after(async () => {
  if (hasBrowser) await stage[Symbol.asyncDispose]();
});

const check = (method: string, result: string, judged: string, why = "") => ({
  ...{ method, result, judged, why },
  text: `${method}=${result} header.d=${judged}`,
});

const looksLike = "bank-example.test looks like bank.example, but is another domain.";
const noSuchMail = "No mail from service@bank-example.test has come here before.";
const byPartner = "Sent by acme.example. Handed in by the partner acme, with the login acme-mail.";
const payment = "It speaks of a changed account or an urgent payment: ask the sender another way.";

const messages: readonly StubMessage[] = [
  {
    ...{ id: "like", from: "service@bank-example.test", name: "Your bank" },
    ...{ subject: "New account number", senderState: "verified" },
    html: '<p>Please confirm: <a href="https://bank-example.test/" target="_blank">open</a></p>',
    sender: {
      senderOrigin: "outside",
      senderEvidence: [
        { type: "first-contact", claimed: "service@bank-example.test", text: noSuchMail },
        { type: "payment-change", claimed: "new account", text: payment },
        { type: "look-alike-domain", claimed: "bank.example", text: looksLike },
      ],
      senderChecks: [
        check("spf", "pass", "mailer.test", "192.0.2.7 is listed"),
        check("dkim", "pass", "bank-example.test"),
        check("dkim", "fail", "list.test", "the body was changed"),
        check("dmarc", "pass", "bank-example.test"),
        check("arc", "none", ""),
        check("sender-id", "none", "service@bank-example.test", "no list is published"),
      ],
      spamLevel: 7,
      spamReasons: [
        { points: 3, name: "look-alike", text: "The domain looks like another." },
        { points: -2, name: "correspondent", text: "Somebody here wrote to the sender before." },
      ],
      "header:Return-Path:asText:all": ["<bounce@mailer.test>", "<claimed@bank.example>"],
    },
  },
  {
    ...{ id: "forged", from: "service@bank.example", name: "Your bank", senderState: "forged" },
    subject: "Your account is closed",
    text: "Please log in at once: https://bank.example.evil.example/login",
    sender: {
      senderEvidence: [
        {
          ...{ type: "dmarc-fail", claimed: "bank.example" },
          text: "bank.example says this is not from them.",
        },
      ],
      ...{ senderOrigin: "outside", spamLevel: 9 },
    },
  },
  {
    ...{ id: "two", from: "ceo@example.org", name: "CEO", senderState: "not-verified" },
    ...{ subject: "From whom is this?", text: "Hello" },
    sender: {
      senderShown: "ceo@example.org, eve@evil.example",
      senderText: "The sender could not be checked. There are 2 From fields.",
      senderEvidence: [
        {
          ...{ type: "ambiguous-author", claimed: "ceo@example.org, eve@evil.example" },
          text: "There are 2 From fields.",
        },
      ],
      spamLevel: 5,
    },
  },
  {
    ...{ id: "letters", from: "ana@аррӏе.example", name: "Ana\u202e", senderState: "verified" },
    ...{ subject: "Letters of another script", text: "Hello" },
    sender: { senderShown: "ana@xn--80ak6aa92e.example", spamLevel: 4 },
  },
  {
    ...{ id: "partner", from: "a@acme.example", name: "Acme", senderState: "verified" },
    ...{ subject: "By a partner", text: "Hello" },
    sender: {
      senderText: byPartner,
      ...{ senderOrigin: "partner", spamLevel: 4 },
      senderPartner: { connector: "acme", identity: "acme-mail", by: "login" },
      senderChecks: [check("auth", "pass", "acme-mail")],
    },
  },
  {
    ...{ id: "junk", from: "x@shop.example", name: "Shop", senderState: "verified", box: "junk" },
    ...{ subject: "Sorted by hand", text: "Hello", sender: { spamLevel: 2 } },
  },
];

const open = async (page: Page, subject: string): Promise<void> => {
  await page.locator(".row-open", { hasText: subject }).click();
  await page.getByRole("heading", { name: subject }).waitFor();
};
const panelOf = (page: Page) => page.getByRole("region", { name: "About the sender" });

describe("what the webmail says of senders", { skip: !hasBrowser }, () => {
  test("the list tells state and spam level in words, the level only where it matters", async () => {
    const { context, page, complaints } = await stage.open();
    await stage.signIn(page);
    const row = (subject: string) => page.locator(".row-open", { hasText: subject });
    const named = (subject: string, name: RegExp) =>
      page.getByRole("button", { name }).filter({ hasText: subject }).waitFor();
    await named("New account number", /Looks like another sender\..*Spam level 7 of 9\./s);
    await named("Your account is closed", /Forged\..*Spam level 9 of 9\./s);
    await named("From whom is this?", /ceo@example\.org, eve@evil\.example.*Not confirmed\./s);
    assert.equal(await row("Letters of another script").getByText("Spam").count(), 0);
    await page.getByRole("navigation").getByRole("button", { name: /^Junk/ }).click();
    await named("Sorted by hand", /Verified domain\..*Spam level 2 of 9\./s);
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("the panel begins with the sentence, then evidence, facts, and what the header says", async () => {
    const { context, page, complaints } = await stage.open();
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await stage.signIn(page);
    await open(page, "New account number");
    await page.getByText("Sent by bank-example.test.").waitFor();
    await page.getByText("First contact").waitFor();
    await page.getByRole("listitem").filter({ hasText: payment }).waitFor();
    await page.getByRole("button", { name: /Why/ }).focus();
    await page.keyboard.press("Enter");
    const panel = panelOf(page);
    const text = await panel.innerText();
    const wanted = [
      ...["Sent by bank-example.test.", "Look-alike domain", looksLike, "First contact"],
      ...["From", "Your bank <service@bank-example.test>", "Responsible (PRA)"],
      ...["Return path", "bounce@mailer.test", "Signed by", "bank-example.test"],
      ...["SPF", "pass · mailer.test", "192.0.2.7 is listed", "DKIM", "fail · list.test"],
      ...["the body was changed", "DMARC", "ARC", "Sender ID (legacy)", "no list is published"],
      ...[
        "Came from",
        "outside",
        "Spam level",
        "7 of 9",
        "+3 The domain looks like another.",
        "−2",
      ],
      ...["As recorded in the header", "spf=pass header.d=mailer.test"],
    ];
    let at = 0;
    for (const words of wanted) {
      const found = text.indexOf(words, at);
      assert.ok(found >= 0, `${words} after ${text.slice(Math.max(0, at - 40), at)}`);
      at = found + words.length;
    }
    assert.ok(!text.includes("claimed@bank.example"), "the sender's own Return-Path is not ours");
    assert.doesNotMatch(await page.locator("body").innerText(), /\b(?:safe|secure|trusted)\b/i);
    await panel.getByRole("button", { name: "Copy" }).click();
    await panel.getByText("Copied.").waitFor();
    const copied = String(await page.evaluate("navigator.clipboard.readText()"));
    assert.match(copied, /^Sent by bank-example\.test\.\n- .*SPF: pass · mailer\.test/s);
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("links of a look-alike wait for a word, those of a forgery lead nowhere", async () => {
    const { context, page } = await stage.open();
    await context.route("https://bank-example.test/**", (route) =>
      route.fulfill({ body: "there" }),
    );
    await stage.signIn(page);
    await open(page, "New account number");
    const frame = page.frameLocator("iframe.body");
    const link = frame.getByText("open", { exact: true });
    await page.getByText("Links are off: the sender").waitFor();
    await link.click();
    await link.click({ modifiers: ["ControlOrMeta"] });
    assert.equal(await frame.getByRole("link").count(), 0);
    await page.waitForTimeout(300);
    assert.equal(context.pages().length, 1, "a link opened although links are off");
    await page.getByRole("button", { name: "Switch links on" }).click();
    const opened = context.waitForEvent("page");
    await link.click();
    await (await opened).close();
    await open(page, "Your account is closed");
    await page.getByText("Links are off: the sender").waitFor();
    assert.equal(await page.getByRole("button", { name: "Switch links on" }).count(), 0);
    await frame.getByText("evil.example/login").click({ modifiers: ["ControlOrMeta"] });
    assert.equal(await frame.getByRole("link").count(), 0);
    await page.waitForTimeout(300);
    assert.equal(context.pages().length, 1, "a link of a forgery opened");
    assert.match(page.url(), /\/mail\/$/);
    await context.close();
  });

  test("From shows every address it names, and A-labels for letters that pose as others", async () => {
    const { context, page } = await stage.open();
    await stage.signIn(page);
    await open(page, "From whom is this?");
    const from = page.locator(".sender");
    assert.equal(await from.innerText(), "ceo@example.org, eve@evil.example");
    await open(page, "Letters of another script");
    assert.equal(await from.innerText(), "Ana <ana@xn--80ak6aa92e.example>");
    await context.close();
  });

  test("CAP-46 a partner is named with its connector and its login", async () => {
    const { context, page, complaints } = await stage.open();
    await stage.signIn(page);
    await open(page, "By a partner");
    await page.getByText(byPartner).first().waitFor();
    await page.getByRole("button", { name: /Why/ }).click();
    const text = await panelOf(page).innerText();
    assert.match(text, /Login\s+pass · acme-mail/);
    assert.match(text, /Came from\s+a partner, over a connection of its own/);
    assert.match(text, /Partner\s+acme login acme-mail/);
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("nothing of it runs off a narrow screen; pictures for people to look at", async () => {
    for (const scheme of ["light", "dark"] as const) {
      for (const width of [1280, 360]) {
        const { context, page } = await stage.open(scheme, { width, height: 800 });
        await page.goto(`${stage.base}/login`);
        await enter(page);
        await page.locator(".row").first().waitFor();
        await shot(page, `senders-list-${scheme}-${width}`);
        for (const subject of ["New account number", "Your account is closed", "From whom"]) {
          await page.locator(".row-open", { hasText: subject }).click();
          await page.frameLocator("iframe.body").locator("body").waitFor();
          await shot(page, `senders-${subject.replace(/\W/g, "-")}-${scheme}-${width}`);
          await page.getByRole("button", { name: /Why/ }).click();
          await panelOf(page).waitFor();
          await shot(page, `senders-${subject.replace(/\W/g, "-")}-panel-${scheme}-${width}`);
          await page.getByRole("button", { name: "Copy" }).scrollIntoViewIfNeeded();
          await shot(page, `senders-${subject.replace(/\W/g, "-")}-end-${scheme}-${width}`);
          const beyond = await page.evaluate(
            "[...document.querySelectorAll('.message *')].filter((one) => one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.className || one.tagName)",
          );
          assert.deepEqual(beyond, [], `${subject} at ${width}`);
          await page.getByRole("button", { name: /Less/ }).click();
          if (width < 1000) await page.keyboard.press("u");
        }
        await context.close();
      }
    }
  });
});
