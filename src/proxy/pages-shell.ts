/** What all pages of the front have in common: plain HTML of one look, and what it may load. */

import { pageStyle, pageStyleHash } from "./page-style.ts";

const policyOf = (...more: readonly string[]): string =>
  [
    "default-src 'none'",
    `style-src ${pageStyleHash}`,
    ...more,
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join("; ");

/** Goes with every page of the front that needs no script. */
export const pagePolicy: string = policyOf();

/** Where the one script of the front lies: only a passkey needs it. */
export const passkeyScriptPath = "/login/passkey.js";

/**
 * Goes with pages that offer a passkey: that script and no other of the same host, whoever may be
 * able to put files there.
 *
 * @param host published, with its port where clients see one
 */
export function passkeyPagePolicy(host: string): string {
  return policyOf(
    `script-src https://${host}${passkeyScriptPath}`,
    `connect-src https://${host}/login`,
  );
}

const mark =
  '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true">' +
  '<path d="M4 21V10a8 8 0 0 1 16 0v11M2 21h20M9 21v-8a3 3 0 0 1 6 0v8"/></svg>';

const signs = {
  info: '<circle cx="8" cy="8" r="7"/><path d="M8 7v5M8 4v1"/>',
  danger: '<path d="M5 1h6l4 4v6l-4 4H5l-4-4V5zM8 4v5M8 11v1"/>',
} as const;

export function noticeBox(tone: "info" | "danger", text: string): string {
  const sign = `<svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.6" aria-hidden="true">${signs[tone]}</svg>`;
  return `<p id="notice" class="notice ${tone}" role="${tone === "danger" ? "alert" : "status"}">${sign}<span>${text}</span></p>`;
}

interface Shell {
  readonly title: string;
  readonly body: string;
  readonly foot?: string;
  /** More of the head; made here, never of what somebody sent. */
  readonly head?: string;
}

export function shell({ title, body, foot = "", head = "" }: Shell): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex"><title>${title} · Postern</title><style>${pageStyle}</style>${head}</head>
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
