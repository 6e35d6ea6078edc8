/**
 * The SMTP path, ours against a Postfix that keeps nothing: rounds in turn, CPU of each whole control
 * group, so that a noisy machine hurts both alike.
 *
 *   npm run bench -- smtp [--rounds 3] [--total 2000] [--per-connection 1] [--warm-up 4000]
 *
 * Both are warmed up first: a mail server runs for months, and what its engine compiles in the first
 * seconds is no cost of a message. `--warm-up 0` shows the cold start.
 */

import { execFile } from "node:child_process";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { startFakeDns } from "../tests/kit/fake-dns.ts";
import { startInstallation } from "../tests/kit/installation.ts";
import { startPostfix } from "../tests/kit/postfix.ts";
import { type ControlGroup, controlGroup, idle } from "./control-group.ts";
import { spread, spreadText } from "./spread.ts";

interface Server {
  readonly name: string;
  readonly port: number;
  readonly recipient: string;
  readonly group: ControlGroup;
}

interface Run {
  readonly name: string;
  readonly cpuPer1000: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly anonymousMiB: number;
}

const run = promisify(execFile);

/** Generous per-address limits: the load comes from one address. */
const config = (dns: string): string => `
[smtp]
connections = 10000
connectionsPerAddress = 10000
connectionsPerNetwork = 10000
[dns]
servers = ["${dns}"]
`;

export async function benchSmtp(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "3" },
      total: { type: "string", default: "2000" },
      "per-connection": { type: "string", default: "1" },
      "warm-up": { type: "string", default: "4000" },
    },
  });
  const perConnection = values["per-connection"];
  await using stack = new AsyncDisposableStack();
  const servers = await startServers(stack);
  const runs: Run[] = [];
  if (Number(values["warm-up"]) > 0) {
    for (const server of servers) await load(server, values["warm-up"], perConnection);
  }
  for (let round = 0; round < Number(values.rounds); round += 1) {
    // The order rotates, so that nobody is always first.
    for (const server of round % 2 === 0 ? servers : servers.toReversed()) {
      const result = await measure(server, values.total, perConnection);
      console.error(
        `round ${round}  ${result.name.padEnd(16)} ${result.cpuPer1000.toFixed(3)} CPU s/1000  ` +
          `${result.perSecond.toFixed(0)}/s  p50 ${result.p50Ms.toFixed(1)} p99 ${result.p99Ms.toFixed(1)} ms`,
      );
      runs.push(result);
    }
  }
  report(servers, runs, `${perConnection} message(s) per connection, 50 connections, 20 KB`);
}

async function startServers(stack: AsyncDisposableStack): Promise<Server[]> {
  const zone = { "sender.example": [{ TXT: "v=spf1 ip4:127.0.0.1 -all" }] };
  const dns = stack.use(await startFakeDns(zone));
  const ours = stack.use(controlGroup("postern-bench-postern"));
  ours.enter();
  const { host, port } = dns.endpoint;
  const installation = stack.use(await startInstallation({ config: config(`${host}:${port}`) }));
  ours.leave();
  const peer = stack.use(controlGroup("postern-bench-postfix"));
  peer.enter();
  const discard = [
    "virtual_transport = discard:",
    "smtpd_client_connection_count_limit = 0",
    "smtpd_client_connection_rate_limit = 0",
    "in_flow_delay = 0",
  ];
  const postfix = stack.use(await startPostfix("sink.example", discard.join("\n")));
  peer.leave();
  const { smtp, accounts } = installation.ready();
  return [
    { name: "postern", port: smtp.port, recipient: accounts[0]?.address ?? "", group: ours },
    { name: "postfix-discard", port: postfix.port, recipient: "rcpt@sink.example", group: peer },
  ];
}

async function measure(server: Server, total: string, perConnection: string): Promise<Run> {
  await idle(server.group);
  const before = server.group.cpuSeconds();
  const result = await load(server, total, perConnection);
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

async function load(server: Server, total: string, perConnection: string): Promise<Load> {
  const program = join(import.meta.dirname, "smtp-load.ts");
  const to = ["--port", String(server.port), "--rcpt", server.recipient];
  const amount = ["--total", total, "--per-connection", perConnection];
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
  const ratio = (pick: (one: Run) => number): string =>
    (
      spread(figures("postern", pick)).median / spread(figures("postfix-discard", pick)).median
    ).toFixed(2);
  console.log(
    `ratio to postfix-discard: CPU ${ratio((one) => one.cpuPer1000)}, p50 ${ratio((one) => one.p50Ms)}, p99 ${ratio((one) => one.p99Ms)}`,
  );
}
