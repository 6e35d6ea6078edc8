/** `postern retention` and `postern hold`: what mail goes by itself, and whose must not go at all. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import type { Hold, RetentionRule, Withheld } from "#model/retention";
import { type AdminClient, adminClient } from "../admin-client.ts";
import { ExitError, exitCodes } from "../exit.ts";
import { localTime, textTable } from "../table.ts";
import { readMessage } from "./message.ts";
import { countOf, dataOf, output } from "./shared.ts";

export function addRetentionCommands(program: Command): void {
  addRules(program);
  addHolds(program);
}

const ruleExamples = `
Examples:
  postern retention set trash --days 30
  postern retention set junk --days 30
  postern retention set Lists/News --days 90 --account ana@example.org
  postern retention remove trash

MAILBOX is a role (inbox, drafts, sent, archive, junk, trash), else a full name, or "*" for all.
Days count from when the mail came into the mailbox. Of several rules the closest counts: the
account's own before those of all, a name before a role before "*".`;

function addRules(program: Command): void {
  const retention = program
    .command("retention")
    .description("mail that is deleted when it is old enough")
    .addHelpText("after", ruleExamples);
  retention
    .command("list")
    .description("show all rules")
    .action(async (_options, command: Command) => {
      const rules = await adminClient(dataOf(command)).get<RetentionRule[]>("/retention");
      output(command, rules, () => (rules.length === 0 ? "no rules" : rulesText(rules)));
    });
  const set = retention
    .command("set <mailbox>")
    .description("delete what came into MAILBOX more than so many days ago")
    .requiredOption("--days <count>", "1 or more");
  const remove = retention.command("remove <mailbox>").description("keep it again for ever");
  for (const one of [set, remove]) one.option("--account <address>", "only of this account");
  set.action(
    async (mailbox: string, options: { days: string; account?: string }, command: Command) => {
      const days = Number(countOf(options.days, "--days"));
      const rule = { account: options.account ?? "*", mailbox, days };
      const done = await adminClient(dataOf(command)).send<Done>("PUT", "/retention", rule);
      output(command, done, () => done.done);
    },
  );
  remove.action(async (mailbox: string, options: { account?: string }, command: Command) => {
    const query = new URLSearchParams({ account: options.account ?? "*", mailbox });
    const done = await adminClient(dataOf(command)).send<Done>("DELETE", `/retention?${query}`);
    output(command, done, () => done.done);
  });
}

interface Done {
  readonly done: string;
}

function rulesText(rules: readonly RetentionRule[]): string {
  return textTable(
    rules.map(({ account, mailbox, days }) => [
      account === "*" ? "all accounts" : account,
      mailbox === "*" ? "all mailboxes" : mailbox,
      `${days} days`,
    ]),
  );
}

const holdExamples = `
Examples:
  postern hold put ana@example.org --reason "case 2026-17"
  postern hold show ana@example.org
  postern hold export ana@example.org --reason "case 2026-17" --to evidence
  postern hold remove ana@example.org

While a hold lasts nothing of the account is destroyed, whoever deletes it, and the account cannot
be removed. Reading and exporting is written down, and its owner sees it.`;

function addHolds(program: Command): void {
  const hold = program
    .command("hold")
    .description("accounts of which nothing may be destroyed")
    .addHelpText("after", holdExamples);
  hold
    .command("list")
    .description("show all holds")
    .action(async (_options, command: Command) => {
      const holds = await adminClient(dataOf(command)).get<HoldRow[]>("/holds");
      output(command, holds, () => (holds.length === 0 ? "no holds" : holdsText(holds)));
    });
  hold
    .command("put <address>")
    .description("keep everything of an account from now on")
    .requiredOption("--reason <text>", "why; kept with the hold")
    .action(async (address: string, { reason }: { reason: string }, command: Command) => {
      const done = await adminClient(dataOf(command)).send<Done>("PUT", pathOf(address, "hold"), {
        reason,
      });
      output(command, done, () => done.done);
    });
  hold
    .command("remove <address>")
    .description("end a hold; the next erasure destroys what only it kept")
    .action(async (address: string, _options, command: Command) => {
      const done = await adminClient(dataOf(command)).send<Done>("DELETE", pathOf(address, "hold"));
      output(command, done, () => done.done);
    });
  addWithheld(hold);
}

function addWithheld(hold: Command): void {
  hold
    .command("show <address>")
    .description("what was deleted and is kept by the hold")
    .action(async (address: string, _options, command: Command) => {
      const found = await withheldOf(adminClient(dataOf(command)), address);
      output(command, found, () => (found.length === 0 ? "nothing" : withheldText(found)));
    });
  hold
    .command("export <address>")
    .description("write what the hold keeps into a folder, one file a message")
    .requiredOption("--reason <text>", "why; its owner sees it")
    .requiredOption("--to <folder>", "made when it is not there")
    .action(async (address: string, options: { reason: string; to: string }, command: Command) => {
      const client = adminClient(dataOf(command));
      const found = await withheldOf(client, address);
      mkdirSync(options.to, { recursive: true, mode: 0o700 });
      const ids = [...new Set(found.map(({ message }) => message))];
      for (const id of ids) {
        const octets = await readMessage(client, { address, id, reason: options.reason });
        writeNew(join(options.to, `${id}.eml`), octets);
      }
      const report = { exported: ids.length, to: options.to };
      output(command, report, () => `${ids.length} messages written to ${options.to}`);
    });
}

/** Evidence is never written over. */
function writeNew(path: string, octets: Buffer): void {
  try {
    writeFileSync(path, octets, { mode: 0o600, flag: "wx" });
  } catch (cause) {
    throw new ExitError(exitCodes.cannotOpen, `${path}: ${(cause as Error).message}`);
  }
}

type HoldRow = Omit<Hold, "account"> & { readonly address: string };

function holdsText(holds: readonly HoldRow[]): string {
  return textTable(
    holds.map(({ address, reason, by, atMs }) => [address, localTime(atMs), by, reason]),
  );
}

async function withheldOf(client: AdminClient, address: string): Promise<Withheld[]> {
  const all: Withheld[] = [];
  for (;;) {
    const last = all.at(-1);
    const after = last && new URLSearchParams({ mailbox: last.mailbox, uid: String(last.uid) });
    const path = `${pathOf(address, "withheld")}${after === undefined ? "" : `?${after}`}`;
    const page = await client.get<Withheld[]>(path);
    if (page.length === 0) return all;
    all.push(...page);
  }
}

function withheldText(found: readonly Withheld[]): string {
  return textTable(
    found.map(({ message, receivedAtMs, sizeBytes, expungedAtMs }) => [
      message,
      `received ${localTime(receivedAtMs)}`,
      expungedAtMs === undefined ? "deleted before the hold" : `deleted ${localTime(expungedAtMs)}`,
      `${sizeBytes} octets`,
    ]),
  );
}

function pathOf(address: string, what: string): string {
  return `/accounts/${encodeURIComponent(address)}/${what}`;
}
