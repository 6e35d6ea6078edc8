/** `postern queue`: mail that waits to leave, why it waits, and what an administrator may do about it. */

import type { Command } from "commander";
import { systemClock } from "#base/clock";
import type { TlsFacts } from "#model/connection";
import type { Attempt, QueueItem, RecordedAttempt } from "#model/queue";
import type { Reply } from "#model/reply";
import { adminClient } from "../admin-client.ts";
import { ExitError, exitCodes } from "../exit.ts";
import { localTime, textTable } from "../table.ts";
import { countOf, dataOf, longMs, output } from "./shared.ts";

type Listed = QueueItem & { readonly why: string };
type Shown = Listed & { readonly tries: readonly RecordedAttempt[] };

export function addQueueCommands(program: Command): void {
  const queue = program.command("queue").description("mail that waits to leave");
  queue
    .command("list")
    .description("items, the last queued first, and why each is not under way")
    .option("--state <state>", "waiting, held, delivered, failed or dropped")
    .option("--domain <name>", "only for this recipient domain")
    .option("--limit <count>", "at most so many", "100")
    .action(
      async (options: { state?: string; domain?: string; limit: string }, command: Command) => {
        countOf(options.limit, "--limit");
        const query = new URLSearchParams(options as Record<string, string>);
        const found = await adminClient(dataOf(command)).get<{
          counts: Record<string, number>;
          items: Listed[];
        }>(`/queue?${query}`);
        const nowMs = systemClock.nowMs();
        output(command, found, () => listText(found.counts, found.items, nowMs));
      },
    );
  queue
    .command("show <id>")
    .description("one item, why it waits, and every try with the other side's own words")
    .action(async (id: string, _options, command: Command) => {
      const path = `/queue/${encodeURIComponent(id)}`;
      const item = await adminClient(dataOf(command)).get<Shown>(path);
      output(command, item, () => itemText(item));
    });
  for (const [act, what] of [
    ["retry", "try it now"],
    ["hold", "keep it until it is released"],
    ["release", "let a held item go on"],
    ["drop", "give it up without a notice"],
  ] as const) {
    queue
      .command(`${act} [id]`)
      .description(`${what}; without an id all that wait or are held, as the options say`)
      .option("--state <state>", "waiting or held")
      .option("--domain <name>", "for this recipient domain")
      .action((id: string | undefined, options: Which, command: Command) =>
        doAct(act, id, options, command),
      );
  }
}

interface Which {
  readonly state?: string;
  readonly domain?: string;
}

async function doAct(
  act: string,
  id: string | undefined,
  which: Which,
  command: Command,
): Promise<void> {
  const isAll = which.state !== undefined || which.domain !== undefined;
  if ((id !== undefined) === isAll) {
    throw new ExitError(exitCodes.usage, "name an id, or --domain or --state, and not both");
  }
  const client = adminClient(dataOf(command), longMs);
  if (id !== undefined) {
    const path = `/queue/${encodeURIComponent(id)}/${act}`;
    const done = await client.send<{ done: string }>("POST", path);
    return output(command, done, () => done.done);
  }
  const done = await client.send<{ changed: number }>("POST", "/queue", { act, ...which });
  output(command, done, () => `${act}: ${done.changed} items`);
}

/** @param items as the hub lists them */
export function listText(
  counts: Readonly<Record<string, number>>,
  items: readonly Listed[],
  nowMs: number,
): string {
  const totals = Object.entries(counts).map(([state, count]) => `${count} ${state}`);
  const rows = items.map((item) => [
    item.id,
    item.state,
    ageText(nowMs - item.queuedAtMs),
    item.attempts === 1 ? "1 try" : `${item.attempts} tries`,
    item.recipient,
    item.state === "waiting" || item.state === "held" ? item.why : "",
    item.last === undefined ? "" : replyText(item.last.reply),
  ]);
  return [...(rows.length > 0 ? [textTable(rows)] : []), totals.join(", ")].join("\n");
}

/** In the largest unit of which there are two. */
function ageText(ageMs: number): string {
  const minutes = Math.max(0, Math.floor(ageMs / 60_000));
  if (minutes < 120) return `${minutes} min old`;
  return minutes < 2880
    ? `${Math.floor(minutes / 60)} h old`
    : `${Math.floor(minutes / 1440)} d old`;
}

function itemText({ tries, ...item }: Shown): string {
  const facts = [
    ["item", item.id],
    ["message", item.message],
    ["from", item.reversePath === "" ? "<> (null reverse path)" : item.reversePath],
    ["to", item.recipient],
    ["state", `${item.state}: ${item.why}`],
    ["queued", localTime(item.queuedAtMs)],
    ...(item.state === "waiting" ? [["next try", localTime(item.nextAttemptAtMs)]] : []),
    ...(item.requireTls === true ? [["TLS", "verified on every hop, or not at all"]] : []),
    ...(item.tlsOptional === true ? [["TLS", "the sender asks for no more than can be had"]] : []),
    ...(item.unprovenSender === true ? [["notices", "to the postmaster: unproven sender"]] : []),
    ...(item.delayNotifiedAtMs === undefined
      ? []
      : [["told of delay", localTime(item.delayNotifiedAtMs)]]),
  ];
  return [textTable(facts), ...tries.map((one, at) => tryText(one, at + 1))].join("\n");
}

/** In the order in which an administrator asks: when, who, how, and what was said. */
function tryText(attempt: RecordedAttempt, number: number): string {
  const { atMs, durationMs, outcome, remote, connector, tls, record } = attempt;
  const facts = [
    [`  at`, `${localTime(atMs)}, ${(durationMs / 1000).toFixed(1)} s, record ${record}`],
    ["  server", connector === undefined ? remote : `${remote}, connector ${connector}`],
    ["  TLS", tls === undefined ? "none" : tlsText(tls)],
    ...(tls?.peerCertificate === undefined ? [] : [["  certificate", tls.peerCertificate]]),
    ...saidLines(attempt).map((line, at) => [at === 0 ? "  said" : "", line]),
  ];
  return `\ntry ${number}: ${outcome}\n${textTable(facts)}`;
}

function saidLines({ reply, unanswered }: Attempt): string[] {
  const lines = [reply.text].flat();
  const code = [reply.code, reply.status].filter(Boolean).join(" ");
  const who = unanswered === true ? " (our words: no server said them)" : "";
  return lines.map((line, at) => (at === 0 ? `${code} ${line}${who}` : line));
}

function tlsText({ version, cipher, group, proof, provenName }: TlsFacts): string {
  const how = [version, cipher, group].filter(Boolean).join(" ");
  const verified = proof === undefined ? "not verified" : `verified by ${proof}`;
  const name = provenName === undefined ? "" : ` for ${provenName}`;
  return `${how}, ${verified}${name}`;
}

function replyText({ code, text }: Reply): string {
  return `${code} ${[text].flat()[0] ?? ""}`;
}
