/** `postern dns`: the records of a domain, whether they are published, and what any record means. */

import type { Command } from "commander";
import type { RecordType, Resolver } from "#base/dns";
import { wrapText } from "#identity/spf-advice";
import { comparedText, compareRecords, isWrong, recordText } from "../dns-compare.ts";
import { type ExplainedRecord, explainRecord } from "../dns-explain.ts";
import { readInput } from "../dns-input.ts";
import { dnsName } from "../dns-name.ts";
import { mailSetup } from "../dns-setup.ts";
import { recordsText, wantedRecords, zoneText } from "../dns-wanted.ts";
import { ExitError, exitCodes, say } from "../exit.ts";
import { resolverOf } from "./check-shared.ts";
import { output } from "./shared.ts";

const examples = `
Examples:
  postern dns show example.org                   what to publish, and why each
  postern dns show example.org --zone            the same as lines of a zone file
  postern dns check example.org                  is it published? exit code 2 when not
  postern dns explain _dmarc.example.net         what a published record says
  postern dns explain "v=DMARC1; p=reject"       what this text would say
  postern dns explain - < mta-sts.txt            a record or policy file from standard input`;

export function addDnsCommands(program: Command): void {
  const dns = program
    .command("dns")
    .description("DNS records: what to publish, what is published, what they mean")
    .addHelpText("after", examples);
  dns
    .command("show <domain>")
    .description("the records that a domain of ours needs, and why each; looks nothing up")
    .option("--zone", "as lines of a zone file")
    .action(async (domain: string, options: { zone?: boolean }, command: Command) => {
      const setup = await mailSetup(command, domain);
      const rows = wantedRecords(setup);
      output(command, rows, () =>
        options.zone === true ? zoneText(setup.domain, rows) : recordsText(setup.domain, rows),
      );
    });
  dns
    .command("check <domain>")
    .description("are they published? ok, missing, different; exit code 2 when something is wrong")
    .option("--dns <address:port>", "resolver; without it that of the installation or machine")
    .action(async (domain: string, options: { dns?: string }, command: Command) => {
      const setup = await mailSetup(command, domain);
      const resolver = resolverOf(options.dns, command);
      const wanted = wantedRecords(setup);
      const rows = await compareRecords(wanted, setup.domain, setup.hostname, resolver);
      output(command, rows, () => comparedText(setup.domain, rows));
      if (rows.some(isWrong)) process.exitCode = exitCodes.findings;
      else if (rows.some(({ note }) => note?.startsWith("DNS did not") === true)) {
        process.exitCode = exitCodes.tryAgain;
      }
    });
  dns
    .command("explain <record-or-name>")
    .description("a record in words, part by part; of a name what is published there")
    .option("--dns <address:port>", "resolver; without it that of the installation or machine")
    .action(async (given: string, options: { dns?: string }, command: Command) => {
      const found = await explanations(given, options.dns, command);
      output(command, found, () => found.map(explainedText).join("\n\n"));
      const isBad = found.some(({ parts }) => parts.some(({ level }) => level === "bad"));
      if (isBad) process.exitCode = exitCodes.findings;
    });
}

interface Explanation extends ExplainedRecord {
  /** Where it is published; absent of a text that was given. */
  readonly name?: string;
}

async function explanations(
  given: string,
  dns: string | undefined,
  command: Command,
): Promise<Explanation[]> {
  const text = given === "-" ? await readInput("-") : given;
  const record = explainRecord(text);
  if (record !== undefined) return [record];
  const name = dnsName(text);
  if (name === null) {
    throw new ExitError(exitCodes.usage, "that is neither a record of mail nor a name");
  }
  const found = await published(name, resolverOf(dns, command));
  if (found.length > 0) return found;
  throw new ExitError(exitCodes.cannotOpen, `${name} publishes no record of mail`);
}

function typesOf(name: string): readonly RecordType[] {
  if (/^_\d+\._(?:tcp|udp)\./.test(name)) return ["TLSA"];
  if (/^_[a-z0-9-]+\._(?:tcp|udp)\./.test(name)) return ["SRV"];
  return name.startsWith("_") || name.includes("._") ? ["TXT"] : ["MX", "TXT"];
}

async function published(name: string, resolver: Resolver): Promise<Explanation[]> {
  const found: Explanation[] = [];
  for (const type of typesOf(name)) {
    const answer = await resolver.query(name, type);
    if (answer.kind === "failed") {
      throw new ExitError(exitCodes.tryAgain, `${type} of ${name}: ${answer.why}`);
    }
    for (const record of answer.kind === "found" ? answer.records : []) {
      const explained = explainRecord(recordText(type, record), name);
      if (explained === undefined) say(`${name}: another ${type} record, not one of mail`);
      else found.push({ name, ...explained });
    }
  }
  return found;
}

const marks = { bad: "BAD  ", warn: "warn ", none: "     " } as const;

function explainedText({ kind, purpose, text, parts, name }: Explanation): string {
  const heading = wrapText(`${kind}${name === undefined ? "" : ` at ${name}`}: ${purpose}`);
  const lines = parts.flatMap(({ part, words, level }) => {
    const mark = marks[level ?? "none"];
    const head = `${mark}${part.padEnd(20)}  `;
    if (part.length <= 20) return wrapText(words, head, " ".repeat(head.length));
    return [`${mark}${part}`, ...wrapText(words, "         ")];
  });
  const isShort = parts.length < 2 || text.length <= 160;
  return [
    ...heading,
    ...(isShort ? ["", `  ${text.split("\n").join("\n  ")}`] : []),
    "",
    ...lines,
  ].join("\n");
}
