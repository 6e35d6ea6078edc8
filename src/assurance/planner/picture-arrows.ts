/** The arrows of a plan's picture: what flows between two ends becomes one line with its ports. */

import { type Flow, type Party, portText } from "./flow.ts";
import type { Box, HostBox, Lane, ZoneBox } from "./picture-layout.ts";
import type { Plan } from "./plan.ts";

export interface Arrow {
  /** Corners of the line, from its start to its tip. */
  readonly corners: readonly Point[];
  readonly label: Box;
  readonly lines: readonly string[];
  readonly kind: ArrowKind;
}

export type Point = readonly [x: number, y: number];
export type ArrowKind = "hole" | "outside" | "tunnel" | "plain";

export interface Bundle {
  readonly from: Party;
  readonly to: Party;
  readonly lines: readonly string[];
  readonly kind: ArrowKind;
}

const lineHeight = 18;
const letterWidth = 7.9;
const labelMaxLetters = 44;

export function bundlesOf(plan: Plan): readonly Bundle[] {
  const holes = new Set(plan.holes);
  const groups = Map.groupBy(plan.flows, ({ from, to, inside }) =>
    JSON.stringify([from.name, to.name, inside]),
  );
  return [...groups.values()].flatMap((flows) => {
    const [first] = flows;
    if (first === undefined) return [];
    const { from, to, inside } = first;
    const isOutside = from.zoneKind === "internet" || to.zoneKind === "internet";
    const open = isOutside ? "outside" : "plain";
    const kind =
      inside !== undefined ? "tunnel" : flows.some((flow) => holes.has(flow)) ? "hole" : open;
    const words = inside === undefined ? wordsOf(flows) : [`${inside}:`, ...wordsOf(flows)];
    return [{ from, to, kind, lines: wrapped(words) }];
  });
}

/** "25 SMTP" while there are few, else the ports alone; what is not TCP says so. */
function wordsOf(flows: readonly Flow[]): readonly string[] {
  const isFew = new Set(flows.map(({ what }) => what)).size <= 2;
  const ports = Map.groupBy(flows, portText);
  return [...ports].map(([port, same]) => {
    const ways = same.map(({ protocol }) => protocol).sort();
    const way = ways.join("+") === "tcp" ? "" : ways.join("+");
    const name = isFew ? (same[0]?.what.split(",")[0] ?? "") : "";
    return [port, way, name].filter((word) => word !== "").join(" ");
  });
}

function wrapped(words: readonly string[]): readonly string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    const longer = last === undefined ? word : `${last}${last.endsWith(":") ? " " : " · "}${word}`;
    if (last === undefined || longer.length > labelMaxLetters) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

export function labelHeight({ lines }: Bundle): number {
  return lines.length * lineHeight + 8;
}

export interface Scene {
  readonly bundles: readonly Bundle[];
  readonly lanes: readonly (Lane & { readonly y: number })[];
  readonly zones: readonly ZoneBox[];
  readonly hosts: readonly HostBox[];
  /** Right edge of the zones; the gutter begins there. */
  readonly right: number;
  readonly gutterStep: number;
}

export function arrowsOf(scene: Scene): readonly Arrow[] {
  const docks = docksOf(scene);
  let far = 0;
  return scene.bundles.flatMap((bundle) => {
    const [first, second] = scene.lanes.filter((lane) => lane.bundle === bundle);
    const [start, end] = docks.get(bundle) ?? [];
    if (first === undefined || start === undefined || end === undefined) return [];
    if (second !== undefined) far += 1;
    const gutter = scene.right + far * scene.gutterStep;
    const way: readonly Point[] =
      second === undefined
        ? [
            [start[0], first.y],
            [end[0], first.y],
          ]
        : [
            [start[0], first.y],
            [gutter, first.y],
            [gutter, second.y],
            [end[0], second.y],
          ];
    const turn = second === undefined ? end[0] : gutter;
    const label = labelAt((start[0] + turn) / 2, first.y, bundle, scene.right);
    const { kind, lines } = bundle;
    return [{ corners: [start, ...way, end], label, lines, kind }];
  });
}

function labelAt(middle: number, y: number, bundle: Bundle, right: number): Box {
  const width = Math.max(...bundle.lines.map(({ length }) => length)) * letterWidth + 20;
  const height = labelHeight(bundle);
  const x = Math.min(Math.max(middle - width / 2, 24), right - 8 - width);
  return { x, y: y - height / 2, width, height };
}

/** Where lines leave and enter boxes: spread over an edge, in the order of where they lead. */
function docksOf(scene: Scene): ReadonlyMap<Bundle, readonly [Point, Point]> {
  const boxOf = (party: Party): Box | undefined =>
    party.kind === "host"
      ? scene.hosts.find(({ host }) => host.name === party.name)
      : scene.zones.find(({ zone }) => zone.name === party.name);
  const ends = scene.bundles.flatMap((bundle) => {
    const lanes = scene.lanes.filter((lane) => lane.bundle === bundle);
    const [from, to] = [boxOf(bundle.from), boxOf(bundle.to)];
    const [first, last] = [lanes[0], lanes.at(-1)];
    if (from === undefined || to === undefined || first === undefined || last === undefined)
      return [];
    return [
      { bundle, box: from, other: to, isBelow: first.y > from.y, end: 0 },
      { bundle, box: to, other: from, isBelow: last.y > to.y, end: 1 },
    ];
  });
  const edges = Map.groupBy(ends, ({ box, isBelow }) => `${box.x} ${box.y} ${isBelow}`);
  const docks = new Map<Bundle, [Point, Point]>();
  for (const edge of edges.values()) {
    const sorted = edge.toSorted((one, two) => middleOf(one.other) - middleOf(two.other));
    for (const [index, { bundle, box, isBelow, end }] of sorted.entries()) {
      const x = box.x + (box.width * (index + 1)) / (sorted.length + 1);
      const both = docks.get(bundle) ?? [
        [0, 0],
        [0, 0],
      ];
      both[end] = [x, isBelow ? box.y + box.height : box.y];
      docks.set(bundle, both);
    }
  }
  return docks;
}

function middleOf({ x, width }: Box): number {
  return x + width / 2;
}
