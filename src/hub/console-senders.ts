/** The console's card of senders: what the checks found, in numbers and shares (CAP-59, CAP-104). */

import { html } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";
import type { SenderFigures } from "#assurance/measures";
import type { EvidenceType, SenderIdStatus, SenderOrigin } from "#model/verdict";

type Html = HtmlEscapedString | Promise<HtmlEscapedString>;

const statusWords: Readonly<Record<SenderIdStatus, string>> = {
  pass: "Pass",
  neutral: "Neutral",
  softfail: "Soft fail",
  none: "None",
  "not-permitted": "Fail: not permitted",
  "malformed-domain": "Fail: malformed domain",
  "non-existent-domain": "Fail: non-existent domain",
  temperror: "TempError",
  permerror: "PermError",
  "no-pra": "No PRA",
};

const methodWords = { spf: "SPF", dkim: "DKIM", dmarc: "DMARC", arc: "ARC" } as const;

const evidenceWords: Readonly<Record<EvidenceType, string>> = {
  "own-domain": "our own domain, without a login",
  "dmarc-fail": "denied by its domain (DMARC)",
  "ambiguous-author": "no single author",
  "look-alike-domain": "look-alike domain",
  "name-holds-address": "name shows another address",
  "name-of-ours": "name of somebody here",
  "deceptive-characters": "deceptive characters",
  "first-contact": "first contact",
  "reply-elsewhere": "answers go elsewhere",
  "payment-change": "speaks of a payment",
  "via-other-domain": "sent via another domain",
};

export function sendersCard(figures: SenderFigures): Html {
  const { results, evidence } = figures;
  const isEmpty =
    figures.validated === 0 &&
    [...results.map((one) => one.seen + one.accepted), ...evidence.map((one) => one.count)].every(
      (count) => count === 0,
    );
  return html`<section class="wide"><h2>Senders</h2>${
    isEmpty
      ? html`<p class="empty">No sender has been checked since the start.</p>`
      : html`<div class="senders"><div>${senderIdTable(figures)}</div>
<div>${resultTable(results)}</div><div>${evidenceTable(evidence)}</div></div>`
  }</section>`;
}

function senderIdTable({ validated, senderId }: SenderFigures): Html {
  return html`<h3>Sender ID (legacy)</h3>
<table><thead><tr><th scope="col">status</th><th scope="col" class="number">messages</th>
<th scope="col" class="number">share</th></tr></thead><tbody>${senderId.map(
    ({ status, count, share }) => html`<tr><th scope="row">${statusWords[status]}${bar(share)}</th>
<td class="number">${count}</td><td class="number">${percent(share)}</td></tr>`,
  )}</tbody><tfoot><tr><th scope="row">Validated</th><td class="number">${validated}</td>
<td class="number">${validated === 0 ? "–" : "100 %"}</td></tr></tfoot></table>`;
}

/** Results that never came are left out. */
function resultTable(results: SenderFigures["results"]): Html {
  const sums = Map.groupBy(results, ({ method }) => method);
  const shareOf = (method: (typeof results)[number]["method"], seen: number): number => {
    const all = (sums.get(method) ?? []).reduce((sum, one) => sum + one.seen, 0);
    return all === 0 ? 0 : seen / all;
  };
  const came = results.filter(({ seen, accepted }) => seen + accepted > 0);
  return html`<h3>Checks</h3>
<table><thead><tr><th scope="col">result</th><th scope="col" class="number">at the edge</th>
<th scope="col" class="number">taken in</th></tr></thead><tbody>${came.map(
    ({
      method,
      result,
      seen,
      accepted,
    }) => html`<tr><th scope="row">${methodWords[method]} ${result}
${bar(shareOf(method, seen))}</th><td class="number">${seen}</td><td class="number">${accepted}</td></tr>`,
  )}</tbody></table>
<p class="quiet">DKIM counts signatures, the others messages.</p>`;
}

function evidenceTable(evidence: SenderFigures["evidence"]): Html {
  const found = evidence.filter(({ count }) => count > 0);
  const spoofs = found.filter(({ isSpoof }) => isSpoof);
  const hints = found.filter(({ isSpoof }) => !isSpoof);
  return html`<h3>Suspected spoofs</h3>
${spoofs.length === 0 ? html`<p class="empty">None in the mail that was taken in.</p>` : rowsOf(spoofs)}
${hints.length === 0 ? "" : html`<h3>Hints for readers</h3>${rowsOf(hints)}`}`;
}

function rowsOf(evidence: SenderFigures["evidence"]): Html {
  const most = Math.max(...evidence.map(({ count }) => count));
  return html`<table><thead><tr><th scope="col">type, and where it came from</th>
<th scope="col" class="number">taken in</th></tr></thead><tbody>${evidence.map(
    ({ type, count, origins }) => html`<tr><th scope="row">${evidenceWords[type]}
<span class="quiet origins">${originText(origins)}</span>${bar(count / most)}</th>
<td class="number">${count}</td></tr>`,
  )}</tbody></table>`;
}

function originText(origins: Readonly<Record<SenderOrigin, number>>): string {
  return Object.entries(origins)
    .filter(([, count]) => count > 0)
    .map(([origin, count]) => `${origin} ${count}`)
    .join(", ");
}

/** For eyes only: the number stands beside it. */
function bar(share: number): Html {
  return html`<progress aria-hidden="true" max="1" value="${share}"></progress>`;
}

function percent(share: number): string {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  return `${Number((share * 100).toFixed(1))} %`;
}
