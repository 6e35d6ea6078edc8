/** `postern spf`: which record to publish, and what anybody's record means. */

import { createInterface } from "node:readline";
import type { Command } from "commander";
import { systemClock } from "#base/clock";
import { parseIp } from "#base/ip";
import {
  expandSpf,
  expansionLines,
  planLines,
  planSpf,
  replayLines,
  replaySpf,
  type SentMail,
  type SpfFacts,
  type SpfFinding,
  spfFacts,
  wrapText,
} from "#identity/spf-advice";
import { adminClient } from "../admin-client.ts";
import { readInput } from "../dns-input.ts";
import { domainArgument } from "../dns-name.ts";
import { ExitError, exitCodes, say } from "../exit.ts";
import { resolverOf } from "./check-shared.ts";
import { dataOf, output } from "./shared.ts";
import { type AnswerFlags, answersOf, askAnswers } from "./spf-questions.ts";

const examples = `
Examples:
  postern spf show example.net                      anybody's record, in words
  postern spf wizard example.org                    asks, then prints the record
  postern spf wizard example.org --inbound --yes    only the servers that receive send
  postern spf wizard example.org --no-inbound \\
    --address 198.51.100.10 --address 198.51.100.11 \\
    --smart-host 203.0.113.1 --direct-fallback --yes
  postern spf wizard example.org --provider _spf.example.net --replay sent.jsonl

What the record would do to your mail of the last 30 days is told from the DMARC reports that came
about it (postern reports list), or from a file: --replay takes one JSON object a line,
{"ip": ..., "helo"?, "mailFrom"?, "count"?}.
Exit code 2 when something about the record is wrong.`;

interface WizardOptions extends AnswerFlags {
  readonly yes?: boolean;
  readonly dns?: string;
  readonly replay?: string;
}

export function addSpfCommands(program: Command): void {
  const spf = program
    .command("spf")
    .description("who may send as a domain: the record to publish, and what records mean")
    .addHelpText("after", examples);
  spf
    .command("show <domain>")
    .description("the record of any domain, with all that it includes, in words")
    .option("--dns <address:port>", "resolver; without it that of the installation or machine")
    .action(async (domain: string, options: { dns?: string }, command: Command) => {
      const found = await expandSpf(domainArgument(domain), resolverOf(options.dns, command));
      output(command, found, () => expansionLines(found).join("\n"));
      process.exitCode = codeOf(found.findings, found.record.problem?.kind === "unanswered");
    });
  const more = (value: string, before: readonly string[] = []): string[] => [...before, value];
  spf
    .command("wizard <domain>")
    .description("the record that a domain should publish, and what the world will conclude")
    .option("--inbound", "the servers of the MX records may send")
    .option("--no-inbound", "they may not")
    .option("--a", "the host with the domain's own name may send")
    .option("--no-a", "it may not")
    .option("--address <address>", "a server or network of ours that sends; repeat it", more)
    .option("--provider <domain>", "a provider whose record is included; repeat it", more)
    .option("--smart-host <host>", "name or address that passes our mail on; repeat it", more)
    .option("--direct-fallback", "our servers deliver themselves while smart hosts are down")
    .option("--others <result>", "everybody else: softfail, fail or neutral")
    .option("--replay <file>", "what the record would do to mail that was sent; - is stdin")
    .option("--yes", "ask nothing: flags, else what is published now")
    .option("--dns <address:port>", "resolver; without it that of the installation or machine")
    .action(async (domain: string, options: WizardOptions, command: Command) => {
      await wizard(domainArgument(domain), options, command);
    });
}

function codeOf(findings: readonly SpfFinding[], unanswered: boolean): number {
  if (unanswered) return exitCodes.tryAgain;
  return findings.some(({ level }) => level === "bad") ? exitCodes.findings : exitCodes.ok;
}

async function wizard(domain: string, options: WizardOptions, command: Command): Promise<void> {
  const { json } = command.optsWithGlobals<{ json?: boolean }>();
  const resolver = resolverOf(options.dns, command);
  const facts = await spfFacts(domain, resolver);
  const silent = facts.unanswered.find((text) => /^(?:TXT|MX) /.test(text));
  if (silent !== undefined) {
    throw new ExitError(exitCodes.tryAgain, `the DNS did not answer for ${silent}`);
  }
  const mails = await sentMails(domain, options.replay, command);
  const asks = options.yes !== true && json !== true && process.stdin.isTTY;
  const answers = asks ? await interview(options, facts) : answersOf(options, facts);
  const plan = await planSpf(answers, facts, resolver, systemClock);
  const replay =
    mails.length === 0
      ? undefined
      : await replaySpf(plan.record, mails, { domain, resolver, clock: systemClock });
  output(command, { answers, ...plan, ...(replay && { replay }) }, () => {
    const next = plan.unchanged
      ? "That is what is published already."
      : `When it is published: postern spf show ${domain}`;
    return [...planLines(plan), ...(replay ? replayLines(replay) : []), "", next].join("\n");
  });
  const isUnanswered = plan.findings.some(({ level }) => level === "unknown");
  process.exitCode = codeOf(plan.findings, isUnanswered);
}

/** On a terminal: what is published now, then the questions, on standard error. */
async function interview(flags: AnswerFlags, facts: SpfFacts): ReturnType<typeof askAnswers> {
  const { present, exchanges, domain } = facts;
  say(`${domain} publishes now:`);
  for (const record of present) for (const line of wrapText(record, "  ")) say(line);
  if (present.length === 0) say("  no SPF record");
  for (const { name, addresses } of exchanges) say(`  MX ${name} (${addresses.join(", ")})`);
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  // An iterator keeps what was typed ahead, or pasted.
  const typed = lines[Symbol.asyncIterator]();
  const ask = async (question: string): Promise<string> => {
    const rows = question.split("\n");
    for (const row of rows.slice(0, -1)) say(row);
    lines.setPrompt(rows.at(-1) ?? "");
    lines.prompt();
    const line = await typed.next();
    if (line.done === true) throw new ExitError(exitCodes.failed, "interrupted");
    return line.value;
  };
  try {
    return await askAnswers(flags, facts, ask);
  } finally {
    lines.close();
  }
}

/** From the file, else as others reported it to the running system; without either, nothing. */
async function sentMails(
  domain: string,
  file: string | undefined,
  command: Command,
): Promise<readonly SentMail[]> {
  if (file !== undefined) return parseMails(await readInput(file));
  const path = `/reports/own-sources?domain=${encodeURIComponent(domain)}&days=30`;
  try {
    return await adminClient(dataOf(command)).get<readonly SentMail[]>(path);
  } catch (error) {
    if (error instanceof ExitError) return []; // the wizard serves people without an installation too
    throw error;
  }
}

/** Ours: distinct sources of a month fit many times. */
const maxMails = 100_000;

function parseMails(text: string): SentMail[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length > maxMails) {
    throw new ExitError(exitCodes.usage, `--replay: more than ${maxMails} lines`);
  }
  return lines.map((line, index) => {
    const mail = mailOf(line);
    if (mail !== undefined) return mail;
    const what = '{"ip": ADDRESS, "helo"?, "mailFrom"?, "count"?} is expected';
    throw new ExitError(exitCodes.usage, `--replay, line ${index + 1}: ${what}`);
  });
}

function mailOf(line: string): SentMail | undefined {
  let given: Readonly<Record<string, unknown>>;
  try {
    given = Object(JSON.parse(line)) as typeof given;
  } catch {
    return undefined;
  }
  const { ip, helo, mailFrom, count = 1 } = given;
  if (typeof ip !== "string" || parseIp(ip) === undefined) return undefined;
  if (!isTextOrAbsent(helo) || !isTextOrAbsent(mailFrom)) return undefined;
  if (typeof count !== "number" || !Number.isSafeInteger(count) || count < 1) return undefined;
  return {
    ip,
    ...(helo !== undefined && { helo }),
    ...(mailFrom !== undefined && { mailFrom }),
    count,
  };
}

function isTextOrAbsent(value: unknown): value is string | undefined {
  return value === undefined || typeof value === "string";
}
