import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { hasBrowser } from "../kit/browser.ts";
import { startInstallation } from "../kit/installation.ts";
import { enter, openStage, person, type Stage, shot } from "./webmail-stage.ts";
import type { StubJmap } from "./webmail-stub.ts";

let stage: Stage;
let jmap: StubJmap;
let base = "";
let open: Stage["open"];
let signIn: Stage["signIn"];
/** Requests that reached a server no message may reach. */
const leaked: string[] = [];
const trap = createServer((request, response) => {
  leaked.push(request.url ?? "");
  response.end();
});

before(async () => {
  if (!hasBrowser) return;
  await new Promise<void>((resolve) => void trap.listen(0, "127.0.0.1", resolve));
  stage = await openStage();
  ({ jmap, base, open, signIn } = stage);
});

after(async () => {
  if (!hasBrowser) return;
  await stage[Symbol.asyncDispose]();
  trap.close();
});

function fill(): void {
  const port = (trap.address() as AddressInfo).port;
  const evil = `http://127.0.0.1:${port}`;
  jmap.deliver({
    ...{ id: "hostile", from: "news@shop.example", name: "Shop", senderState: "not-verified" },
    subject: "Win <img src=x onerror=alert(1)>",
    html: `<style>@import url(${evil}/import)</style><body background="${evil}/body" onload="top.hacked=1">
<h2 style="color:#c00">A large sale</h2><p>Everything must go. <a href="javascript:top.hacked=2">Click</a></p>
<img src="${evil}/pixel" alt="Our shop"><img src=x onerror="top.hacked=3"><svg onload="top.hacked=4">
<image href="${evil}/svg"/></svg><script>top.hacked=5</script><iframe src="${evil}/frame"></iframe>
<div style="background:url(${evil}/css);position:fixed;top:0">Text</div><link rel=stylesheet href="${evil}/link">
<video poster="${evil}/poster" src="${evil}/video"></video><table><tr><td bgcolor="#eeeeee">Cell</td></tr></table></body>`,
  });
  jmap.deliver({
    ...{ id: "bank", from: "service@bank.example", name: "Your bank", senderState: "forged" },
    subject: "Your account is closed",
    text: "Please log in at once: https://bank.example.evil.example/login",
  });
  jmap.deliver({
    ...{ id: "plan", from: "ben@example.org", name: "Ben Muster", senderState: "internal" },
    subject: "Plan for the spring",
    text: "Hello Ana,\n\nthe plan is attached. See https://example.org/plan for the rest.\n\n> Could you send it?\n> Thanks\n\nBen",
    attachment: "plan 2027.pdf",
  });
  const states = ["verified", "verified-other", "not-verifiable", "not-checked"];
  for (let index = 0; index < 70; index += 1) {
    jmap.deliver({
      id: `m${index}`,
      from: `person${index}@partner.example`,
      name: `Partner ${index}`,
      subject: `Minutes of meeting ${70 - index}, and what we agreed on for the next quarter`,
      text: `Dear all,\n\nhere is what was said in meeting ${70 - index}.\n\nRegards`,
      senderState: states[index % states.length] ?? "verified",
      seen: index > 4,
    });
  }
}

describe("webmail in a browser", { skip: !hasBrowser }, () => {
  test("an empty mailbox says so, in light and dark, wide and narrow", async () => {
    for (const scheme of ["light", "dark"] as const) {
      for (const [size, width] of [
        ["wide", 1280],
        ["narrow", 390],
      ] as const) {
        const { context, page } = await open(scheme, { width, height: 800 });
        await page.goto(`${base}/login`);
        await shot(page, `login-${scheme}-${size}`);
        await enter(page);
        await page.getByText("No messages here.").waitFor();
        await shot(page, `empty-${scheme}-${size}`);
        await context.close();
      }
    }
  });

  test("a wrong password is told, and the name is kept", async () => {
    const { context, page } = await open();
    await page.goto(`${base}/mail/`);
    assert.match(page.url(), /\/login\?return=%2Fmail%2F/);
    await enter(page, "wrong");
    await page.getByRole("alert").waitFor();
    assert.equal(await page.getByLabel("E-mail address").inputValue(), person.address);
    await shot(page, "login-refused");
    await context.close();
  });

  test("lists, opens and reads; new mail arrives by itself", async () => {
    fill();
    const { context, page, complaints } = await open();
    await signIn(page);
    await page.locator(".row-open", { hasText: "Plan for the spring" }).click();
    const heading = page.getByRole("heading", { name: "Plan for the spring" });
    await heading.waitFor();
    assert.ok(await heading.evaluate((one) => one === one.ownerDocument.activeElement));
    const frame = page.frameLocator("iframe.body");
    await frame.getByText("the plan is attached").waitFor();
    await shot(page, "message-light-wide");
    jmap.deliver({
      ...{ id: "late", from: "eve@partner.example", name: "Eve", subject: "Just in" },
      ...{ text: "Hi", senderState: "verified", ageMs: 0 },
    });
    await page.getByText("Just in").first().waitFor({ timeout: 5000 });
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("nothing runs off a screen of 320 pixels: list, selection, message, writing", async () => {
    const { context, page } = await open();
    await signIn(page);
    await page.setViewportSize({ width: 320, height: 640 });
    await page.locator(".row-open").first().waitFor();
    const fits = async (what: string): Promise<void> => {
      const beyond = await page.evaluate(
        "[...document.querySelectorAll('button, h1, h2, input')].filter((one) => one.getBoundingClientRect().right > innerWidth + 1).length",
      );
      assert.equal(beyond, 0, what);
      await shot(page, `tiny-${what}`);
    };
    await fits("list");
    await page.keyboard.press("j");
    await page.keyboard.press("x");
    await page.getByRole("toolbar", { name: "Selected messages" }).waitFor();
    await fits("selection");
    await page.keyboard.press("x");
    await page.keyboard.press("Enter");
    await page.getByRole("toolbar", { name: "Message", exact: true }).waitFor();
    await fits("message");
    await page.keyboard.press("r");
    await page.getByRole("button", { name: "Send" }).waitFor();
    await fits("writing");
    await context.close();
  });

  test("a hostile message runs nothing and fetches nothing (W15, W17)", async () => {
    const { context, page } = await open();
    const foreign: string[] = [];
    page.on("request", (request) => {
      if (!request.url().startsWith(base) && !request.url().startsWith("data:")) {
        foreign.push(request.url());
      }
    });
    await signIn(page);
    await page.locator(".row-open", { hasText: "Win <img" }).click();
    await page.frameLocator("iframe.body").getByText("A large sale").waitFor();
    await page.getByText("remote items were not loaded").waitFor();
    await page.waitForTimeout(300);
    assert.deepEqual(foreign, []);
    assert.deepEqual(leaked, []);
    assert.equal(await page.evaluate("typeof window.hacked"), "undefined");
    await shot(page, "hostile-light-wide");
    await page.getByRole("button", { name: "Show once" }).click();
    await page.frameLocator("iframe.body").getByText("A large sale").waitFor();
    await page.waitForTimeout(300);
    assert.deepEqual(leaked, ["/pixel"], "the picture and nothing else");
    assert.equal(await page.evaluate("typeof window.hacked"), "undefined");
    await context.close();
  });

  test("pictures for people to look at", async () => {
    for (const scheme of ["light", "dark"] as const) {
      const wide = await open(scheme);
      await signIn(wide.page);
      await shot(wide.page, `list-${scheme}-wide`);
      await wide.page.locator(".row-open", { hasText: "Your account is closed" }).click();
      await wide.page.frameLocator("iframe.body").getByText("Please log in").waitFor();
      await wide.page.getByRole("button", { name: /Why/ }).click();
      await shot(wide.page, `forged-${scheme}-wide`);
      await wide.page.keyboard.press("?");
      await shot(wide.page, `keys-${scheme}-wide`);
      await wide.context.close();
      const narrow = await open(scheme, { width: 390, height: 800 });
      await signIn2(narrow.page);
      await shot(narrow.page, `list-${scheme}-narrow`);
      await narrow.page.locator(".row-open", { hasText: "Plan for the spring" }).click();
      await narrow.page.frameLocator("iframe.body").getByText("the plan is attached").waitFor();
      await shot(narrow.page, `message-${scheme}-narrow`);
      await narrow.page.getByRole("button", { name: "Reply", exact: true }).click();
      await shot(narrow.page, `reply-${scheme}-narrow`);
      await narrow.context.close();
    }
  });

  test("keys move, select, archive and undo", async () => {
    const { context, page } = await open();
    await signIn(page);
    await page.locator(".row").first().waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("x");
    await page.getByText("1 selected").waitFor();
    await shot(page, "selected-light-wide");
    await page.keyboard.press("e");
    await page.getByText("1 message archived").waitFor();
    await page.waitForTimeout(200);
    assert.equal(
      jmap.emails
        .values()
        .filter((one) => inBox(one, "archive"))
        .toArray().length,
      1,
    );
    await page.getByRole("button", { name: "Undo" }).click();
    await page.waitForTimeout(300);
    assert.equal(
      jmap.emails
        .values()
        .filter((one) => inBox(one, "archive"))
        .toArray().length,
      0,
    );
    await context.close();
  });

  test("writes with an attachment, holds for ten seconds, sends, and signs out", async () => {
    const { context, page, complaints } = await open("dark");
    await signIn(page);
    await page.keyboard.press("c");
    await page.getByLabel("To", { exact: true }).fill("Ben <ben@example.org>, eve");
    await page.getByLabel("Subject").fill("About the plan");
    await page.getByLabel("Text", { exact: true }).fill("Hello Ben\n\nlooks good.");
    await page.locator("input[type=file]").setInputFiles({
      name: "note.txt",
      mimeType: "text/plain",
      buffer: Buffer.from("a note"),
    });
    await page.getByText("note.txt").waitFor();
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByText("is not an e-mail address").waitFor();
    await shot(page, "compose-dark-wide");
    await page.getByLabel("To", { exact: true }).fill("Ben <ben@example.org>");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByText("Sending").waitFor();
    await shot(page, "sending-dark-wide");
    assert.equal(jmap.submitted.length, 0);
    await page.getByText("Message sent").waitFor({ timeout: 15_000 });
    const sent = jmap.emails.get(jmap.submitted[0] ?? "");
    assert.ok(sent && inBox(sent, "sent") && !inBox(sent, "drafts"));
    assert.deepEqual(sent["to"], [{ name: "Ben", email: "ben@example.org" }]);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();
    await page.goto(`${base}/mail/`);
    assert.match(page.url(), /\/login/);
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("signing out ends what is under way, so that nothing comes back refused", async () => {
    const { context, page, complaints } = await open();
    await signIn(page);
    const session = Promise.withResolvers<void>();
    const heldUp = Promise.withResolvers<void>();
    await page.route("**/jmap/api*", async (route) => {
      heldUp.resolve();
      await session.promise;
      await route.continue().catch(() => undefined);
    });
    await page.route("**/logout", async (route) => {
      await stage.endSession(context);
      session.resolve();
      await page.waitForTimeout(500);
      await route.continue();
    });
    jmap.deliver({
      ...{ id: "at-the-end", from: "eve@partner.example", name: "Eve", subject: "Too late" },
      ...{ text: "Hi", senderState: "verified", ageMs: 0 },
    });
    await heldUp.promise;
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("who else has read one's mail is told once and listed (CAP-93)", async () => {
    const atMs = Date.UTC(2026, 10, 20, 9, 30);
    const read = { atMs, by: "command line (carla)", reason: "<b>case 7</b>", message: "plan" };
    stage.reads = [{ ...read, subject: "Plan for the spring" }];
    const { context, page, complaints } = await open();
    await signIn(page);
    await page.getByText("Somebody else has read mail of yours").waitFor();
    await page.getByRole("button", { name: "Read by others" }).click();
    const list = page.getByRole("dialog", { name: "Read by others" });
    await list.getByText("Plan for the spring").waitFor();
    await list.getByText("by command line (carla)").waitFor();
    await list.getByText("<b>case 7</b>").waitFor();
    await shot(page, "read-by-others");
    await page.keyboard.press("Escape");
    stage.reads = [];
    await page.reload();
    await page.locator(".mailbox").first().waitFor();
    await page.getByRole("button", { name: "Read by others" }).click();
    await list.getByText("Nobody but you").waitFor();
    assert.equal(await page.getByText("Somebody else has read").count(), 0);
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("an ended session is told, and what was written is there again", async () => {
    const { context, page } = await open();
    await signIn(page);
    await page.keyboard.press("c");
    await page.getByLabel("Subject").fill("Half a thought");
    await stage.endSession(context);
    // A question of the page itself may have told already.
    const save = page.getByRole("button", { name: "Save draft" });
    await save.click({ timeout: 2000 }).catch(() => undefined);
    await page.getByText("Your session has ended").waitFor();
    await shot(page, "ended-light-wide");
    await enter(page);
    await page.getByLabel("Subject").waitFor();
    assert.equal(await page.getByLabel("Subject").inputValue(), "Half a thought");
    await context.close();
  });
});

function inBox(email: Record<string, unknown>, box: string): boolean {
  return (email["mailboxIds"] as Record<string, boolean>)[box] === true;
}

/** On a narrow screen the mailboxes are behind their button. */
async function signIn2(page: Page): Promise<void> {
  await page.goto(`${base}/login`);
  await enter(page);
  await page.locator(".row").first().waitFor();
}

describe("webmail of a whole installation", { skip: !hasBrowser }, () => {
  test("one person writes, the other reads, over the real edge, link and store", async () => {
    await using installation = await startInstallation();
    const { https, accounts } = installation.ready();
    const [writer, reader = writer] = accounts;
    assert.ok(writer && reader);
    const enterAs = async (
      page: Page,
      who: { address: string; password: string },
    ): Promise<void> => {
      await page.goto(https.url);
      await page.getByLabel("E-mail address").fill(who.address);
      await page.getByLabel("Password").fill(who.password);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.locator(".mailbox").first().waitFor();
    };
    const one = await open();
    await enterAs(one.page, writer);
    const other = await open("dark");
    await enterAs(other.page, reader);
    await one.page.keyboard.press("c");
    await one.page.getByLabel("To", { exact: true }).fill(reader.address);
    await one.page.getByLabel("Subject").fill("From end to end");
    await one.page.getByLabel("Text", { exact: true }).fill("Hello,\n\nthis went all the way.");
    await one.page.locator("input[type=file]").setInputFiles({
      name: "note.txt",
      mimeType: "text/plain",
      buffer: Buffer.from("a note"),
    });
    await one.page.getByText("note.txt").waitFor();
    await one.page.getByRole("button", { name: "Send", exact: true }).click();
    await one.page.getByText("Message sent").waitFor({ timeout: 15_000 });
    const row = other.page.locator(".row-open", { hasText: "From end to end" });
    await row.waitFor({ timeout: 10_000 });
    await row.click();
    await other.page.frameLocator("iframe.body").getByText("this went all the way").waitFor();
    await other.page
      .getByText(/inside your organisation/i)
      .first()
      .waitFor();
    await shot(other.page, "real-dark-wide");
    const download = other.page.waitForEvent("download");
    await other.page.getByRole("link", { name: /note\.txt/ }).click();
    const saved = await download;
    assert.equal(saved.suggestedFilename(), "note.txt");
    await one.page.getByRole("button", { name: "Sent", exact: true }).click();
    await one.page.locator(".row-open", { hasText: "From end to end" }).waitFor();
    assert.deepEqual([...one.complaints, ...other.complaints], []);
    await one.context.close();
    await other.context.close();
  });
});
