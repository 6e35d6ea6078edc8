/** `postern plan rules`: generated configurations, one to standard output or all into a folder. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { hostRules, type Plan, swanctlText, wireguardFiles, zoneRules } from "#assurance/planner";
import { ExitError, exitCodes, print } from "../exit.ts";
import { unknownName } from "./plan-topology.ts";
import { output } from "./shared.ts";

export const formats = ["nftables", "generic", "swanctl", "wireguard"] as const;

interface RulesOptions {
  readonly host?: string;
  readonly format: string;
  readonly into?: string;
}

export function writeRules(plan: Plan, command: Command): void {
  const { host, format, into } = command.opts<RulesOptions>();
  if (into !== undefined) {
    const files = allFiles(plan);
    mkdirSync(into, { recursive: true });
    for (const [name, text] of files) writeFileSync(join(into, name), text);
    const names = files.map(([name]) => name);
    output(command, { folder: into, files: names }, () =>
      names.map((name) => join(into, name)).join("\n"),
    );
    return;
  }
  const known = formats.find((one) => one === format);
  if (known === undefined) throw unknownName("format", format, formats);
  if (known === "generic") print(zoneRules(plan));
  else print(textFor(plan, host, known));
}

function textFor(
  plan: Plan,
  end: string | undefined,
  format: "nftables" | "swanctl" | "wireguard",
): string {
  const { hosts, zones } = plan.topology;
  const names = [...hosts, ...(format === "swanctl" ? zones : [])].map(({ name }) => name);
  if (end === undefined)
    throw new ExitError(exitCodes.usage, `--host is missing: ${names.join(", ")}`);
  if (!names.includes(end)) throw unknownName("host", end, names);
  if (format === "nftables") return hostRules(plan, end);
  const text =
    format === "swanctl"
      ? swanctlText(plan, end)
      : wireguardFiles(plan, end)
          .map((file) => file.text)
          .join("\n");
  if (text === undefined || text === "") {
    throw new ExitError(
      exitCodes.usage,
      `${end} has no link by ${format === "swanctl" ? "ipsec" : "wireguard"}`,
    );
  }
  return text;
}

/** Name and text of every file that the plan gives. */
function allFiles(plan: Plan): readonly (readonly [name: string, text: string])[] {
  const { hosts, zones } = plan.topology;
  const ends = [...hosts, ...zones].map(({ name }) => name);
  return [
    ["zone-firewall.nft", zoneRules(plan)],
    ...hosts.map(({ name }) => [`${name}.nft`, hostRules(plan, name)] as const),
    ...ends.flatMap((name) => {
      const text = swanctlText(plan, name);
      return text === undefined ? [] : [[`${name}.swanctl.conf`, text] as const];
    }),
    ...hosts.flatMap(({ name }) =>
      wireguardFiles(plan, name).map(
        ({ device, text }) => [`${name}.${device}.conf`, text] as const,
      ),
    ),
  ];
}
