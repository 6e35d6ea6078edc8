/** `postern account sessions`: where somebody is signed in on the web. */

import type { Command } from "commander";
import { adminClient } from "../admin-client.ts";
import { ExitError, exitCodes } from "../exit.ts";
import { localTime, textTable } from "../table.ts";
import { dataOf, output } from "./shared.ts";

interface SessionRow {
  readonly id: string;
  readonly issuedAtMs: number;
  readonly usedAtMs: number;
  readonly clientAddress: string;
  readonly publicComputer: boolean;
}

export function addSessionCommands(account: Command): void {
  account
    .command("sessions <address>")
    .description("where an account is signed in on the web; --end or --end-all signs it out")
    .option("--end <id>", "end this one")
    .option("--end-all", "end all of the account")
    .action(async (address: string, options: { end?: string; endAll?: true }, command: Command) => {
      const client = adminClient(dataOf(command));
      const where = `/accounts/${encodeURIComponent(address)}/sessions`;
      if (options.end !== undefined && options.endAll) {
        throw new ExitError(exitCodes.usage, "either --end or --end-all");
      }
      if (options.end === undefined && !options.endAll) {
        const sessions = await client.get<SessionRow[]>(where);
        return output(command, sessions, () => (sessions.length === 0 ? "none" : asText(sessions)));
      }
      const one = options.end === undefined ? "" : `/${encodeURIComponent(options.end)}`;
      const done = await client.send<{ done: string }>("DELETE", `${where}${one}`);
      output(command, done, () => `done: ${done.done}`);
    });
}

function asText(sessions: readonly SessionRow[]): string {
  return textTable(
    sessions.map(({ id, issuedAtMs, usedAtMs, clientAddress, publicComputer }) => [
      id,
      clientAddress,
      publicComputer ? "public" : "private",
      `since ${localTime(issuedAtMs)}`,
      `used ${localTime(usedAtMs)}`,
    ]),
  );
}
