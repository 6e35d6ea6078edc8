/** `postern account factors` and `app-password`: how somebody signs in besides the password. */

import type { Command } from "commander";
import { adminClient } from "../admin-client.ts";
import { ExitError, exitCodes } from "../exit.ts";
import { localTime, textTable } from "../table.ts";
import { dataOf, output } from "./shared.ts";

interface FactorRow {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly addedAtMs: number;
  readonly usedAtMs?: number;
  readonly left?: number;
}

const examples = `
Examples:
  postern account factors ana@example.org
  postern account factors ana@example.org --remove kBx3Yp0fQ2aT
  postern account factors ana@example.org --reset

An app password that is removed ends what programs have open with it; any other factor that is removed
ends all that the account has open. After --reset the password alone leads in, or,
where login.requireSecondFactor is set, to the enrolment of a new factor.`;

export function addFactorCommands(account: Command): void {
  account
    .command("factors <address>")
    .description(
      "second factors and app passwords of an account; --remove or --reset takes them away",
    )
    .option("--remove <id>", "take this one away")
    .option("--reset", "take all away, for somebody who lost them")
    .addHelpText("after", examples)
    .action(
      async (address: string, options: { remove?: string; reset?: true }, command: Command) => {
        const client = adminClient(dataOf(command));
        const where = `/accounts/${encodeURIComponent(address)}/factors`;
        if (options.remove !== undefined && options.reset) {
          throw new ExitError(exitCodes.usage, "either --remove or --reset");
        }
        if (options.remove === undefined && !options.reset) {
          const factors = await client.get<FactorRow[]>(where);
          return output(command, factors, () => (factors.length === 0 ? "none" : asText(factors)));
        }
        const one = options.remove === undefined ? "" : `/${encodeURIComponent(options.remove)}`;
        const done = await client.send<{ done: string }>("DELETE", `${where}${one}`);
        output(command, done, () => `done: ${done.done}`);
      },
    );
  account
    .command("app-password <address> <name>")
    .description("make a password for one program (mail client, phone); it is shown this once")
    .action(async (address: string, name: string, _options, command: Command) => {
      const where = `/accounts/${encodeURIComponent(address)}/app-passwords`;
      const made = await adminClient(dataOf(command)).send<{ id: string; password: string }>(
        "POST",
        where,
        { name },
      );
      output(command, made, () => made.password);
    });
}

function asText(factors: readonly FactorRow[]): string {
  return textTable(
    factors.map(({ id, kind, name, left, addedAtMs, usedAtMs }) => [
      id,
      kind,
      left === undefined ? name : `${left} left`,
      localTime(addedAtMs),
      usedAtMs === undefined ? "" : `used ${localTime(usedAtMs)}`,
    ]),
  );
}
