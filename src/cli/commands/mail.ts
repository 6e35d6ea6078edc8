/** `postern queue` and `postern trace`: where a message is, and its whole story. */

import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { formatTrace } from "#assurance/trace";
import type { Trace, TraceSummary } from "#model/trace";
import { adminClient } from "../admin-client.ts";
import { print, say } from "../exit.ts";
import { localTime, textTable } from "../table.ts";
import { addQueueCommands } from "./queue.ts";
import { countOf, dataOf, output } from "./shared.ts";

export function addMailCommands(program: Command): void {
  addQueueCommands(program);
  const trace = program.command("trace").description("the story of one message");
  trace
    .command("find [text]")
    .description("messages by sender, recipient or Message-ID, newest first")
    .option("--since <period>", "only the last 30m, 12h or 7d")
    .option("--limit <count>", "at most so many", "50")
    .action(
      async (
        text: string | undefined,
        options: { since?: string; limit: string },
        command: Command,
      ) => {
        const query = new URLSearchParams({ limit: countOf(options.limit, "--limit") });
        if (text !== undefined) query.set("text", text);
        if (options.since !== undefined) {
          query.set("since", String(Date.now() - periodMs(options.since)));
        }
        const found = await adminClient(dataOf(command)).get<TraceSummary[]>(`/trace?${query}`);
        output(command, found, () => (found.length === 0 ? "nothing found" : summaryTable(found)));
      },
    );
  trace
    .command("show <id>")
    .description("every step of a message with its time")
    .action(async (id: string, _options, command: Command) => {
      const found = await adminClient(dataOf(command)).get<Trace>(
        `/trace/${encodeURIComponent(id)}`,
      );
      output(command, found, () => formatTrace(found));
    });
  trace
    .command("proof <id>")
    .description("how each hop of a message was protected, as JSON that the witness's proof backs")
    .option("--to <file>", "write it there")
    .action(async (id: string, options: { to?: string }, command: Command) => {
      const path = `/trace/${encodeURIComponent(id)}/proof`;
      const proof = await adminClient(dataOf(command)).get<object>(path);
      const text = JSON.stringify(proof, null, 2);
      if (options.to === undefined) return print(text);
      writeFileSync(options.to, `${text}\n`);
      say(`written to ${options.to}`);
    });
}

function summaryTable(found: readonly TraceSummary[]): string {
  return textTable(
    found.map((one) => [
      localTime(one.atMs),
      one.id,
      one.status,
      one.from === "" ? "<>" : one.from,
      one.to.join(", "),
    ]),
  );
}

/** "30m", "12h", "7d" in milliseconds. */
export function periodMs(text: string): number {
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  if (match === null) throw new RangeError(`"${text}" is not a period such as 30m, 12h or 7d`);
  const unit = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] ?? "s"] ?? 0;
  return Number(match[1]) * unit;
}
