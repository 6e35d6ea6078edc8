import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { hasBrowser, launchBrowser } from "../kit/browser.ts";
import { openFront, type StubFront, shot } from "./login-webmail-stub.ts";

let browser: Browser;

before(async () => {
  if (hasBrowser) browser = await launchBrowser();
});

after(() => browser?.close());

const ready = (page: Page): Promise<void> =>
  page.locator(".mailbox").first().waitFor({ state: "attached" });
const warning = (page: Page) => page.getByRole("dialog", { name: "Signing out soon" });
const count = (front: StubFront, what: string): number =>
  front.asked.filter((one) => one === what).length;

async function openSecurity(page: Page): Promise<void> {
  await ready(page);
  await page.getByRole("button", { name: "Security" }).click();
  await page.getByRole("heading", { name: "Authenticator app" }).waitFor();
}

/** What a checker of accessibility looks at first: names, labels, ids, what sticks out. */
async function assertAccessible(page: Page): Promise<void> {
  const faults = await page.evaluate(`(() => {
    const faults = [];
    const named = (e) => (e.getAttribute("aria-label") ?? e.textContent ?? "").trim() !== "";
    const shown = (e) => e.getClientRects().length > 0;
    for (const e of document.querySelectorAll("button, a[href], summary")) {
      if (shown(e) && !named(e)) faults.push("no name: " + e.outerHTML.slice(0, 80));
      const box = e.getBoundingClientRect();
      if (shown(e) && e.tagName === "BUTTON" && Math.min(box.width, box.height) < 24) faults.push("small: " + e.outerHTML.slice(0, 80));
    }
    for (const e of document.querySelectorAll("input:not([type=hidden]), textarea, select")) {
      if (shown(e) && e.labels.length === 0 && !e.getAttribute("aria-label")) faults.push("no label: " + e.outerHTML.slice(0, 80));
    }
    for (const e of document.querySelectorAll("svg:not([aria-hidden=true]):not([aria-label])")) faults.push("svg: " + e.outerHTML.slice(0, 60));
    const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
    for (const id of ids) if (ids.filter((other) => other === id).length > 1) faults.push("id twice: " + id);
    for (const e of document.querySelectorAll("button, h1, h2, input, p, li")) {
      if (shown(e) && e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".spoken")) faults.push("beyond: " + e.outerHTML.slice(0, 80));
    }
    return faults;
  })()`);
  assert.deepEqual(faults, []);
}

describe("CAP-23 the warning before a session ends", { skip: !hasBrowser }, () => {
  test("comes in every tab, and one answer is enough for all", async () => {
    const front = await openFront(browser);
    const [one, other] = [await front.open(), await front.open()];
    await Promise.all([ready(one), ready(other)]);
    front.idleMs = 20_000; // warns after half of it
    front.restart();
    for (const page of [one, other]) await page.reload().then(() => ready(page));
    front.restart();
    await Promise.all([
      warning(one).waitFor({ timeout: 20_000 }),
      warning(other).waitFor({ timeout: 20_000 }),
    ]);
    await warning(one)
      .getByText(/You will be signed out in/)
      .first()
      .waitFor();
    await shot(one, "ending-light-wide");
    await assertAccessible(one);
    const stay = one.getByRole("button", { name: "Stay signed in" });
    assert.ok(await stay.evaluate((button) => button === button.ownerDocument.activeElement));
    front.idleMs = 600_000;
    await stay.click();
    await warning(one).waitFor({ state: "detached" });
    await warning(other).waitFor({ state: "detached" });
    assert.equal(count(front, "POST /session/extend"), 1);
    assert.deepEqual(front.complaints, []);
    await front.context.close();
  });

  test("Esc stays signed in, and the focus is back where it was", async () => {
    const front = await openFront(browser, { colorScheme: "dark", width: 390 });
    front.idleMs = 6000;
    const page = await front.open();
    await ready(page);
    await page.keyboard.press("c");
    await page.getByLabel("Subject").focus();
    await warning(page).waitFor({ timeout: 8000 });
    await shot(page, "ending-dark-narrow");
    front.idleMs = 600_000;
    await page.keyboard.press("Escape");
    await warning(page).waitFor({ state: "detached" });
    assert.equal(count(front, "POST /session/extend"), 1);
    const focused = await page.evaluate("document.activeElement.id");
    assert.equal(focused, "subject");
    await front.context.close();
  });

  test("says how long there is, for the eye and for the ear", async () => {
    const front = await openFront(browser);
    front.idleMs = 9000;
    const page = await front.open();
    await warning(page).waitFor({ timeout: 8000 });
    const heading = await warning(page).locator(".countdown").textContent();
    assert.match(heading ?? "", /^0:0[1-4]$/);
    assert.match(
      (await page.getByRole("timer").textContent()) ?? "",
      /signed out in \d seconds?\./,
    );
    await front.context.close();
  });

  test("nobody there: the draft is saved without counting as use, and the form says why", async () => {
    const front = await openFront(browser);
    front.idleMs = 7000;
    const page = await front.open();
    await ready(page);
    await page.keyboard.press("c");
    await page.getByLabel("Subject").fill("Half a thought");
    await warning(page).waitFor({ timeout: 9000 });
    await page.waitForURL("**/login?why=ended&return=%2Fmail%2F", { timeout: 9000 });
    const saved = [...front.jmap.emails.values()].map((one) => one["subject"]);
    assert.deepEqual(saved, ["Half a thought"]);
    assert.equal(await page.getByText("Half a thought").count(), 0);
    assert.ok(count(front, "POST /jmap/api?background=1") > 0);
    await front.context.close();
  });

  test("the absolute end is not prolonged: it says so and offers to save the draft", async () => {
    const front = await openFront(browser, { width: 390 });
    front.absoluteMs = 16_000;
    const page = await front.open();
    await ready(page);
    await page.keyboard.press("c");
    await page.getByLabel("Subject").fill("Last words");
    await warning(page).waitFor({ timeout: 12_000 });
    await warning(page).getByText("cannot be prolonged").waitFor();
    assert.equal(await page.getByRole("button", { name: "Stay signed in" }).count(), 0);
    await shot(page, "ending-for-good-light-narrow");
    await warning(page).getByRole("button", { name: "Save draft" }).click();
    await warning(page).getByRole("button", { name: "Draft saved" }).waitFor();
    await warning(page).getByRole("button", { name: "Go on until then" }).click();
    await warning(page).waitFor({ state: "detached" });
    await page.waitForURL("**/login?why=ended*", { timeout: 12_000 });
    assert.equal(front.jmap.emails.size, 1);
    await front.context.close();
  });

  test("CAP-24 what somebody else left in the tab is not shown to the next", async () => {
    const front = await openFront(browser);
    const page = await front.open();
    await ready(page);
    await page.keyboard.press("c");
    await page.getByLabel("Subject").fill("Not for you");
    front.account = "a2";
    await page.reload();
    await ready(page);
    assert.equal(await page.getByLabel("Subject").count(), 0);
    assert.equal(await page.evaluate("sessionStorage.getItem('postern-draft')"), null);
    await front.context.close();
  });
});

describe("the security view", { skip: !hasBrowser }, () => {
  test("fits light and dark, wide and narrow", async () => {
    for (const colorScheme of ["light", "dark"] as const) {
      for (const width of [1280, 320]) {
        const front = await openFront(browser, { colorScheme, width });
        const addedAtMs = Date.UTC(2026, 9, 1, 8);
        front.factors = [
          { id: "1", kind: "passkey", name: "Telephone", addedAtMs },
          { id: "2", kind: "totp", name: "Authenticator", addedAtMs },
          { id: "3", kind: "recovery-codes", name: "", addedAtMs, left: 7 },
          { id: "4", kind: "app-password", name: "Mail program at home", addedAtMs },
        ];
        const page = await front.open();
        await ready(page);
        await assertAccessible(page);
        await openSecurity(page);
        await page.getByText("7 codes are left.").waitFor();
        await assertAccessible(page);
        await shot(page, `security-${colorScheme}-${width}`);
        assert.deepEqual(front.complaints, []);
        await front.context.close();
      }
    }
  });

  test("sets up an authenticator: QR code, key in groups, a wrong code, codes shown once", async () => {
    const front = await openFront(browser);
    const page = await front.open();
    await openSecurity(page);
    await page.getByRole("button", { name: "Set up an app" }).click();
    await page.getByRole("img", { name: "QR code" }).waitFor();
    await page.getByText("JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP").waitFor();
    await shot(page, "authenticator-light-wide");
    const code = page.getByLabel("Code that the app shows now");
    await code.fill("000 000");
    await page.getByRole("button", { name: "Turn on" }).click();
    await page.getByRole("alert").getByText("That code does not fit").waitFor();
    await code.fill("123 456");
    await page.getByRole("button", { name: "Turn on" }).click();
    const codes = page.getByRole("dialog", { name: "Recovery codes" });
    await codes.waitFor();
    assert.equal(await codes.getByRole("listitem").count(), 10);
    await shot(page, "recovery-codes-light-wide");
    await codes.getByRole("button", { name: "I have kept them" }).click();
    await page.getByRole("button", { name: "Remove Authenticator" }).waitFor();
    assert.deepEqual(front.complaints, []);
    await front.context.close();
  });

  test("asks for the password again where the server wants it, and goes on by itself", async () => {
    const front = await openFront(browser, { colorScheme: "dark" });
    front.mustConfirm = true;
    const page = await front.open();
    await openSecurity(page);
    await page.getByLabel("Program").fill("Thunderbird");
    await page.getByRole("button", { name: "Make a password" }).click();
    const dialog = page.getByRole("dialog", { name: "Your password again" });
    await dialog.getByLabel("Password").fill("wrong");
    await dialog.getByRole("button", { name: "Continue" }).click();
    await dialog.getByText("That password is not right.").waitFor();
    await shot(page, "confirm-dark-wide");
    await dialog.getByLabel("Password").fill("right horse");
    await dialog.getByRole("button", { name: "Continue" }).click();
    await page.getByRole("dialog", { name: "App password" }).getByText("mzxw-6ytb").waitFor();
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("button", { name: "Remove Thunderbird" }).waitFor();
    await front.context.close();
  });

  test("has an address of its own, which change-password of a password manager may lead to", async () => {
    const front = await openFront(browser);
    const page = await front.open("#security");
    await page.getByRole("button", { name: "Change password" }).waitFor();
    assert.equal(await page.title(), "Security · Postern");
    await page.getByRole("button", { name: "Back to mail" }).click();
    await ready(page);
    await front.context.close();
  });

  test("who must enrol first sees nothing else, and signs in again afterwards", async () => {
    const front = await openFront(browser, { width: 390 });
    front.mustEnrol = true;
    const page = await front.open();
    await page.getByText("Your organisation asks for a second factor").waitFor();
    assert.equal(await page.getByRole("button", { name: "Back to mail" }).count(), 0);
    assert.equal(await page.getByRole("heading", { name: "App passwords" }).count(), 0);
    await shot(page, "enrol-light-narrow");
    await page.getByRole("button", { name: "Set up an app" }).click();
    await page.getByLabel("Code that the app shows now").fill("123456");
    await page.getByRole("button", { name: "Turn on" }).click();
    await page.getByRole("button", { name: "I have kept them" }).click();
    await page.waitForURL("**/login?return=%2Fmail%2F");
    assert.equal(count(front, "GET /jmap/session"), 0);
    await front.context.close();
  });

  test("signing out everywhere ends with signing out here", async () => {
    const front = await openFront(browser);
    const page = await front.open();
    await openSecurity(page);
    await page.getByRole("button", { name: "Sign out 2001:db8::17" }).click();
    await page.getByRole("button", { name: "Sign out everywhere else" }).click();
    page.once("dialog", (dialog) => void dialog.accept());
    await page.getByRole("button", { name: "Sign out everywhere", exact: true }).click();
    await page.getByText("The form").waitFor();
    for (const what of ["end", "end-others", "end-all"]) {
      assert.equal(count(front, `POST /account/sessions/${what}`), 1);
    }
    assert.equal(count(front, "POST /logout"), 1);
    await front.context.close();
  });
});
