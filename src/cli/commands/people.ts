/** `postern domain`, `postern account`, `postern alias`. */

import type { Command } from "commander";
import type { ReadByOther } from "#model/retention";
import { adminClient } from "../admin-client.ts";
import { readSecretLine } from "../secret-input.ts";
import { localTime, textTable } from "../table.ts";
import { addFactorCommands } from "./factors.ts";
import { periodMs } from "./mail.ts";
import { addSessionCommands } from "./sessions.ts";
import { countOf, dataOf, output } from "./shared.ts";

export function addPeopleCommands(program: Command): void {
  const domain = program.command("domain").description("mail domains of this installation");
  domain
    .command("list")
    .description("show all domains")
    .action(async (_options, command: Command) => {
      const domains = await adminClient(dataOf(command)).get<{ name: string }[]>("/domains");
      output(command, domains, () => domains.map(({ name }) => name).join("\n"));
    });
  domain
    .command("add <name>")
    .description("take mail for a domain; makes its DKIM keys")
    .action(async (name: string, _options, command: Command) => {
      const done = await adminClient(dataOf(command)).send<object>("POST", "/domains", { name });
      output(command, done, () => `${name} added. Publish its records: postern dns show ${name}`);
    });
  removal(
    domain,
    "/domains",
    "take no more mail for it; its accounts and aliases go first, and what the configuration says of it",
  );
  accountCommands(program);
  aliasCommands(program);
}

function removal(group: Command, path: string, what: string): void {
  group
    .command("remove <name>")
    .description(what)
    .action(async (name: string, _options, command: Command) => {
      const where = `${path}/${encodeURIComponent(name)}`;
      const done = await adminClient(dataOf(command)).send<object>("DELETE", where);
      output(command, done, () => `${name} removed`);
    });
}

interface AccountRow {
  readonly address: string;
  readonly displayName: string;
  readonly createdAtMs: number;
}

function accountCommands(program: Command): void {
  const account = program.command("account").description("people with a mailbox");
  account
    .command("list")
    .description("show all accounts")
    .action(async (_options, command: Command) => {
      const accounts = await adminClient(dataOf(command)).get<AccountRow[]>("/accounts");
      output(command, accounts, () =>
        textTable(
          accounts.map((one) => [one.address, one.displayName, localTime(one.createdAtMs)]),
        ),
      );
    });
  account
    .command("add <address>")
    .description("make an account; the password is read from standard input")
    .option("--name <text>", "display name", "")
    .action(async (address: string, options: { name: string }, command: Command) => {
      const password = await readSecretLine(`Password for ${address}: `);
      const wish = { address, displayName: options.name, password };
      const done = await adminClient(dataOf(command)).send<object>("POST", "/accounts", wish);
      output(command, done, () => `${address} added`);
    });
  account
    .command("password <address>")
    .description("set a new password, read from standard input")
    .action(async (address: string, _options, command: Command) => {
      const password = await readSecretLine(`New password for ${address}: `);
      const where = `/accounts/${encodeURIComponent(address)}/password`;
      const done = await adminClient(dataOf(command)).send<object>("PUT", where, { password });
      output(command, done, () => `password of ${address} set`);
    });
  addFactorCommands(account);
  addSessionCommands(account);
  removal(account, "/accounts", "nobody logs in with it any more, and it gets no mail");
  account
    .command("reads <address>")
    .description("who else has read mail of this account, newest first; the owner sees the same")
    .option("--since <period>", "only the last 12h, 7d or 365d")
    .option("--limit <count>", "at most so many", "100")
    .action(
      async (address: string, options: { since?: string; limit: string }, command: Command) => {
        const query = new URLSearchParams({ limit: countOf(options.limit, "--limit") });
        if (options.since !== undefined) {
          query.set("since", String(Date.now() - periodMs(options.since)));
        }
        const where = `/accounts/${encodeURIComponent(address)}/reads?${query}`;
        const reads = await adminClient(dataOf(command)).get<ReadRow[]>(where);
        output(command, reads, () => (reads.length === 0 ? "nobody" : readsText(reads)));
      },
    );
}

type ReadRow = Omit<ReadByOther, "account">;

function readsText(reads: readonly ReadRow[]): string {
  return textTable(
    reads.map(({ atMs, by, message, reason }) => [localTime(atMs), by, message, reason]),
  );
}

function aliasCommands(program: Command): void {
  const alias = program.command("alias").description("addresses that lead to others");
  alias
    .command("list")
    .description("show all aliases")
    .action(async (_options, command: Command) => {
      const aliases = await adminClient(dataOf(command)).get<
        { address: string; targets: string[] }[]
      >("/aliases");
      output(command, aliases, () =>
        textTable(aliases.map(({ address, targets }) => [address, targets.join(", ")])),
      );
    });
  alias
    .command("add <address> <targets...>")
    .description("mail for ADDRESS goes to every TARGET")
    .action(async (address: string, targets: string[], _options, command: Command) => {
      const wish = { address, targets };
      const done = await adminClient(dataOf(command)).send<object>("POST", "/aliases", wish);
      output(command, done, () => `${address} leads to ${targets.join(", ")}`);
    });
  removal(alias, "/aliases", "mail for it is refused from now on");
}
