/** The postern command: a table of nouns and verbs (DESIGN §6). */

import { Command, CommanderError } from "commander";
import { addBackupCommands } from "./commands/backup.ts";
import { addCheckCommands } from "./commands/check.ts";
import { addConfigCommands } from "./commands/config.ts";
import { addConnectorCommands } from "./commands/connector.ts";
import { addDkimCommands } from "./commands/dkim.ts";
import { addDnsCommands } from "./commands/dns.ts";
import { addEdgeCommands } from "./commands/edge.ts";
import { addGatewayCommands } from "./commands/gateway.ts";
import { addUpCommands } from "./commands/hub.ts";
import { addMailCommands } from "./commands/mail.ts";
import { addMeasureCommands } from "./commands/measure.ts";
import { addMessageCommands } from "./commands/message.ts";
import { addPeopleCommands } from "./commands/people.ts";
import { addPkiCommands } from "./commands/pki.ts";
import { addPlanCommands } from "./commands/plan.ts";
import { addReportCommands } from "./commands/reports.ts";
import { addRetentionCommands } from "./commands/retention.ts";
import { addSendmailCommand, runSendmail, sendmailWords } from "./commands/sendmail.ts";
import { addSpfCommands } from "./commands/spf.ts";
import { addStoreCommands } from "./commands/store.ts";
import { addUnitsCommand } from "./commands/units.ts";
import { addWitnessCommands } from "./commands/witness.ts";
import { exitCodeOf, exitCodes, say } from "./exit.ts";
import type { UpFacts } from "./up/index.ts";

export { configTables } from "./config/families.ts";

const examples = `
Examples:
  postern up --try                      start everything here and send one message through it
  postern account add ana@example.org   make a mailbox
  postern trace find ana@example.org    what happened to her mail
  postern queue list                    what waits to leave
  postern status                        are the links up, what is kept, what waits
  postern backup create                 a backup, while mail comes in
  postern config describe               every parameter with its default

Exit codes: 0 ok, 1 failed, 2 findings, 64 usage, 66 cannot open, 69 service down,
75 try again, 77 not permitted, 78 configuration.`;

/** Runs one command line; resolves with the exit code. */
export async function runCommandLine(argv: readonly string[], facts: UpFacts): Promise<number> {
  const sendmail = sendmailWords(argv);
  if (sendmail !== undefined) return runSendmail(sendmail.words, sendmail.data);
  const program = commandTable(facts);
  try {
    if (argv.length === 0) {
      program.outputHelp();
      return exitCodes.ok;
    }
    await program.parseAsync(argv, { from: "user" });
    return Number(process.exitCode ?? exitCodes.ok);
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    }
    if (error instanceof RangeError) {
      say(`postern: ${error.message}`);
      return exitCodes.usage;
    }
    say(`postern: ${error instanceof Error ? error.message : String(error)}`);
    return exitCodeOf(error);
  }
}

export interface CommandFacts {
  readonly name: string;
  /** Its arguments as help shows them. */
  readonly usage: string;
  readonly does: string;
  readonly options: readonly string[];
}

/** Every command that does something, for its reference. */
export function commandList(facts: UpFacts): readonly CommandFacts[] {
  const below = (command: Command, path: readonly string[]): CommandFacts[] => {
    if (command.commands.length > 0) {
      return command.commands.flatMap((one) => below(one, [...path, one.name()]));
    }
    const usage = command.registeredArguments.map((one) => {
      const word = one.variadic ? `${one.name()}...` : one.name();
      return one.required ? `<${word}>` : `[${word}]`;
    });
    const options = command.options.map(({ flags }) => flags);
    return [{ name: path.join(" "), usage: usage.join(" "), does: command.description(), options }];
  };
  return below(commandTable(facts), []);
}

function commandTable(facts: UpFacts): Command {
  const program = new Command("postern")
    .description("a secure mail system that an organisation runs itself")
    .version(facts.version)
    .option("--data <folder>", "folder of the installation", "data")
    .option("--config <file>", "configuration file; without it FOLDER/postern.toml")
    .option("--json", "result as JSON on standard output")
    .addHelpText("after", examples)
    .showHelpAfterError("(postern --help shows the commands)")
    .showSuggestionAfterError(true)
    .exitOverride();
  addUpCommands(program, facts);
  addEdgeCommands(program, facts);
  addUnitsCommand(program, facts);
  addConfigCommands(program);
  addPeopleCommands(program);
  addMailCommands(program);
  addMessageCommands(program);
  addSendmailCommand(program);
  addRetentionCommands(program);
  addStoreCommands(program);
  addBackupCommands(program);
  addWitnessCommands(program);
  addMeasureCommands(program);
  addConnectorCommands(program);
  addGatewayCommands(program);
  addDkimCommands(program);
  addDnsCommands(program);
  addSpfCommands(program);
  addCheckCommands(program);
  addReportCommands(program);
  addPkiCommands(program);
  addPlanCommands(program, facts);
  return inherit(program);
}

/** Subcommands take the global options too, wherever they stand, and never end the process. */
function inherit(command: Command): Command {
  for (const one of command.commands) {
    one.copyInheritedSettings(command);
    inherit(one);
  }
  return command;
}
