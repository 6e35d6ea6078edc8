/** `postern queue` and `postern trace`: where a message is, and its whole story. */

import type { Command } from "commander";
import { formatTrace } from "#assurance/trace";
import type { QueueItem } from "#model/queue";
import type { Trace, TraceSummary } from "#model/trace";
import { adminClient } from "../admin-client.ts";
import { localTime, textTable } from "../table.ts";
import { countOf, dataOf, output } from "./shared.ts";

export function addMailCommands(program: Command): void {
  addQueue(program);
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

function addQueue(program: Command): void {
  const queue = program.command("queue").description("mail that waits to leave");
  queue
    .command("list")
    .description("items, the next due first")
    .option("--state <state>", "waiting, held, delivered, failed or dropped")
    .option("--domain <name>", "only for this recipient domain")
    .option("--limit <count>", "at most so many", "100")
    .action(
      async (options: { state?: string; domain?: string; limit: string }, command: Command) => {
        countOf(options.limit, "--limit");
        const query = new URLSearchParams(options as Record<string, string>);
        const found = await adminClient(dataOf(command)).get<{
          counts: Record<string, number>;
          items: QueueItem[];
        }>(`/queue?${query}`);
        output(command, found, () => queueText(found.counts, found.items));
      },
    );
  queue
    .command("show <id>")
    .description("one item with its last try")
    .action(async (id: string, _options, command: Command) => {
      const item = await adminClient(dataOf(command)).get<QueueItem>(
        `/queue/${encodeURIComponent(id)}`,
      );
      output(command, item, () => JSON.stringify(item, null, 2));
    });
  for (const [act, what] of [
    ["retry", "try it now"],
    ["hold", "keep it until it is released"],
    ["release", "let a held item go on"],
    ["drop", "give it up without a notice"],
  ] as const) {
    queue
      .command(`${act} <id>`)
      .description(what)
      .action(async (id: string, _options, command: Command) => {
        const path = `/queue/${encodeURIComponent(id)}/${act}`;
        const done = await adminClient(dataOf(command)).send<{ done: string }>("POST", path);
        output(command, done, () => done.done);
      });
  }
}

function queueText(counts: Readonly<Record<string, number>>, items: readonly QueueItem[]): string {
  const totals = Object.entries(counts).map(([state, count]) => `${count} ${state}`);
  const rows = items.map((item) => [
    item.id,
    item.state,
    localTime(item.nextAttemptAtMs),
    `${item.attempts} tries`,
    item.recipient,
    item.last === undefined
      ? ""
      : `${item.last.reply.code} ${[item.last.reply.text].flat()[0] ?? ""}`,
  ]);
  return [...(rows.length > 0 ? [textTable(rows)] : []), totals.join(", ")].join("\n");
}
