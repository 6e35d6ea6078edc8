/**
 * The SMTP path, ours beside other mail servers: rounds in turn, CPU of each whole control group, so that
 * a noisy machine hurts all alike. Every message is signed and its sender proved by SPF, DKIM and DMARC.
 *
 *   npm run bench -- smtp [--rounds 3] [--total 2000] [--per-connection 1] [--warm-up 4000]
 *                         [--rate N] [--relay] [--servers NAME,NAME]
 *
 * Mail that comes in from the outside, the client's address given by a PROXY header so that nobody takes
 * it for his own network; only Postern keeps it:
 *
 *   postern           all that it does, and keeps the mail on the disk before the 250
 *   postfix-discard   looks at nothing
 *   postfix-rspamd    SPF, DKIM, ARC, DMARC and its own expressions, by milter
 *   postfix-opendkim  SPF by policyd-spf, DKIM by opendkim, DMARC by opendmarc
 *   exim-auth         SPF and DKIM by Exim itself; Debian builds it without DMARC
 *   haraka-mailauth   SPF, DKIM, ARC and DMARC by mailauth, in two workers
 *   haraka-queue      the same, but queues on the disk before the 250 and delivers to a sink
 *
 * The last four refuse what does not pass, so a run without an error shows that they looked.
 *
 * With `--relay`, mail from inside, from a client with a certificate, that is queued and delivered to a
 * sink which is not counted. CPU is counted until the queue is empty, and the sink must have got all:
 *
 *   postern-relay     by the relay door of the hub, and through the edge to a smart host
 *   postfix-relay
 *
 * With `--rate N` connections begin at even intervals, for N messages a second in all: what a reply takes
 * when nobody is driven to his limit. Otherwise 50 connections do what they can.
 *
 * All are warmed up first: a mail server runs for months, and what its engine compiles in the first
 * seconds is no cost of a message. `--warm-up 0` shows the cold start.
 */

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs, promisify } from "node:util";
import { idle } from "./control-group.ts";
import { heedInterrupts, interrupted } from "./interrupt.ts";
import { signedMail } from "./signed-mail.ts";
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
  /** Messages a second; 0: as many as 50 connections bring. */
  readonly rate: string;
}

const incoming = [
  ...["postern", "postfix-discard", "postfix-rspamd", "postfix-opendkim"],
  ...["exim-auth", "haraka-mailauth", "haraka-queue"],
];
const relays = ["postern-relay", "postfix-relay"];

const run = promisify(execFile);

export async function benchSmtp(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "3" },
      total: { type: "string", default: "2000" },
      "per-connection": { type: "string", default: "1" },
      "warm-up": { type: "string", default: "4000" },
      rate: { type: "string", default: "0" },
      relay: { type: "boolean", default: false },
      servers: { type: "string" },
    },
  });
  const perConnection = values["per-connection"];
  heedInterrupts();
  await using stack = new AsyncDisposableStack();
  const mail = await signedMail(200, 20_000);
  const folder = mkdtempSync(join(tmpdir(), "postern-bench-"));
  stack.defer(() => rmSync(folder, { recursive: true }));
  const mailFile = join(folder, "mail.json");
  writeFileSync(mailFile, JSON.stringify(mail.messages.map((one) => one.toString("latin1"))));
  const names = values.servers?.split(",") ?? (values.relay ? relays : incoming);
  const servers = await startServers(stack, names, mail);
  const runs: Run[] = [];
  const how = { perConnection, mailFile, total: values.total, rate: values.rate };
  if (Number(values["warm-up"]) > 0) {
    for (const server of servers) {
      await drained(server, { ...how, total: values["warm-up"], rate: "0" });
    }
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
  const pace = Number(values.rate) > 0 ? `${values.rate} messages/s` : "50 connections";
  report(servers, runs, `${perConnection} message(s) per connection, ${pace}, 20 KB`);
}

async function measure(server: Server, how: LoadOptions): Promise<Run> {
  await idle(server.group);
  const before = server.group.cpuSeconds();
  const result = await drained(server, how);
  const cpuPer1000 = ((server.group.cpuSeconds() - before) / result.sent) * 1000;
  const anonymousMiB = server.group.anonymousMiB();
  return { ...result, name: server.name, cpuPer1000, anonymousMiB };
}

/** Until the server has done all that the load left it to do. */
async function drained(server: Server, how: LoadOptions): Promise<Load> {
  const { sink, group, name } = server;
  const before = sink?.arrived() ?? 0;
  const result = await load(server, how);
  const arrived = (): number => (sink === undefined ? result.sent : sink.arrived() - before);
  for (let tries = 0; arrived() < result.sent && tries < 60; tries += 1) {
    await pause(1000, undefined, { signal: interrupted });
  }
  await idle(group);
  if (arrived() === result.sent) return result;
  throw new Error(`${name} took ${result.sent} messages and delivered ${arrived()}`);
}

interface Load {
  readonly sent: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function load(
  { port, recipient, manner }: Server,
  { total, perConnection, mailFile, rate }: LoadOptions,
): Promise<Load> {
  const program = join(import.meta.dirname, "smtp-load.ts");
  const to = ["--port", String(port), "--rcpt", recipient, ...manner];
  const amount = [
    "--total",
    total,
    "--per-connection",
    perConnection,
    "--mail",
    mailFile,
    "--rate",
    rate,
  ];
  const { stdout } = await run(process.execPath, [program, ...to, ...amount], {
    signal: interrupted,
  });
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
  const us = servers.find(({ name }) => name.startsWith("postern"))?.name;
  if (us === undefined) return;
  const ours = (pick: (one: Run) => number): number => spread(figures(us, pick)).median;
  for (const { name } of servers.filter((one) => one.name !== us)) {
    const ratio = (pick: (one: Run) => number): string =>
      (ours(pick) / spread(figures(name, pick)).median).toFixed(2);
    console.log(
      `${us} to ${name}: CPU ${ratio((one) => one.cpuPer1000)}, p50 ${ratio((one) => one.p50Ms)}, p99 ${ratio((one) => one.p99Ms)}`,
    );
  }
}
