/** `postern plan`: where hosts stand, which ports open and why, the rules for it, and whether it holds. */

import type { Command } from "commander";
import { layoutNames, layoutText } from "#assurance/planner";
import { print } from "../exit.ts";
import type { UpFacts } from "../up/index.ts";
import { formats, writeRules } from "./plan-rules.ts";
import { showPlan } from "./plan-show.ts";
import { installationText, layoutNamed, planOf } from "./plan-topology.ts";
import { verifyHere } from "./plan-verify.ts";
import { configOf, dataOf } from "./shared.ts";

export interface PlanOptions {
  readonly layout?: string;
}

export function addPlanCommands(program: Command, facts: UpFacts): void {
  const manifests = Object.values(facts.manifests);
  const plan = program
    .command("plan")
    .description("placement of the hosts, and its firewall rules");
  const withLayout = (command: Command): Command =>
    command.option("--layout <name>", `a layout that is built in: ${layoutNames.join(", ")}`);
  withLayout(plan.command("show [file]"))
    .description("port matrix with reasons, findings, and what a taken host could reach")
    .option("--csv <file>", "writes the matrix for a spreadsheet")
    .option("--svg <file>", "writes a picture")
    .action((file: string | undefined, options: PlanOptions, command: Command) => {
      showPlan(planOf(file, { ...options, command, manifests }), manifests, command);
    });
  withLayout(plan.command("rules [file]"))
    .description("nftables, strongSwan and WireGuard configurations for one host or for all")
    .option("--host <name>", "a host of the plan; of swanctl, also a zone")
    .option("--format <format>", formats.join(", "), "nftables")
    .option("--into <folder>", "writes every file of every host there")
    .action((file: string | undefined, options: PlanOptions, command: Command) => {
      writeRules(planOf(file, { ...options, command, manifests }), command);
    });
  withLayout(plan.command("verify [file]"))
    .description("tries from this machine what should be open and what should be closed")
    .option("--from <zone>", "where this machine stands, when its addresses do not tell")
    .option("--all-ports", "tries all 65,535 TCP ports of every host, not only the usual ones")
    .action(async (file: string | undefined, options: PlanOptions, command: Command) => {
      await verifyHere(planOf(file, { ...options, command, manifests }), command);
    });
  plan
    .command("layout [name]")
    .description("prints a topology file to start from; without a name that of this installation")
    .action((name: string | undefined, _options, command: Command) => {
      if (name === undefined) print(installationText(dataOf(command), configOf(command)));
      else print(layoutText(layoutNamed(name)));
    });
}
