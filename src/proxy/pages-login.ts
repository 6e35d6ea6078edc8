/** The pages of a login: form, second factor, and the way to an OpenID provider. */

import type { SecondFactor } from "#contracts/web";
import type { LoginOffer } from "#model/publishing";
import { escapeHtml, noticeBox, passkeyScriptPath, shell } from "./pages-shell.ts";

/** Why somebody meets a page of the login; the words are ours, the address bar only picks one. */
export type LoginNotice =
  | "ended"
  | "signed-out"
  | "refused"
  | "slow-down"
  | "busy"
  | "form"
  | "code"
  | "passkey"
  | "again"
  | "provider";

const notices: Readonly<Record<LoginNotice, readonly [tone: "info" | "danger", text: string]>> = {
  ended: [
    "info",
    "Your session has ended: nothing happened for a while, or the day was over. Drafts are kept.",
  ],
  "signed-out": ["info", "You are signed out."],
  refused: ["danger", "That name and password do not fit together. Please check both."],
  "slow-down": ["danger", "Too many attempts. Please wait a minute, then try again."],
  busy: ["danger", "The server is busy. Please try again in a moment."],
  form: ["danger", "The form was too old. Please try once more."],
  code: ["danger", "That code does not fit. Codes change every half minute; use the newest."],
  passkey: ["danger", "That passkey was not accepted. Please try again, or sign in another way."],
  again: ["danger", "That was not accepted, or took too long. Please sign in again."],
  provider: ["danger", "Signing in elsewhere did not succeed. Please try again."],
};

/** Those that a link may ask for; the others only follow a submitted form. */
export function linkedNotice(text: string | undefined): LoginNotice | undefined {
  return text === "ended" || text === "signed-out" ? text : undefined;
}

/**
 * Address of the form, with the way back. A path with escapes goes as base64url: escaped once more it
 * would be a second encoding, which the front takes from nobody.
 *
 * @param returnPath a safe one
 */
export function loginAddress(returnPath: string, why?: "ended"): string {
  const back: [string, string] = returnPath.includes("%")
    ? ["back", Buffer.from(returnPath).toString("base64url")]
    : ["return", returnPath];
  return `/login?${new URLSearchParams([back, ...(why === undefined ? [] : [["why", why]])])}`;
}

/** The way back that an address of the form names; untrusted. */
export function returnPathIn(query: URLSearchParams): string | null {
  const back = query.get("back");
  return back === null ? query.get("return") : Buffer.from(back, "base64url").toString();
}

/** The words of a notice, for the script that asks for a challenge. */
export function noticeText(notice: LoginNotice): string {
  return notices[notice][1];
}

/** What every page of a login is made of. */
export interface LoginStepPage {
  readonly formToken: string;
  readonly returnPath: string;
  /** Published host, for people who use several. */
  readonly host: string;
  readonly notice?: LoginNotice;
}

export interface LoginPage extends LoginStepPage {
  readonly offer: LoginOffer;
  /** What was typed, so that nobody types it twice. Untrusted. */
  readonly name?: string;
  readonly publicComputer?: boolean;
}

export function loginPage(page: LoginPage): string {
  const { offer, notice, name = "" } = page;
  const chosen = page.publicComputer ?? true;
  const wrong = notice === "refused" ? ' aria-invalid="true" aria-describedby="notice"' : "";
  const body = `<h1>Sign in</h1><p class="soft">${escapeHtml(page.host)}</p>${shownNotice(notice)}
<form id="login" method="post" action="/login">${carried(page)}
<label for="name">E-mail address</label>
<input id="name" name="name" type="text" inputmode="email" autocomplete="username" autocapitalize="none"
 spellcheck="false" maxlength="254" required${name === "" ? " autofocus" : ""} value="${escapeHtml(name)}"${wrong}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="1024"
 required${name === "" ? "" : " autofocus"}${wrong}>
<fieldset><legend>This computer is</legend>
${choice("public", "Shared or public", "Signs you out after a short while and keeps nothing on it.", chosen)}
${choice("private", "My own", "Stays signed in for the working day.", !chosen)}
</fieldset>
<button type="submit" name="step" value="password">Sign in</button>
</form>${offer.passkeys ? passkeyForm(page, "") : ""}${providerButton(offer)}`;
  return shell({ title: titleOf(page), body, head: offer.passkeys ? scriptTag : "" });
}

function choice(value: string, title: string, text: string, checked: boolean): string {
  return `<label class="choice"><input type="radio" name="computer" value="${value}"${
    checked ? " checked" : ""
  }><span>${title}<small>${text}</small></span></label>`;
}

/** Belongs to the form of the password, so that the choice of computer goes with it. */
function providerButton({ oidcLabel }: LoginOffer): string {
  if (oidcLabel === undefined) return "";
  return `<button class="second" type="submit" form="login" name="step" value="oidc-start" formnovalidate>${escapeHtml(oidcLabel)}</button>`;
}

export interface SecondFactorPage extends LoginStepPage {
  readonly pending: string;
  readonly factors: readonly SecondFactor[];
}

/** The password was right; nothing here tells more than that. */
export function secondFactorPage(page: SecondFactorPage): string {
  const { factors, pending, notice } = page;
  const byCode = factors.includes("code");
  const byPasskey = factors.includes("passkey");
  const body = `<h1>One more step</h1><p class="soft">${escapeHtml(page.host)}</p>${shownNotice(notice)}
${byCode ? codeForm(page) : ""}${byPasskey ? passkeyForm(page, pending) : ""}${byCode ? recoveryForm(page) : ""}
<p class="again"><a href="${escapeHtml(loginAddress(page.returnPath))}">Start again</a></p>`;
  return shell({ title: titleOf(page), body, head: byPasskey ? scriptTag : "" });
}

function codeForm(page: SecondFactorPage): string {
  const wrong = page.notice === "code" ? ' aria-invalid="true"' : "";
  const described = page.notice === "code" ? "notice code-help" : "code-help";
  return `<form method="post" action="/login">${carried(page)}${hidden("pending", page.pending)}
<label for="code">Code of your authenticator app</label>
<p id="code-help" class="soft">Six digits, new every half minute.</p>
<input id="code" class="code" name="code" type="text" inputmode="numeric" autocomplete="one-time-code"
 maxlength="12" required autofocus aria-describedby="${described}"${wrong}>
<button type="submit" name="step" value="code">Continue</button>
</form>`;
}

function recoveryForm(page: SecondFactorPage): string {
  return `<details><summary>Use a recovery code</summary>
<form method="post" action="/login">${carried(page)}${hidden("pending", page.pending)}
<label for="recovery">Recovery code</label>
<input id="recovery" name="code" type="text" autocomplete="off" autocapitalize="none" spellcheck="false"
 maxlength="64" required>
<button class="second" type="submit" name="step" value="code">Use this code</button>
</form></details>`;
}

/** Shown by the script: without one there is no way to ask for a passkey (WebAuthn §5.1). */
function passkeyForm(page: LoginStepPage, pending: string): string {
  return `<form id="passkey" method="post" action="/login" hidden>${carried(page)}
${hidden("step", "passkey")}${hidden("pending", pending)}${hidden("credential", "")}
<button class="second" type="submit">Use a passkey</button>
<p id="said" class="said" role="alert"></p>
</form><noscript><p class="again soft">Passkeys need the script of this page.</p></noscript>`;
}

const scriptTag = `<script src="${passkeyScriptPath}" defer></script>`;

/**
 * Leads to the OpenID provider. A redirect would do the same, but form-action would then have to name
 * every host that the provider uses (CSP 3 §6.4.1); a page that goes on by itself leaves the policy
 * as narrow as everywhere.
 *
 * @param location absolute, of http or https
 */
export function leavingPage(location: URL, host: string): string {
  const to = escapeHtml(location.href);
  return shell({
    title: `Sign in · ${escapeHtml(host)}`,
    head: `<meta http-equiv="refresh" content="0;url=${to}">`,
    body: `<h1>Signing in elsewhere</h1>
<p class="soft">You go on at ${escapeHtml(location.host)}, and come back here afterwards.</p>
<p><a class="button" href="${to}">Continue</a></p>`,
  });
}

/** Where a link to sign out leads: one session serves every application, so all of them end. */
export function logoutPage(host: string): string {
  return shell({
    title: `Sign out · ${escapeHtml(host)}`,
    body: `<h1>Sign out</h1><p class="soft">${escapeHtml(host)}</p>
<p>You are still signed in here. Signing out ends everything that you opened with this sign-in.</p>
<form method="post" action="/logout"><button type="submit" autofocus>Sign out</button></form>
<p><a class="button second" href="/">Stay signed in</a></p>`,
  });
}

const titleOf = ({ host, notice }: LoginStepPage): string => {
  const problem = notice !== undefined && notices[notice][0] === "danger" ? "Not signed in" : "";
  return `${problem || "Sign in"} · ${escapeHtml(host)}`;
};

const shownNotice = (notice: LoginNotice | undefined): string =>
  notice === undefined ? "" : noticeBox(...notices[notice]);

const hidden = (name: string, value: string): string =>
  `<input type="hidden" name="${name}" value="${escapeHtml(value)}">`;

const carried = ({ formToken, returnPath }: LoginStepPage): string =>
  hidden("token", formToken) + hidden("return", returnPath);
