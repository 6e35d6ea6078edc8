/** `postern plan show`: the plan as text, JSON, CSV and picture; exit code 2 with a critical finding. */

import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import {
  type BlastRadius,
  blastRadii,
  csvText,
  type Flow,
  findingsOf,
  layoutTopology,
  makePlan,
  openCount,
  type Plan,
  pictureText,
  type Reach,
  serviceText,
} from "#assurance/planner";
import type { Manifest } from "#contracts/manifest";
import { exitCodes } from "../exit.ts";
import { textTable } from "../table.ts";
import { output } from "./shared.ts";

export function showPlan(plan: Plan, manifests: readonly Manifest[], command: Command): void {
  const { csv, svg } = command.opts<{ csv?: string; svg?: string }>();
  if (csv !== undefined) writeFileSync(csv, csvText(plan));
  if (svg !== undefined) writeFileSync(svg, pictureText(plan));
  const findings = findingsOf(plan, manifests);
  const radii = blastRadii(plan);
  const shown = {
    name: plan.topology.name,
    flows: plan.flows.map((flow) => flowFacts(flow, plan)),
    fromDmzToInside: { rules: plan.holes.length, ports: openCount(plan.holes) },
    insideRolesInDmz: plan.misplaced,
    listeners: plan.listeners.map((flow) => flowFacts(flow, plan)),
    findings,
    ifTaken: radii,
  };
  output(command, shown, () =>
    [
      matrix(plan),
      beside(plan, manifests),
      `Findings\n${textTable(findings.map((one) => [`  ${one.level}`, one.capability, one.about, `${one.text}; ${one.advice}`]))}`,
      ["If a host is taken, it can open", ...radii.map(radiusText)].join("\n"),
    ].join("\n\n"),
  );
  if (findings.some(({ level }) => level === "critical")) process.exitCode = exitCodes.findings;
}

function flowFacts(flow: Flow, plan: Plan): Readonly<Record<string, unknown>> {
  const { from, to, ports, ...rest } = flow;
  return {
    from: from.name,
    to: to.name,
    direction: directionOf(flow),
    ...rest,
    ...(ports !== undefined && { firstPort: ports.first, lastPort: ports.last }),
    fromDmzToInside: plan.holes.includes(flow),
  };
}

function directionOf({ from, to }: Flow): string {
  return from.zone === to.zone ? `within ${to.zone}` : `${from.zone} → ${to.zone}`;
}

function matrix({ topology, flows, holes }: Plan): string {
  const rows = flows.map((flow) => [
    holes.includes(flow) ? "!" : " ",
    flow.from.name,
    `→ ${flow.to.name}`,
    serviceText(flow),
    directionOf(flow),
    flow.what,
    [flow.inside, flow.carries].map((link) => (link === undefined ? "" : `link ${link}`)).join(""),
  ]);
  const lines = textTable(rows).split("\n");
  const explained = flows.flatMap(({ reason, breaks, only }, index) => [
    lines[index] ?? "",
    `     ${reason}${only === undefined ? "" : ` (${only.join(", ")})`}; without it: ${breaks}`,
  ]);
  return [`Port matrix: ${topology.name} (! = from the DMZ to the inside)`, ...explained].join(
    "\n",
  );
}

/** This plan between the old way and ours, by what the firewall lets from the DMZ to the inside. */
function beside(plan: Plan, manifests: readonly Manifest[]): string {
  const [old, ours] = (["legacy", "postern"] as const).map((name) =>
    makePlan(layoutTopology(name), manifests),
  );
  const plans = [old, plan, ours].filter((one) => one !== undefined);
  const shown = [...new Map(plans.map((one) => [one.topology.name, one])).values()];
  const targets = shown.map(({ holes }) => [
    ...[...Map.groupBy(holes, ({ to }) => to.name)].map(
      ([name, flows]) => `${name}: ${flows.map(shortText).join(" ")}`,
    ),
    ...(holes.length === 0 ? ["nothing"] : []),
  ]);
  const count = Math.max(...targets.map(({ length }) => length));
  const rows = Array.from({ length: count }, (_, index) => [
    index === 0 ? "  to" : "",
    ...targets.map((all) => all[index] ?? ""),
  ]);
  return `From the DMZ to the inside, side by side\n${textTable([
    ["", ...shown.map(({ topology }) => topology.name)],
    ["  rules", ...shown.map(({ holes }) => `${holes.length}`)],
    ["  ports", ...shown.map(({ holes }) => `${openCount(holes)}`)],
    ...rows,
    ["  in the DMZ itself", ...shown.map(({ misplaced }) => misplaced.join(", ") || "nothing")],
    ["  from outside", ...shown.map(({ listeners }) => listeners.map(shortText).join(" "))],
  ])}`;
}

/** TCP goes without saying. */
function shortText(flow: Flow): string {
  return serviceText(flow).replace("/tcp", "");
}

function radiusText({ host, zone, holds, direct, worst }: BlastRadius): string {
  const inside = direct.filter((one) => one.inside).length;
  const list = (all: readonly Reach[]): string =>
    all.map((one) => `${one.host}:${one.service.replace("/tcp", "")}`).join(" ");
  const further = worst.filter(
    (one) => !direct.some((two) => two.host === one.host && two.service === one.service),
  );
  return [
    `  ${host} (${zone}): ${direct.length === 0 ? "nothing of this plan" : list(direct)}`,
    `     ${inside === 0 ? "nothing" : `${inside} services`} inside`,
    ...(holds.length === 0 ? [] : [`     and what it holds itself: ${holds.join(", ")}`]),
    ...(further.length === 0 ? [] : [`     through those, taken in turn: ${list(further)}`]),
  ].join("\n");
}
