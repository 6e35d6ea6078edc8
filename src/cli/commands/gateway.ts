/** `postern gateway`: domains whose mailboxes are on a server inside, and who has one there. */

import type { Command } from "commander";
import { type AdminClient, adminClient } from "../admin-client.ts";
import { exitCodes } from "../exit.ts";
import { textTable } from "../table.ts";
import { dataOf, output } from "./shared.ts";

const examples = `
Examples:
  postern gateway list                     domains, how recipients are found, what is wrong
  postern gateway ask ana@example.org      is there such a mailbox inside? asked now, not remembered

Gateways are tables [gateway.NAME] of postern.toml (docs/gateway.md). "ask" sends no mail; it exits
with 0 for an address that is known, 1 for one that is not, 75 when that cannot be found out now.`;

interface GatewayState {
  readonly name: string;
  readonly domains: readonly string[];
  readonly recipients: string;
  readonly trouble: string;
  readonly takesAny: readonly string[];
}

interface Told {
  readonly gateway: string;
  readonly recipients: string;
  readonly answer: "known" | "unknown" | "later";
  readonly trouble: string;
  readonly here?: "account" | "alias";
}

export function addGatewayCommands(program: Command): void {
  const gateway = program
    .command("gateway")
    .description("domains whose mailboxes are on a server inside")
    .addHelpText("after", examples);
  gateway
    .command("list")
    .description("every gateway: domains, how recipients are found, and what is wrong")
    .action(async (_options: object, command: Command) => {
      const all = await clientOf(command).get<GatewayState[]>("/gateways");
      output(command, all, () => listText(all));
    });
  gateway
    .command("ask <address>")
    .description("is there such a mailbox inside? asked now, and no mail is sent")
    .action(async (address: string, _options: object, command: Command) => {
      const told = await clientOf(command).send<Told>("POST", "/gateways/ask", { address });
      output(command, told, () => toldText(address, told));
      if (told.answer === "unknown") process.exitCode = exitCodes.failed;
      if (told.answer === "later") process.exitCode = exitCodes.tryAgain;
    });
}

function clientOf(command: Command): AdminClient {
  return adminClient(dataOf(command));
}

export function listText(all: readonly GatewayState[]): string {
  if (all.length === 0) return "no gateway: write [gateway.NAME] into postern.toml";
  return textTable(
    all.map((one) => [one.name, one.domains.join(" "), one.recipients, healthText(one)]),
  );
}

function healthText({ recipients, trouble, takesAny }: GatewayState): string {
  if (trouble !== "" && recipients === "list")
    return `goes by what the list said before: ${trouble}`;
  if (trouble !== "") return `cannot be asked: ${trouble}`;
  if (takesAny.length === 0) return "no trouble seen";
  return `takes any address of ${takesAny.join(" ")}: use recipients list or ldap`;
}

export function toldText(address: string, told: Told): string {
  const { gateway, recipients, answer, trouble, here } = told;
  if (here !== undefined) {
    return `${address}: known (an ${here} here, which goes before gateway ${gateway})`;
  }
  const by = `gateway ${gateway}, recipients ${recipients}`;
  if (answer === "later") return `${address}: cannot be found out now: ${trouble} (${by})`;
  return `${address}: ${answer} (${by})`;
}
