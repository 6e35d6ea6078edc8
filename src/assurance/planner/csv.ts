/** The port matrix as comma-separated values (RFC 4180), safe to open in a spreadsheet. */

import { portText } from "./flow.ts";
import type { Plan } from "./plan.ts";

const heading = [
  "from",
  "from zone",
  "to",
  "to zone",
  "protocol",
  "port",
  "service",
  "only",
  "inside link",
  "crosses",
  "reason",
  "breaks without it",
];

export function csvText(plan: Plan): string {
  const holes = new Set(plan.holes);
  const rows = plan.flows.map((flow) => [
    flow.from.name,
    flow.from.zone,
    flow.to.name,
    flow.to.zone,
    flow.protocol,
    portText(flow),
    flow.what,
    flow.only?.join(" ") ?? "",
    flow.inside ?? "",
    holes.has(flow) ? "DMZ to inside" : "",
    flow.reason,
    flow.breaks,
  ]);
  return [heading, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** A cell that begins like a formula would be computed by a spreadsheet. */
function cell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return `"${safe.replaceAll('"', '""')}"`;
}
