/**
 * The SMTP path, ours beside other mail servers: rounds in turn, CPU of each whole control group, so that
 * a noisy machine hurts all alike. Every message is signed and its sender proved by SPF, DKIM and DMARC;
 * the servers whose name does not say that they look at that (`-discard`) do less.
 *
 *   npm run bench -- smtp [--rounds 3] [--total 2000] [--per-connection 1] [--warm-up 4000]
 *                         [--servers postern,postfix-discard,postfix-rspamd]
 *
 * All are warmed up first: a mail server runs for months, and what its engine compiles in the first
 * seconds is no cost of a message. `--warm-up 0` shows the cold start.
 */

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { idle } from "./control-group.ts";
import { clientAddress, signedMail } from "./signed-mail.ts";
import { type Server, startServers } from "./smtp-peers.ts";
import { spread, spreadText } from "./spread.ts";

interface Run {
  readonly name: string;
  readonly cpuPer1000: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly anonymousMiB: number;
}

interface LoadOptions {
  readonly total: string;
  readonly perConnection: string;
  /** JSON list of the messages. */
  readonly mailFile: string;
}

const run = promisify(execFile);

export async function benchSmtp(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "3" },
      total: { type: "string", default: "2000" },
      "per-connection": { type: "string", default: "1" },
      "warm-up": { type: "string", default: "4000" },
      servers: { type: "string", default: "postern,postfix-discard,postfix-rspamd" },
    },
  });
  const perConnection = values["per-connection"];
  await using stack = new AsyncDisposableStack();
  const mail = await signedMail(200, 20_000);
  const folder = mkdtempSync(join(tmpdir(), "postern-bench-"));
  stack.defer(() => rmSync(folder, { recursive: true }));
  const mailFile = join(folder, "mail.json");
  writeFileSync(mailFile, JSON.stringify(mail.messages.map((one) => one.toString("latin1"))));
  const servers = await startServers(stack, values.servers.split(","), mail);
  const runs: Run[] = [];
  const how = { perConnection, mailFile, total: values.total };
  if (Number(values["warm-up"]) > 0) {
    for (const server of servers) await load(server, { ...how, total: values["warm-up"] });
  }
  for (let round = 0; round < Number(values.rounds); round += 1) {
    // The order rotates, so that nobody is always first.
    for (const server of round % 2 === 0 ? servers : servers.toReversed()) {
      const result = await measure(server, how);
      console.error(
        `round ${round}  ${result.name.padEnd(16)} ${result.cpuPer1000.toFixed(3)} CPU s/1000  ` +
          `${result.perSecond.toFixed(0)}/s  p50 ${result.p50Ms.toFixed(1)} p99 ${result.p99Ms.toFixed(1)} ms`,
      );
      runs.push(result);
    }
  }
  report(servers, runs, `${perConnection} message(s) per connection, 50 connections, 20 KB`);
}

async function measure(server: Server, how: LoadOptions): Promise<Run> {
  await idle(server.group);
  const before = server.group.cpuSeconds();
  const result = await load(server, how);
  await idle(server.group);
  const cpuPer1000 = ((server.group.cpuSeconds() - before) / result.sent) * 1000;
  const anonymousMiB = server.group.anonymousMiB();
  return { ...result, name: server.name, cpuPer1000, anonymousMiB };
}

interface Load {
  readonly sent: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function load(
  { port, recipient }: Server,
  { total, perConnection, mailFile }: LoadOptions,
): Promise<Load> {
  const program = join(import.meta.dirname, "smtp-load.ts");
  const to = ["--port", String(port), "--rcpt", recipient, "--proxied", clientAddress];
  const amount = ["--total", total, "--per-connection", perConnection, "--mail", mailFile];
  const { stdout } = await run(process.execPath, [program, ...to, ...amount]);
  return JSON.parse(stdout) as Load;
}

function report(servers: readonly Server[], runs: readonly Run[], what: string): void {
  console.log(`\n${what}; min/median/max of the rounds`);
  const figures = (name: string, pick: (one: Run) => number): number[] =>
    runs.filter((one) => one.name === name).map(pick);
  for (const { name } of servers) {
    const text = (pick: (one: Run) => number): string => spreadText(figures(name, pick));
    console.log(
      `${name.padEnd(16)} CPU s/1000 ${text((one) => one.cpuPer1000)}  rate/s ${text((one) => one.perSecond)}  ` +
        `DATA reply p50 ${text((one) => one.p50Ms)} p99 ${text((one) => one.p99Ms)} ms  memory ${text((one) => one.anonymousMiB)} MiB`,
    );
  }
  const ours = (pick: (one: Run) => number): number => spread(figures("postern", pick)).median;
  for (const { name } of servers.filter((one) => one.name !== "postern")) {
    const ratio = (pick: (one: Run) => number): string =>
      (ours(pick) / spread(figures(name, pick)).median).toFixed(2);
    console.log(
      `postern to ${name}: CPU ${ratio((one) => one.cpuPer1000)}, p50 ${ratio((one) => one.p50Ms)}, p99 ${ratio((one) => one.p99Ms)}`,
    );
  }
}
