/**
 * SMTP load from a process of its own: so many connections at a time, so many messages on each, every
 * reply checked. Prints one JSON line.
 *
 *   node bench/smtp-load.ts --port N [--connections 50] [--per-connection 1] [--total 1000] --rcpt A@B
 *
 * With `--mail FILE` the messages are those of a JSON list; with `--proxied ADDRESS` each connection
 * begins with a PROXY header that names that client.
 */

import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { parseArgs } from "node:util";
import { makeMessages } from "./messages.ts";

const { values } = parseArgs({
  options: {
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string" },
    connections: { type: "string", default: "50" },
    "per-connection": { type: "string", default: "1" },
    total: { type: "string", default: "1000" },
    warmup: { type: "string", default: "200" },
    rcpt: { type: "string" },
    from: { type: "string", default: "load@sender.example" },
    bytes: { type: "string", default: "20000" },
    mail: { type: "string" },
    proxied: { type: "string" },
  },
});

const pool =
  values.mail === undefined
    ? makeMessages(200, Number(values.bytes))
    : (JSON.parse(readFileSync(values.mail, "utf8")) as string[]);
const proxyHeader =
  values.proxied === undefined ? "" : `PROXY TCP4 ${values.proxied} 198.18.0.10 40000 25\r\n`;
const messages = pool.map((message) =>
  Buffer.from(`${message.replace(/^\./gm, "..")}.\r\n`, "latin1"),
);
const perConnection = Number(values["per-connection"]);
const goal = Number(values.total) + Number(values.warmup);
const warmup = Number(values.warmup);
const dataMs: number[] = [];
let begun = 0;
let done = 0;
let startedAt = performance.now();
let failures = 0;

/** One connection: a script of expectations, advanced by each reply line. */
function session(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host: values.host, port: Number(values.port), noDelay: true });
    let step = 0;
    let left = perConnection;
    let sentAt = 0;
    let heard = "";
    const fail = (why: unknown = "timeout"): void => {
      if (failures === 0) console.error(`step ${step}: ${String(why)}`);
      failures += 1;
      socket.destroy();
      resolve();
    };
    const lines = [
      "",
      "EHLO load.sender.example",
      `MAIL FROM:<${values.from}>`,
      `RCPT TO:<${values.rcpt}>`,
      "DATA",
    ];
    const expected = ["220", "250", "250", "250", "354", "250"];
    const advance = (reply: string): void => {
      if (left === 0) return; // the answer to QUIT
      if (!reply.startsWith(expected[step] ?? "")) return fail(reply);
      step += 1;
      if (step < lines.length) return void socket.write(`${lines[step]}\r\n`);
      if (step === lines.length) {
        sentAt = performance.now();
        return void socket.write(messages[(begun - 1) % messages.length] ?? "");
      }
      finished();
    };
    const finished = (): void => {
      done += 1;
      if (done === warmup) startedAt = performance.now();
      if (done > warmup) dataMs.push(performance.now() - sentAt);
      left -= 1;
      if (begun >= goal) left = 0;
      if (left === 0) {
        socket.end("QUIT\r\n");
        return resolve();
      }
      begun += 1;
      step = 2;
      socket.write(`${lines[2]}\r\n`);
    };
    socket.on("data", (chunk: Buffer) => {
      heard += chunk.toString("latin1");
      for (let end = heard.indexOf("\n"); end >= 0; end = heard.indexOf("\n")) {
        const line = heard.slice(0, end);
        heard = heard.slice(end + 1);
        if (line[3] !== "-") advance(line);
      }
    });
    socket.on("error", fail);
    if (proxyHeader !== "") socket.write(proxyHeader);
    socket.setTimeout(30_000, () => fail());
    begun += 1;
  });
}

async function worker(): Promise<void> {
  while (begun < goal && failures < 50) await session();
}

const before = process.cpuUsage();
await Promise.all(Array.from({ length: Number(values.connections) }, worker));
const cpu = process.cpuUsage(before);
const seconds = (performance.now() - startedAt) / 1000;
dataMs.sort((a, b) => a - b);
const quantile = (q: number): number =>
  dataMs[Math.min(dataMs.length - 1, Math.floor(dataMs.length * q))] ?? 0;
console.log(
  JSON.stringify({
    sent: done,
    failures,
    perSecond: dataMs.length / seconds,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    clientCpuSeconds: (cpu.user + cpu.system) / 1e6,
  }),
);
process.exitCode = failures > 0 ? 1 : 0;
