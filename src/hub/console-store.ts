/** The console's card of the store: how it is read and repaired, and whose mail could not be. */

import { html } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";
import { type Finding, nameMail } from "#store";
import { mebibytes, type StoreFacts } from "./store-facts.ts";

type Html = HtmlEscapedString | Promise<HtmlEscapedString>;

/** More are shown by `postern store health`. */
const maxShown = 20;

export function storeCard({
  stats,
  health,
  flushP99Seconds,
  lastBackupMs,
  lastDrillMs,
}: StoreFacts): Html {
  const { segments, scrubbedThisWeek: done, withoutParity, damaged } = health;
  const numbers: readonly (readonly [string, string | number])[] = [
    ["records", stats.records],
    ["size", mebibytes(stats.sizeBytes)],
    ["repaired this week", health.repairedThisWeek],
    ["repaired ever", health.repaired],
    ["beyond repair", damaged.length],
    ["without parity", withoutParity],
    ["99 % of commits within", flushP99Seconds === undefined ? "–" : flushText(flushP99Seconds)],
    ["last backup", day(lastBackupMs)],
    ["last restore on trial", day(lastDrillMs)],
  ];
  return html`<section class="wide"><h2>Store</h2>
<dl class="facts">${numbers.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
<p class="scrubbed"><label for="scrubbed">${done} of ${segments} segments read this week and found sound</label>
<progress id="scrubbed" max="${Math.max(segments, 1)}" value="${Math.min(done, segments)}"></progress></p>
${damaged.length === 0 ? "" : findings(damaged)}</section>`;
}

function findings(damaged: readonly Finding[]): Html {
  return html`<h3 class="findings-title">Beyond repair</h3>
<ul class="findings">${damaged.slice(0, maxShown).map(
    ({ file, page, what, mail }) => html`<li><code>${file}</code> page ${page}: ${what}
${
  mail.length === 0
    ? html`<p class="quiet">${file.startsWith("segment") ? "no message is on it" : "it only guards the segment"}</p>`
    : html`<ul>${mail.slice(0, maxShown).map((one) => html`<li>${nameMail(one)}</li>`)}</ul>`
}</li>`,
  )}</ul>
<p class="quiet">Restore from a backup, or save what can be read: <code>postern store salvage</code>.
All of it: <code>postern store health</code></p>`;
}

function flushText(seconds: number): string {
  return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
}

function day(atMs: number | undefined): string {
  return atMs === undefined ? "never" : new Date(atMs).toISOString().slice(0, 10);
}
