/** Geometry of a plan's picture: zones in rows, hosts in zones, and flows in lanes between the rows. */

import { type Arrow, arrowsOf, type Bundle, bundlesOf, labelHeight } from "./picture-arrows.ts";
import type { Plan } from "./plan.ts";
import type { Host, Topology, Zone, ZoneKind } from "./topology.ts";

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface ZoneBox extends Box {
  readonly zone: Zone;
}

export interface HostBox extends Box {
  readonly host: Host;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly zones: readonly ZoneBox[];
  readonly hosts: readonly HostBox[];
  readonly arrows: readonly Arrow[];
}

export const pictureWidth = 640;
const margin = 16;
const titleHeight = 76;
const legendHeight = 44;
const padding = 12;
const zoneHead = 54;
const hostHeight = 52;
const laneGap = 14;
/** Room for a line that only turns. */
const turnHeight = 2;
const gutterStep = 12;

/** What stands beside what, from the outside to the inside. */
const rowOf: Readonly<Record<ZoneKind, number>> = {
  internet: 0,
  dmz: 1,
  inside: 2,
  lan: 3,
  admin: 3,
};

/** A stretch of a bundle's way: the gap below which row, and how high. */
export interface Lane {
  readonly bundle: Bundle;
  readonly gap: number;
  readonly height: number;
}

export function layoutOf(plan: Plan): Layout {
  const rows = [0, 1, 2, 3]
    .map((row) => plan.topology.zones.filter(({ kind }) => rowOf[kind] === row))
    .filter((zones) => zones.length > 0);
  const bundles = bundlesOf(plan);
  const row = (zone: string): number =>
    rows.findIndex((all) => all.some(({ name }) => name === zone));
  const wanted = bundles.flatMap((bundle) => lanesOf(bundle, row));
  const farCount = wanted.filter(({ height }) => height === turnHeight).length;
  const right = pictureWidth - margin - farCount * gutterStep;
  const zones: ZoneBox[] = [];
  const hosts: HostBox[] = [];
  const heights = new Map<Lane, number>();
  let y = titleHeight;
  for (const [index, all] of rows.entries()) {
    const placed = placeRow(all, plan.topology, y, right);
    zones.push(...placed.zones);
    hosts.push(...placed.hosts);
    y = Math.max(...placed.zones.map((box) => box.y + box.height)) + laneGap;
    for (const lane of wanted.filter(({ gap }) => gap === index)) {
      heights.set(lane, y + lane.height / 2);
      y += lane.height + laneGap;
    }
  }
  const lanes = wanted.map((lane) => ({ ...lane, y: heights.get(lane) ?? 0 }));
  const arrows = arrowsOf({ bundles, lanes, zones, hosts, right, gutterStep });
  return { width: pictureWidth, height: y + legendHeight, zones, hosts, arrows };
}

/** One lane, or two when rows lie between: the words stand in the one where the flow starts. */
function lanesOf(bundle: Bundle, row: (zone: string) => number): readonly Lane[] {
  const [from, to] = [row(bundle.from.zone), row(bundle.to.zone)];
  const height = labelHeight(bundle);
  if (from === to) return [{ bundle, gap: from, height }];
  const start = from < to ? from : from - 1;
  const end = from < to ? to - 1 : to;
  const first = { bundle, gap: start, height };
  return start === end ? [first] : [first, { bundle, gap: end, height: turnHeight }];
}

function placeRow(
  row: readonly Zone[],
  topology: Topology,
  y: number,
  right: number,
): { readonly zones: readonly ZoneBox[]; readonly hosts: readonly HostBox[] } {
  const of = ({ name }: Zone): readonly Host[] =>
    topology.hosts.filter(({ zone }) => zone === name);
  const height = row.some((zone) => of(zone).length > 0) ? zoneHead + hostHeight + padding : 48;
  const shares = row.map((zone) => Math.max(1, of(zone).length));
  const unit =
    (right - margin - padding * (row.length - 1)) / shares.reduce((sum, one) => sum + one, 0);
  const zones: ZoneBox[] = [];
  const hosts: HostBox[] = [];
  let x = margin;
  for (const [index, zone] of row.entries()) {
    const width = unit * (shares[index] ?? 1);
    zones.push({ zone, x, y, width, height });
    const own = of(zone);
    const hostWidth = (width - padding * (own.length + 1)) / Math.max(1, own.length);
    for (const [place, host] of own.entries()) {
      const left = x + padding + place * (hostWidth + padding);
      hosts.push({ host, x: left, y: y + zoneHead, width: hostWidth, height: hostHeight });
    }
    x += width + padding;
  }
  return { zones, hosts };
}
