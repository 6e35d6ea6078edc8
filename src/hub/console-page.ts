/** The console's first page: what an administrator asks in the morning, on one screen, without script. */

import { html, raw } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";
import type { SenderFigures } from "#assurance/measures";
import type { TraceSummary } from "#model/trace";
import { sendersCard } from "./console-senders.ts";
import { storeCard } from "./console-store.ts";
import { consoleStyle } from "./console-style.ts";
import type { StoreFacts } from "./store-facts.ts";

type Html = HtmlEscapedString | Promise<HtmlEscapedString>;

export interface HealthRow {
  readonly question: string;
  readonly state: "good" | "caution" | "danger";
  readonly answer: string;
}

export interface LegRow {
  readonly path: string;
  readonly count: number;
  readonly p50Ms?: number;
  readonly p95Ms?: number;
}

export interface ConsoleFacts {
  readonly hostname: string;
  readonly version: string;
  readonly atMs: number;
  readonly health: readonly HealthRow[];
  readonly legs: readonly LegRow[];
  readonly store: StoreFacts;
  readonly senders: SenderFigures;
  readonly messages: readonly TraceSummary[];
  readonly accounts: readonly string[];
  readonly queued: Readonly<Record<string, number>>;
}

const stateWords = { good: "ok", caution: "look", danger: "act" } as const;
const stateShapes = { good: "✓", caution: "▲", danger: "⬣" } as const;

function page(title: string, body: Html): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${raw(consoleStyle)}</style>
</head>
<body>${body}</body>
</html>`;
}

export function tokenPage(problem?: string): Html {
  return page(
    "Postern console",
    html`<main class="narrow"><h1>Postern console</h1>
${problem === undefined ? "" : html`<p class="problem" role="alert">${problem}</p>`}
<form method="get" action="/"><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="off" autofocus required>
<button>Open</button></form>
<p class="quiet">It stands in the file <code>ready.json</code> of the data folder.</p></main>`,
  );
}

export function consolePage(facts: ConsoleFacts): Html {
  const at = new Date(facts.atMs).toISOString().replace("T", " ").slice(0, 19);
  return page(
    `${facts.hostname} · Postern`,
    html`<header><h1>${facts.hostname}</h1>
<p class="quiet">Postern ${facts.version} · as of ${at} UTC · <a href="/">check again</a></p></header>
<main>
<section><h2>Health</h2><ul class="health">${facts.health.map(healthRow)}</ul></section>
<section><h2>Delivery times</h2>${legTable(facts.legs)}</section>
${storeCard(facts.store)}
${sendersCard(facts.senders)}
<section class="wide"><h2>Last messages</h2>${messageTable(facts.messages)}</section>
<section><h2>Queue</h2><dl>${Object.entries(facts.queued).map(
      ([state, count]) => html`<div><dt>${state}</dt><dd>${count}</dd></div>`,
    )}</dl></section>
<section><h2>Accounts</h2>${accountList(facts.accounts)}</section>
</main>
<footer class="quiet"><a href="/metrics">measures</a> · <a href="/api/status">status as JSON</a> ·
from a shell: <code>postern trace find</code>, <code>postern queue list</code></footer>`,
  );
}

/** The same lines as `postern trace show`. */
export function tracePage(text: string): Html {
  return page(
    "Trace · Postern",
    html`<header><h1>One message</h1><p class="quiet"><a href="/">back</a></p></header>
<main><section class="wide"><pre tabindex="0" aria-label="Trace">${text}</pre></section></main>`,
  );
}

function healthRow(row: HealthRow): Html {
  return html`<li class="${row.state}"><span class="state"><b aria-hidden="true">${stateShapes[row.state]}</b>
${stateWords[row.state]}</span><span>${row.question}</span><span class="quiet">${row.answer}</span></li>`;
}

function milliseconds(value: number | undefined): string {
  if (value === undefined) return "–";
  return value < 1000
    ? `${value.toFixed(value < 10 ? 1 : 0)} ms`
    : `${(value / 1000).toFixed(1)} s`;
}

function legTable(legs: readonly LegRow[]): Html {
  if (legs.every((leg) => leg.count === 0)) {
    return html`<p class="empty">No message has gone through since the start.</p>`;
  }
  return html`<table><thead><tr><th>way</th><th>messages</th><th>half within</th><th>95 % within</th></tr></thead>
<tbody>${legs.map(
    (leg) => html`<tr><td>${leg.path}</td><td>${leg.count}</td>
<td>${milliseconds(leg.p50Ms)}</td><td>${milliseconds(leg.p95Ms)}</td></tr>`,
  )}</tbody></table>`;
}

/** An edge names the moment of a refusal: it may be none that a calendar knows. */
function moment(atMs: number): string {
  const at = new Date(atMs);
  return Number.isNaN(at.getTime()) ? "?" : at.toISOString().slice(5, 19).replace("T", " ");
}

function messageTable(messages: readonly TraceSummary[]): Html {
  if (messages.length === 0) return html`<p class="empty">No mail yet.</p>`;
  return html`<div class="scroll"><table class="messages"><thead><tr><th>when (UTC)</th><th>from</th><th>to</th><th>what happened</th>
<th>trace</th></tr></thead><tbody>${messages.map(
    (one) => html`<tr><td>${moment(one.atMs)}</td>
<td>${one.from === "" ? "<>" : one.from}</td><td>${one.to.join(", ")}</td>
<td>${one.direction}, ${one.status}</td><td><a href="/trace/${one.id}"><code>${one.id.slice(0, 8)}</code></a></td></tr>`,
  )}</tbody></table></div>`;
}

function accountList(accounts: readonly string[]): Html {
  if (accounts.length === 0) {
    return html`<p class="empty">None yet: <code>postern account add NAME@DOMAIN</code></p>`;
  }
  return html`<ul class="plain">${accounts.slice(0, 50).map((one) => html`<li>${one}</li>`)}</ul>
${accounts.length > 50 ? html`<p class="quiet">and ${accounts.length - 50} more</p>` : ""}`;
}
