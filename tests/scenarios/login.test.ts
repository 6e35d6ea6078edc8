import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { hasBrowser, launchBrowser } from "../kit/browser.ts";
import { freePorts, type Installation, runCli, startInstallation } from "../kit/installation.ts";
import { type ProviderUnderTest, startProvider } from "../kit/oidc-provider.ts";
import { shot } from "./login-webmail-stub.ts";

/** Sessions of a private computer last a minute without use, so that their end can be waited for. */
const config = (provider: ProviderUnderTest, folder: string): string => `[web]
loginsPerMinute = 200 # one network signs in for everybody here

[login]
idleMinutes = 1
oidcIssuer = "${provider.issuer}"
oidcClientId = "${provider.clientId}"
oidcSecretFile = "${join(folder, "secret")}"
oidcCaFile = "${join(folder, "provider.pem")}"
oidcLabel = "Use the campus account"
oidcDirect = true
`;

const doors = ["https", "smtp", "submission", "imap", "console", "linkSmtp", "linkWeb"];

interface Somebody {
  readonly address: string;
  readonly password: string;
}

let browser: Browser;
let installation: Installation;
let provider: ProviderUnderTest;
let folder = "";
let base = "";
/** Of their own, because what one test enrols another would be asked for. */
let ana: Somebody;
let ben: Somebody;
const carla: Somebody = { address: "carla@postern.test", password: "a long sentence of Carla" };
const dora: Somebody = { address: "dora@postern.test", password: "a long sentence of Dora" };

before(async () => {
  if (!hasBrowser) return;
  const ports = await freePorts(doors.length);
  base = `https://localhost:${ports[0]}`;
  folder = mkdtempSync(join(tmpdir(), "postern-login-"));
  provider = await startProvider(`${base}/login/oidc`);
  writeFileSync(join(folder, "secret"), provider.clientSecret, { mode: 0o600 });
  writeFileSync(join(folder, "provider.pem"), provider.authorities);
  const listen = doors.map((door, index) => `${door} = "127.0.0.1:${ports[index]}"`).join("\n");
  const text = `[listen]\n${listen}\n\n${config(provider, folder)}`;
  writeFileSync(join(folder, "postern.toml"), text);
  installation = await startInstallation({ data: folder });
  const [one, other] = installation.ready().accounts;
  assert.ok(one && other);
  [ana, ben] = [one, other];
  for (const { address, password } of [carla, dora]) {
    const added = await runCli(folder, ["account", "add", address], `${password}\n`);
    assert.equal(added.code, 0, added.stderr);
  }
  provider.claims = { email: ana.address, email_verified: true };
  browser = await launchBrowser();
});

after(async () => {
  if (!hasBrowser) return;
  await browser?.close();
  await installation?.[Symbol.asyncDispose]();
  await provider?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

interface Opened extends AsyncDisposable {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What a strict policy or a broken script would print. */
  readonly complaints: string[];
}

async function open(javaScriptEnabled = true): Promise<Opened> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, javaScriptEnabled });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (line) => {
    // A refused form is told by its status, and a browser prints that.
    const expected = line.text().includes("Failed to load resource");
    if (line.type() === "error" && !expected) complaints.push(line.text());
  });
  return { context, page, complaints, [Symbol.asyncDispose]: () => context.close() };
}

async function enter(page: Page, who: Somebody, computer = "Shared or public"): Promise<void> {
  await page.getByLabel("E-mail address").fill(who.address);
  await page.getByLabel("Password").fill(who.password);
  await page.getByLabel(computer).check();
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

/** Waits for the mail; what the page shows instead is the first question of whoever reads a failure. */
async function inMail(page: Page): Promise<void> {
  try {
    await page.locator(".mailbox").first().waitFor();
  } catch (cause) {
    const shown = await page.locator("body").innerText();
    throw new Error(`no mail at ${page.url()}, but: ${shown.slice(0, 1000)}`, { cause });
  }
}

async function openSecurity(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Security" }).click();
  await page.getByRole("heading", { name: "Where you are signed in" }).waitFor();
}

async function signOut(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.getByText("You are signed out.").waitFor();
}

const sessionCookie = async (context: BrowserContext) =>
  (await context.cookies()).find(({ name }) => name === "__Host-postern");

/** A platform authenticator whose person always agrees (WebDriver BiDi's older sister, CDP). */
async function virtualAuthenticator(page: Page): Promise<void> {
  const session = await page.context().newCDPSession(page);
  await session.send("WebAuthn.enable");
  await session.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      ...{ protocol: "ctap2", transport: "internal", hasResidentKey: true },
      ...{ hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
    },
  });
}

/** RFC 6238 with the parameters that every app takes for granted. */
function totp(secret: string, stepsAhead = 0): string {
  const bits = secret
    .split("")
    .map((one) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(one).toString(2).padStart(5, "0"));
  const octets = (bits.join("").match(/.{8}/g) ?? []).map((one) => Number.parseInt(one, 2));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + stepsAhead));
  const mac = createHmac("sha1", Buffer.from(octets)).update(counter).digest();
  const number = mac.readUInt32BE((mac.at(-1) ?? 0) & 15) & 0x7f_ff_ff_ff;
  return String(number % 1_000_000).padStart(6, "0");
}

describe("signing in, on a whole installation", { skip: !hasBrowser, concurrency: 3 }, () => {
  test("CAP-23 W8 a form without scripts, a bound cookie, and nothing left afterwards", async () => {
    await using one = await open(false);
    const { page, context } = one;
    await page.goto(`${base}/mail/`);
    assert.equal(page.url(), `${base}/login?return=%2Fmail%2F`);
    assert.match(await page.title(), /^Sign in · localhost:\d+ · Postern$/);
    assert.equal(await page.getByRole("button", { name: "Use a passkey" }).count(), 0);
    await shot(page, "real-login");
    await enter(page, { ...carla, password: "wrong" });
    await page.getByRole("alert").getByText("do not fit together").waitFor();
    assert.equal(await page.getByLabel("E-mail address").inputValue(), carla.address);
    await enter(page, { ...carla, address: "nobody@postern.test" });
    await page.getByRole("alert").getByText("do not fit together").waitFor();
    assert.equal(await sessionCookie(context), undefined);
    await enter(page, carla);
    await page.waitForURL(`${base}/mail/`);
    const cookie = await sessionCookie(context);
    assert.ok(cookie);
    const { expires, httpOnly, secure, sameSite, path } = cookie;
    assert.deepEqual(
      { expires, httpOnly, secure, sameSite, path },
      { expires: -1, httpOnly: true, secure: true, sameSite: "Lax", path: "/" },
    );
    assert.deepEqual(one.complaints, []);
  });

  test("CAP-24 a private computer keeps the cookie; signing out leaves nothing to go back to", async () => {
    await using one = await open();
    const { page, context } = one;
    await page.goto(base);
    await enter(page, carla, "My own");
    await inMail(page);
    assert.ok(((await sessionCookie(context))?.expires ?? 0) > Date.now() / 1000 + 3600);
    await signOut(page);
    assert.equal(await sessionCookie(context), undefined);
    await page.goBack();
    await page.getByLabel("Password").waitFor();
    assert.deepEqual(one.complaints, []);
  });

  test("a passkey is added, signs in alone, and stands in as the second factor", async () => {
    await using one = await open();
    const { page } = one;
    await virtualAuthenticator(page);
    await page.goto(base);
    await enter(page, ana);
    await inMail(page);
    await openSecurity(page);
    await page.getByPlaceholder("My passkey").fill("Virtual key");
    await page.getByRole("button", { name: "Add a passkey" }).click();
    const codes = page.getByRole("dialog", { name: "Recovery codes" });
    await codes.waitFor();
    assert.equal(await codes.getByRole("listitem").count(), 10);
    await codes.getByRole("button", { name: "I have kept them" }).click();
    await page.getByText("Virtual key").waitFor();
    await shot(page, "real-security");
    await signOut(page);

    await page.getByRole("button", { name: "Use a passkey" }).click();
    await inMail(page);
    await signOut(page);

    await enter(page, ana);
    await page.getByRole("heading", { name: "One more step" }).waitFor();
    await shot(page, "real-second-factor");
    await page.getByRole("button", { name: "Use a passkey" }).click();
    await inMail(page);
    assert.deepEqual(one.complaints, []);

    // The provider's word does for an account that trusts it.
    await signOut(page);
    await page.getByRole("button", { name: "Use the campus account" }).click();
    await page.getByPlaceholder("Enter any login").fill("ana");
    await page.getByPlaceholder("and password").fill("any");
    await page.getByRole("button", { name: "Sign-in" }).click();
    await page.getByRole("button", { name: "Continue" }).click();
    await inMail(page);
    await page.getByText(ana.address).waitFor();
    assert.deepEqual(one.complaints, []);
  });

  test("an authenticator app, a wrong code, a recovery code, an app password", async () => {
    await using one = await open();
    const { page } = one;
    await page.goto(base);
    await enter(page, ben);
    await inMail(page);
    await openSecurity(page);
    await page.getByRole("button", { name: "Set up an app" }).click();
    const secret = ((await page.locator("code.secret").textContent()) ?? "").replaceAll(" ", "");
    await page.getByLabel("Code that the app shows now").fill(totp(secret));
    await page.getByRole("button", { name: "Turn on" }).click();
    const codes = page.getByRole("dialog", { name: "Recovery codes" });
    const recovery = (await codes.getByRole("listitem").first().textContent()) ?? "";
    await codes.getByRole("button", { name: "I have kept them" }).click();
    await page.getByLabel("Program").fill("Phone");
    await page.getByRole("button", { name: "Make a password" }).click();
    await page
      .getByRole("dialog", { name: "App password" })
      .getByRole("button", { name: "Done" })
      .click();
    await signOut(page);

    await enter(page, ben);
    await page.getByLabel("Code of your authenticator app").fill("000000");
    await page.getByRole("button", { name: "Continue" }).click();
    await page.getByRole("alert").getByText("That code does not fit").waitFor();
    await page.getByLabel("Code of your authenticator app").fill(totp(secret, 1));
    await page.getByRole("button", { name: "Continue" }).click();
    await inMail(page);
    await signOut(page);

    await enter(page, ben);
    await page.getByText("Use a recovery code").click();
    await page.getByLabel("Recovery code").fill(recovery);
    await page.getByRole("button", { name: "Use this code" }).click();
    await inMail(page);
    await openSecurity(page);
    await page.getByText("9 codes are left.").waitFor();

    await using other = await open();
    await other.page.goto(`${base}/mail/`);
    await enter(other.page, ben);
    await other.page.getByText("Use a recovery code").click();
    await other.page.getByLabel("Recovery code").fill(recovery);
    await other.page.getByRole("button", { name: "Use this code" }).click();
    await other.page.getByRole("alert").getByText("does not fit").waitFor();
    assert.deepEqual([...one.complaints, ...other.complaints], []);
  });
});

describe("sessions, on a whole installation", { skip: !hasBrowser, concurrency: 2 }, () => {
  test("CAP-23 the warning comes, staying works, and nobody there means signed out", async () => {
    await using one = await open();
    const { page } = one;
    await page.goto(base);
    await enter(page, dora, "My own");
    await inMail(page);
    await page.keyboard.press("c");
    await page.getByLabel("Subject").fill("Half a thought");
    const warning = page.getByRole("dialog", { name: "Signing out soon" });
    await warning.waitFor({ timeout: 45_000 });
    await shot(page, "real-ending");
    await warning.getByRole("button", { name: "Stay signed in" }).click();
    await warning.waitFor({ state: "detached" });
    await warning.waitFor({ timeout: 45_000 });
    await page.getByText("Your session has ended").waitFor({ timeout: 45_000 });
    await shot(page, "real-ended");
    await enter(page, dora, "My own");
    await inMail(page);
    await page.getByRole("button", { name: "Drafts" }).click();
    await page.locator(".row-open", { hasText: "Half a thought" }).waitFor();
    assert.deepEqual(one.complaints, []);
  });

  test("W8 signing out everywhere ends the session in another browser", async () => {
    await using one = await open();
    await using other = await open();
    for (const { page } of [one, other]) {
      await page.goto(base);
      await enter(page, carla);
      await inMail(page);
    }
    const stolen = await sessionCookie(other.context);
    await openSecurity(one.page);
    one.page.once("dialog", (dialog) => void dialog.accept());
    await one.page.getByRole("button", { name: "Sign out everywhere", exact: true }).click();
    await one.page.getByText("You are signed out.").waitFor();
    // A question of the page itself may have told already.
    const sent = other.page.getByRole("button", { name: "Sent", exact: true });
    await sent.click({ timeout: 2000 }).catch(() => undefined);
    await other.page.getByText("Your session has ended").waitFor();
    assert.ok(stolen);
    await other.context.addCookies([stolen]);
    await other.page.goto(`${base}/mail/`);
    await other.page.getByLabel("Password").waitFor();
  });
});

describe("an installation that asks for a second factor", { skip: !hasBrowser }, () => {
  test("leads to setting one up, and to nothing else before", async () => {
    await using strict = await startInstallation({
      config: "[login]\nrequireSecondFactor = true\n",
    });
    const { https, accounts } = strict.ready();
    const who = accounts[0];
    assert.ok(who);
    await using one = await open();
    const { page } = one;
    await page.goto(https.url);
    await enter(page, who);
    await page.getByText("Your organisation asks for a second factor").waitFor();
    assert.equal(await page.evaluate("fetch('/jmap/session').then((one) => one.status)"), 403);
    await page.getByRole("button", { name: "Set up an app" }).click();
    const secret = ((await page.locator("code.secret").textContent()) ?? "").replaceAll(" ", "");
    await page.getByLabel("Code that the app shows now").fill(totp(secret));
    await page.getByRole("button", { name: "Turn on" }).click();
    await page.getByRole("button", { name: "I have kept them" }).click();
    await enter(page, who);
    await page.getByLabel("Code of your authenticator app").fill(totp(secret, 1));
    await page.getByRole("button", { name: "Continue" }).click();
    await inMail(page);
    assert.deepEqual(one.complaints, []);
  });
});
