/** `postern dkim`: the keys that sign our mail, and how they are changed without a gap. */

import type { Command } from "commander";
import { type AdminClient, adminClient } from "../admin-client.ts";
import { say } from "../exit.ts";
import { localTime, textTable } from "../table.ts";
import { dataOf, output } from "./shared.ts";

const examples = `
Changing the keys of a domain, with hours or days between the steps:
  postern dkim add example.org         new keys, which sign nothing yet
  postern dns show example.org         publish their records
  postern dkim activate example.org    refused until the DNS shows them; the old keys retire
  postern dkim retire example.org      two weeks later: destroys the old keys
Then take the old records out of the DNS. A key that leaked: activate and retire with --force.`;

interface Key {
  readonly selector: string;
  readonly algorithm: string;
  readonly state: "pending" | "active" | "retiring";
  readonly sinceMs?: number;
  /** Of its record. */
  readonly name: string;
  readonly text: string;
}

interface Done {
  readonly done: string;
  readonly selectors: readonly string[];
}

export function addDkimCommands(program: Command): void {
  const dkim = program
    .command("dkim")
    .description("keys that sign mail: add, activate, retire")
    .addHelpText("after", examples);
  dkim
    .command("list <domain>")
    .description("the keys of a domain and what each is for")
    .action(async (domain: string, _options: object, command: Command) => {
      const keys = await keysOf(clientOf(command), domain);
      output(command, keys, () => (keys.length === 0 ? `${domain} has no keys` : keysText(keys)));
    });
  dkim
    .command("add <domain>")
    .description("make new keys; they sign when they are activated")
    .action(async (domain: string, _options: object, command: Command) => {
      const client = clientOf(command);
      const { selectors } = await client.send<Done>("POST", pathOf(domain));
      const made = (await keysOf(client, domain)).filter((key) => selectors.includes(key.selector));
      output(command, made, () =>
        made.map(({ name, text }) => `${name} TXT\n  ${text}`).join("\n"),
      );
      say(`Publish this, then: postern dkim activate ${domain}`);
    });
  dkim
    .command("activate <domain> [selectors...]")
    .description("let keys sign, without SELECTORS all new ones; the old ones retire")
    .option("--force", "even when the DNS does not show them")
    .action(async (...given: [string, string[], { force?: boolean }, Command]) => {
      await act("activate", ...given);
      say("The records of the old keys must stay for two weeks.");
    });
  dkim
    .command("retire <domain> [selectors...]")
    .description("destroy keys that sign no more, without SELECTORS all of them")
    .option("--force", "even when their signatures are still good")
    .action(async (...given: [string, string[], { force?: boolean }, Command]) => {
      await act("retire", ...given);
      say("Take their records out of the DNS.");
    });
}

async function act(
  what: "activate" | "retire",
  ...[domain, selectors, { force = false }, command]: [
    string,
    string[],
    { force?: boolean },
    Command,
  ]
): Promise<void> {
  const wish = { force, ...(selectors.length > 0 && { selectors }) };
  const done = await clientOf(command).send<Done>("POST", `${pathOf(domain)}/${what}`, wish);
  output(command, done, () => done.done);
}

function clientOf(command: Command): AdminClient {
  return adminClient(dataOf(command));
}

function keysOf(client: AdminClient, domain: string): Promise<Key[]> {
  return client.get<Key[]>(pathOf(domain));
}

function pathOf(domain: string): string {
  return `/domains/${encodeURIComponent(domain)}/dkim`;
}

function keysText(keys: readonly Key[]): string {
  return textTable(
    keys.map(({ selector, algorithm, state, sinceMs, name }) => [
      selector,
      state,
      sinceMs === undefined ? "" : `since ${localTime(sinceMs)}`,
      algorithm,
      name,
    ]),
  );
}
