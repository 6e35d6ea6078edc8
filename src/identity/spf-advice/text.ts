/** Expansions, plans and replays as lines for a terminal of 80 columns. */

import type { SpfPlan } from "./plan.ts";
import type { SpfReplay } from "./replay.ts";
import { limits, type SpfExpansion, type SpfFinding, type SpfNode, type SpfTerm } from "./tree.ts";

const width = 80;
/** Longer terms have a line of their own. */
const nameWidth = 22;
/** Ours: more of one record's terms than anybody reads. */
const maxShown = 60;

/** Breaks at spaces; a word that is too long stays whole, so that it can be copied. */
export function wrapText(text: string, indent = "", hanging: string = indent): string[] {
  const lines: string[] = [];
  let line = indent;
  let isEmpty = true;
  for (const word of text.split(" ")) {
    if (!isEmpty && line.length + 1 + word.length > width) {
      lines.push(line);
      line = hanging;
      isEmpty = true;
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, line];
}

export function expansionLines(expansion: SpfExpansion): string[] {
  const { domain, record, lookups, voids, addresses, openEnded, senderId, findings } = expansion;
  const lines = [domain, ...nodeLines(record, "  ")];
  if (record.terms.length > 0) {
    const worst = Math.max(voids.ipv4, voids.ipv6);
    lines.push(
      "",
      `Look-ups: ${lookups} of ${limits.lookups}; that find nothing: ${worst} of ${limits.voids}.`,
    );
    lines.push(`Addresses that may send: ${addresses.ipv4} IPv4, ${addresses.ipv6} IPv6.`);
  }
  for (const term of openEnded.slice(0, 5)) lines.push(...wrapText(`And whoever ${term} matches.`));
  for (const text of senderId) {
    lines.push(
      ...wrapText(`Sender ID record (RFC 4406, historic, read by few): ${text}`, "", "  "),
    );
  }
  return [...lines, ...findingLines(findings)];
}

function nodeLines(node: SpfNode, indent: string): string[] {
  const lines: string[] = [];
  for (const text of node.text?.split("\n") ?? []) {
    lines.push(...wrapText(text.slice(0, 2000), indent, `${indent}  `));
    const { at } = node.problem ?? {};
    if (at !== undefined) lines.push(`${indent}  from character ${at}: ${text.slice(at, at + 40)}`);
  }
  if (node.problem !== undefined) return [...lines, ...wrapText(node.problem.why, indent)];
  if (indent === "  ") lines.push("");
  for (const term of node.terms.slice(0, maxShown)) lines.push(...termLines(term, indent));
  const more = node.terms.length - maxShown;
  return more > 0 ? [...lines, `${indent}and ${more} more terms`] : lines;
}

function termLines({ text, words, found, unreached, record }: SpfTerm, indent: string): string[] {
  const names = found.length === 0 ? "" : `: ${found.join(", ")}`;
  const says = unreached ? "never read: it stands behind an all" : `${words}${names}`;
  const head = `${indent}${text.padEnd(nameWidth)}  `;
  const lines =
    text.length > nameWidth || head.length > 44
      ? [`${indent}${text}`, ...wrapText(says, `${indent}    `)]
      : wrapText(says, head, indent.padEnd(head.length));
  return record === undefined ? lines : [...lines, ...nodeLines(record, `${indent}  | `)];
}

const marks = { bad: "BAD", warn: "warn", note: "note", unknown: "?" } as const;

export function findingLines(findings: readonly SpfFinding[]): string[] {
  const lines = findings.flatMap(({ level, text, advice }) => [
    ...wrapText(text, marks[level].padEnd(6), "      "),
    ...(advice === undefined ? [] : wrapText(`Do: ${advice}.`, "      ")),
  ]);
  return lines.length === 0 ? [] : ["", ...lines];
}

const conclusions: Readonly<Record<string, string>> = {
  pass: "pass: may send as you",
  fail: "fail: not yours; many servers refuse it",
  softfail: "softfail: probably not yours; often marked as junk",
  neutral: "neutral: you say nothing; as if there were no record",
  permerror: "permerror: the record is broken",
  temperror: "temperror: DNS did not answer",
  none: "none: no record",
};

export function planLines(plan: SpfPlan): string[] {
  const { domain, record, strings, lookups, costs, flatten, samples, findings } = plan;
  const priced = costs.slice(0, 8).map(({ term, lookups: cost }) => `${term} ${cost}`);
  const price = priced.length === 0 ? "" : ` (${priced.join(", ")})`;
  const lines = [`Publish as TXT record of ${domain}:`, "", `  ${record}`, ""];
  if (strings.length > 1) {
    lines.push("In strings, as a zone file needs it:", "");
    lines.push(...strings.map((text) => `  "${text}"`), "");
  }
  lines.push(...wrapText(`Look-ups: ${lookups} of ${limits.lookups}${price}.`, "", "  "));
  lines.push("", "What the world will conclude:");
  for (const { who, ip, result } of samples) {
    lines.push(...wrapText(`${who} (${ip})`, "  "), `    ${conclusions[result] ?? result}`);
  }
  if (flatten !== undefined) {
    const { term, networks } = flatten;
    const what = `${networks.length} networks could stand in place of ${term} and cost no look-up, but then you must follow every change of that provider`;
    const shown = networks.length <= 12 ? `: ${networks.join(", ")}` : "";
    lines.push("", ...wrapText(`${what}${shown}.`));
  }
  return [...lines, ...findingLines(findings)];
}

export function replayLines({ totals, refused, others }: SpfReplay): string[] {
  const counts = Object.entries(totals).map(([result, count]) => `${count} ${result}`);
  const lines = ["", `Your mail under this record: ${counts.join(", ") || "none"}.`];
  for (const { ip, count, result, why } of refused.slice(0, 20)) {
    lines.push(...wrapText(`${count} from ${ip}: ${result} (${why})`, "  ", "    "));
  }
  if (refused.length > 20) lines.push(`  and ${refused.length - 20} more sources`);
  if (others > 0) lines.push(`${others} with return paths of other domains were left out.`);
  return lines;
}
