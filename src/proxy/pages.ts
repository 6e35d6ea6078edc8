/** Pages that the front makes itself: plain HTML, no script, readable without any link inside. */

import { pageStyle, pageStyleHash } from "./page-style.ts";

/** Goes with every page of this file. */
export const pagePolicy: string = [
  "default-src 'none'",
  `style-src ${pageStyleHash}`,
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join("; ");

/** Why somebody meets the login form; the words are ours, the address bar only picks one. */
export type LoginNotice = "ended" | "signed-out" | "refused" | "slow-down" | "busy" | "form";

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
};

/** Those that a link may ask for; the others only follow a submitted form. */
export function linkedNotice(text: string | undefined): LoginNotice | undefined {
  return text === "ended" || text === "signed-out" ? text : undefined;
}

export interface LoginPage {
  readonly formToken: string;
  readonly returnPath: string;
  readonly notice?: LoginNotice;
  /** What was typed, so that nobody types it twice. Untrusted. */
  readonly name?: string;
  readonly publicComputer?: boolean;
}

export function loginPage(page: LoginPage): string {
  const notice = page.notice === undefined ? "" : noticeBox(...notices[page.notice]);
  const chosen = page.publicComputer ?? true;
  const focusName = page.name === undefined || page.name === "";
  return shell(
    "Sign in",
    `<h1>Sign in to your mail</h1>${notice}
<form method="post" action="/login">
<input type="hidden" name="token" value="${escapeHtml(page.formToken)}">
<input type="hidden" name="return" value="${escapeHtml(page.returnPath)}">
<label for="name">E-mail address</label>
<input id="name" name="name" type="text" inputmode="email" autocomplete="username" autocapitalize="none"
 spellcheck="false" maxlength="254" required${focusName ? " autofocus" : ""} value="${escapeHtml(page.name ?? "")}">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="1024"
 required${focusName ? "" : " autofocus"}>
<fieldset><legend>This computer is</legend>
${choice("public", "Shared or public", "Signs you out early and keeps nothing here.", chosen)}
${choice("private", "My own", "Stays signed in for the working day.", !chosen)}
</fieldset>
<button type="submit">Sign in</button>
</form>`,
  );
}

function choice(value: string, title: string, text: string, checked: boolean): string {
  return `<label class="choice"><input type="radio" name="computer" value="${value}"${
    checked ? " checked" : ""
  }><span>${title}<small>${text}</small></span></label>`;
}

const errors: Readonly<Record<number, readonly [title: string, text: string]>> = {
  400: ["That request was not understood", "Nothing was changed. Go back and try again."],
  403: ["That request was refused", "It did not come from a page of this site."],
  404: ["There is nothing here", "The address may be mistyped, or the page is gone."],
  405: ["That is not possible here", "This address does not take that kind of request."],
  408: ["That took too long", "The request did not arrive in time. Please try again."],
  411: ["That request was not understood", "It did not say how long it is."],
  413: ["That is too large", "The file or message is larger than this server takes."],
  414: ["That address is too long", "Please check the link you followed."],
  417: ["That request was not understood", "It expects something this server does not do."],
  421: ["Not served here", "This server does not answer for that name."],
  429: ["Too many requests", "Please wait a minute, then try again."],
  431: ["That request is too large", "Its header is larger than this server takes."],
  502: ["Something went wrong inside", "The answer could not be used. Please try again."],
  503: [
    "Your mail is out of reach for a moment",
    "The mail server behind this page does not answer. Nothing is lost: mail keeps arriving and " +
      "waits. Please try again in a minute.",
  ],
  504: ["That took too long", "The mail server did not answer in time. Please try again."],
  505: ["That request was not understood", "This server speaks HTTP/1.1."],
};

/** Without anything that was sent to us: an error page cannot carry somebody's text. */
export function errorPage(status: number): string {
  const [title, text] = errors[status] ?? ["Something went wrong", "Please try again."];
  const way = [404, 403, 502, 503, 504].includes(status)
    ? '<p><a class="button" href="/mail/">Open my mail</a></p>'
    : "";
  return shell(title, `<h1>${title}</h1><p class="soft">${text}</p>${way}`, `Error ${status}`);
}

const mark =
  '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true">' +
  '<path d="M4 21V10a8 8 0 0 1 16 0v11M2 21h20M9 21v-8a3 3 0 0 1 6 0v8"/></svg>';

const signs = {
  info: '<circle cx="8" cy="8" r="7"/><path d="M8 7v5M8 4v1"/>',
  danger: '<path d="M5 1h6l4 4v6l-4 4H5l-4-4V5zM8 4v5M8 11v1"/>',
} as const;

function noticeBox(tone: "info" | "danger", text: string): string {
  const sign = `<svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.6" aria-hidden="true">${signs[tone]}</svg>`;
  return `<p class="notice ${tone}" role="${tone === "danger" ? "alert" : "status"}">${sign}<span>${text}</span></p>`;
}

function shell(title: string, body: string, foot = ""): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex"><title>${title} · Postern</title><style>${pageStyle}</style></head>
<body><main><p class="brand">${mark}Postern</p><div class="card">${body}</div></main>
<footer>${foot}</footer></body></html>
`;
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}
