/** A plan as an SVG picture: zones, hosts and flows, light or dark as the reader's system is. */

import { openCount } from "./flow.ts";
import type { Arrow, Point } from "./picture-arrows.ts";
import { type HostBox, type Layout, layoutOf, type ZoneBox } from "./picture-layout.ts";
import type { Plan } from "./plan.ts";

const style = `
.ground{fill:#fff}.zone{fill:#f5f7fa;stroke:#d9dfe8}.host{fill:#fff;stroke:#8a95a8}
text{font:15px system-ui,sans-serif;fill:#1b2330}.title{font-size:21px;font-weight:600}
.name{font-weight:600}.quiet{fill:#5a6475;font-size:13px}.ports{font:13px ui-monospace,monospace}
.line{fill:none;stroke:#5a6475;stroke-width:1.5}.label{fill:#fff;stroke:#5a6475}
.tip{fill:#5a6475}.over{paint-order:stroke;stroke:#f5f7fa;stroke-width:5px}
.hole .line{stroke:#b3122a;stroke-width:2.5}.hole .label{stroke:#b3122a;fill:#fff3f3}.hole .tip{fill:#b3122a}
.outside .line{stroke:#1157ea}.outside .label{stroke:#1157ea}.outside .tip{fill:#1157ea}
.tunnel .line{stroke:#137344;stroke-dasharray:6 4}.tunnel .label{stroke:#137344}.tunnel .tip{fill:#137344}
.bad{fill:#b3122a;font-weight:600}.good{fill:#137344;font-weight:600}
@media (prefers-color-scheme:dark){
.ground{fill:#141a22}.zone{fill:#1b222c;stroke:#323d4c}.host{fill:#141a22;stroke:#8a95a8}
text{fill:#e6ebf3}.quiet{fill:#a2adc0}.line{stroke:#a2adc0}.label{fill:#141a22;stroke:#a2adc0}
.tip{fill:#a2adc0}.over{stroke:#1b222c}
.hole .line{stroke:#f1797a}.hole .label{stroke:#f1797a;fill:#2b161b}.hole .tip{fill:#f1797a}
.outside .line{stroke:#5b9afb}.outside .label{stroke:#5b9afb}.outside .tip{fill:#5b9afb}
.tunnel .line{stroke:#8fefc8}.tunnel .label{stroke:#8fefc8}.tunnel .tip{fill:#8fefc8}
.bad{fill:#f1797a}.good{fill:#8fefc8}}
`;

export function pictureText(plan: Plan): string {
  const layout = layoutOf(plan);
  const { width, height } = layout;
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} style="max-width:100%;height:auto" role="img">
<title>${escaped(`Placement ${plan.topology.name}: ${summaryOf(plan)}`)}</title>
<style>${style}</style>
<rect class="ground" width="${width}" height="${height}"/>
<text class="title" x="16" y="34">${escaped(shortened(plan.topology.name, 44))}</text>
<text class="${plan.holes.length + plan.misplaced.length === 0 ? "good" : "bad"}" x="16" y="58">${escaped(summaryOf(plan))}</text>
${layout.zones.map(zoneText).join("\n")}
${layout.arrows.map(lineText).join("\n")}
${layout.hosts.map(hostText).join("\n")}
${layout.zones.map(zoneNameText).join("\n")}
${layout.arrows.map(labelText).join("\n")}
${legendText(layout)}
</svg>
`;
}

function summaryOf({ holes, misplaced }: Plan): string {
  if (holes.length === 0 && misplaced.length > 0)
    return `In the DMZ itself: ${misplaced.join(", ")}`;
  if (holes.length === 0) return "0 ports open from the DMZ to the inside";
  const ports = openCount(holes);
  const shown = `${ports.toLocaleString("en-US")} port${ports === 1 ? "" : "s"}`;
  return `${shown} open from the DMZ to the inside (${holes.length} rule${holes.length === 1 ? "" : "s"})`;
}

function zoneText({ x, y, width, height }: ZoneBox): string {
  return `<rect class="zone" x="${x}" y="${y}" width="${round(width)}" height="${height}" rx="8"/>`;
}

function zoneNameText({ zone, x, y, width }: ZoneBox): string {
  const networks = zone.networks.join(", ") || "everybody else";
  const most = Math.floor((width - 24) / 7);
  return `<text class="name over" x="${round(x + 12)}" y="${y + 20}">${escaped(zone.name)}</text>
<text class="quiet over" x="${round(x + 12)}" y="${y + 37}">${escaped(shortened(networks, most))}</text>`;
}

function hostText({ host, x, y, width, height }: HostBox): string {
  const middle = round(x + width / 2);
  const most = Math.floor((width - 12) / 7);
  const roles = host.roles.join(", ") || (host.addresses[0] ?? "");
  return `<rect class="host" x="${round(x)}" y="${y}" width="${round(width)}" height="${height}" rx="6"/>
<text class="name" text-anchor="middle" x="${middle}" y="${y + 22}">${escaped(shortened(host.name, most))}</text>
<text class="quiet" text-anchor="middle" x="${middle}" y="${y + 41}">${escaped(shortened(roles, most))}</text>`;
}

function lineText({ corners, kind }: Arrow): string {
  const tip = corners.at(-1) ?? [0, 0];
  const before = corners.at(-2) ?? tip;
  const down = tip[1] > before[1] ? -8 : 8;
  const [x, y] = [round(tip[0]), tip[1]];
  const back = y + down;
  return `<g class="${kind}"><path class="line" d="${pathOf([...corners.slice(0, -1), [tip[0], back]])}"/>
<path class="tip" d="M${x} ${y}l-5 ${down}h10z"/></g>`;
}

/** Corners rounded as far as the shorter of their sides allows. */
function pathOf(corners: readonly Point[]): string {
  const [start = [0, 0]] = corners;
  const parts = [`M${round(start[0])} ${round(start[1])}`];
  for (const [index, corner] of corners.entries()) {
    const [before, after] = [corners[index - 1], corners[index + 1]];
    if (before === undefined) continue;
    if (after === undefined) parts.push(`L${round(corner[0])} ${round(corner[1])}`);
    else {
      const near = Math.min(8, distance(before, corner) / 2, distance(corner, after) / 2);
      const [a, b] = [towards(corner, before, near), towards(corner, after, near)];
      parts.push(`L${a}Q${round(corner[0])} ${round(corner[1])} ${b}`);
    }
  }
  return parts.join("");
}

function distance(one: Point, other: Point): number {
  return Math.abs(one[0] - other[0]) + Math.abs(one[1] - other[1]);
}

/** All lines run straight across or straight up and down. */
function towards(from: Point, to: Point, by: number): string {
  const x = from[0] + Math.sign(to[0] - from[0]) * by;
  const y = from[1] + Math.sign(to[1] - from[1]) * by;
  return `${round(x)} ${round(y)}`;
}

function labelText({ label, lines, kind }: Arrow): string {
  const { x, y, width, height } = label;
  const middle = round(x + width / 2);
  const rows = lines.map(
    (line, index) =>
      `<text class="ports" text-anchor="middle" x="${middle}" y="${y + 17 + index * 18}">${escaped(line)}</text>`,
  );
  return `<g class="${kind}"><rect class="label" x="${round(x)}" y="${y}" width="${round(width)}" height="${height}" rx="6"/>
${rows.join("")}</g>`;
}

function legendText({ arrows, height }: Layout): string {
  const all: readonly (readonly [Arrow["kind"], string])[] = [
    ["hole", "DMZ to inside"],
    ["outside", "to or from the Internet"],
    ["plain", "between own networks"],
    ["tunnel", "inside a tunnel"],
  ];
  const used = all.filter(([kind]) => arrows.some((arrow) => arrow.kind === kind));
  const y = height - 20;
  let x = 16;
  const parts = used.map(([kind, words]) => {
    const at = x;
    x += 60 + words.length * 7;
    return `<g class="${kind}"><path class="line" d="M${at} ${y}h24"/><path class="tip" d="M${at + 32} ${y}l-8 -5v10z"/></g>
<text class="quiet" x="${at + 40}" y="${y + 4}">${words}</text>`;
  });
  return parts.join("\n");
}

function shortened(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, Math.max(1, most - 1))}…`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
