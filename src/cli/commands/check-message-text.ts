/** What `postern check message` found, for a terminal of 80 columns. */

import type { Pra } from "#identity/sender-id";
import { wrapText } from "#identity/spf-advice";
import type { Source } from "#model/connection";
import type { Disposition } from "#model/decision";
import type { Explained } from "./check-message.ts";

export function explainedText(found: Explained): string {
  const { sender, source, author, pra, spf, senderId, dkim, arc, dmarc, spam, outcome } = found;
  const rows = [
    ["author", author.kind === "one" ? author.address : author.why],
    ["sent by", sourceText(source)],
    ["responsible", praText(pra)],
    ["SPF", verdictText(spf)],
    ["Sender ID", `${verdictText(senderId)} (${senderId.status}, ${senderId.class}; legacy)`],
    ...dkim.map((one) => ["DKIM", verdictText(one)] as const),
    ["ARC", verdictText(arc)],
    ["DMARC", verdictText(dmarc)],
    ["state", `${sender.result}; origin: ${sender.origin}`],
    ...sender.evidence.map(({ type, text }) => ["evidence", `${type}: ${text}`] as const),
    ["outcome", `${outcomes[outcome.disposition]}: ${outcome.because}`],
    ["spam level", `${spam.level} of 9`],
    ...spam.reasons.map(({ points, text }) => ["", `${points > 0 ? "+" : ""}${points} ${text}`]),
  ] as const;
  const lines = rows.flatMap(([name = "", text = ""]) =>
    wrapText(plain(text), name.padEnd(labelWidth), " ".repeat(labelWidth)),
  );
  const field = found.authenticationResults.split("\r\n").map((line) => line.replace("\t", "  "));
  return [...wrapText(plain(found.why)), "", ...lines, "", ...field.map(plain)].join("\n");
}

const outcomes: Readonly<Record<Disposition, string>> = {
  accept: "inbox",
  quarantine: "Junk",
  defer: "put off",
  reject: "refused",
};

const labelWidth = 13;

/** Strangers wrote some of it: nothing that moves a terminal's cursor gets through. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, " ");
}

function verdictText({ result, why }: { readonly result: string; readonly why: string }): string {
  return `${result}: ${why}`;
}

function sourceText({ kind, address, helo, passed }: Source): string {
  if (kind === "unknown") return "not known";
  const name = helo === "" ? "" : ` (${helo})`;
  return `${address}${name}${passed === 0 ? "" : `, says Received field ${passed}`}`;
}

/** The block of trace fields tells which of several Resent fields is the newest (RFC 4407 §2). */
function praText(pra: Pra): string {
  if (pra.kind !== "found") return pra.why;
  const block = pra.traceAbove === 0 ? "" : `, below ${pra.traceAbove} trace fields`;
  return `${pra.address} (${pra.header}${block})`;
}
