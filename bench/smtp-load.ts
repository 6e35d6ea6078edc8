/**
 * SMTP load from a process of its own: so many connections at a time, so many messages on each, every
 * reply checked. Prints one JSON line.
 *
 *   node bench/smtp-load.ts --port N [--connections 50] [--per-connection 1] [--total 1000] --rcpt A@B
 *
 * With `--mail FILE` the messages are those of a JSON list; with `--proxied ADDRESS` each connection
 * begins with a PROXY header that names that client; with `--certificate FILE` (PEM, with its key) each
 * begins TLS by STARTTLS and shows it. With `--rate N` connections begin at even intervals, for N messages
 * a second in all, however long the server takes.
 */

import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
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
    certificate: { type: "string" },
    rate: { type: "string", default: "0" },
  },
});

const certificate = values.certificate === undefined ? undefined : readFileSync(values.certificate);
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
    let socket: Socket = connect({ host: values.host, port: Number(values.port), noDelay: true });
    let step = 0;
    let left = perConnection;
    let sentAt = 0;
    let heard = "";
    const fail = (why: unknown = "timeout"): void => {
      if (left === 0) return void socket.destroy(); // what comes after QUIT is nobody's loss
      if (failures === 0) console.error(`step ${step}: ${String(why)}`);
      failures += 1;
      socket.destroy();
      resolve();
    };
    const hello = ["", "EHLO load.sender.example"];
    const secured = certificate === undefined ? [] : ["STARTTLS", "EHLO load.sender.example"];
    const mail = hello.length + secured.length;
    const lines = [
      ...hello,
      ...secured,
      `MAIL FROM:<${values.from}>`,
      `RCPT TO:<${values.rcpt}>`,
      "DATA",
    ];
    const expected = ["220", "250", ...(secured.length > 0 ? ["220", "250"] : [])];
    expected.push("250", "250", "354", "250");
    const advance = (reply: string): void => {
      if (left === 0) return; // the answer to QUIT
      if (!reply.startsWith(expected[step] ?? "")) return fail(reply);
      if (lines[step] === "STARTTLS") secure();
      step += 1;
      if (step < lines.length) return void socket.write(`${lines[step]}\r\n`);
      if (step === lines.length) {
        sentAt = performance.now();
        // No two are alike, so that nobody keeps one content for many.
        socket.write(`X-Load: ${process.pid}-${begun}\r\n`);
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
      step = mail;
      socket.write(`${lines[mail]}\r\n`);
    };
    const listen = (): void => {
      socket.on("data", (chunk: Buffer) => {
        heard += chunk.toString("latin1");
        for (let end = heard.indexOf("\n"); end >= 0; end = heard.indexOf("\n")) {
          const line = heard.slice(0, end);
          heard = heard.slice(end + 1);
          if (line[3] !== "-") advance(line);
        }
      });
      socket.on("error", fail);
      socket.setTimeout(30_000, () => fail());
    };
    const secure = (): void => {
      socket.removeAllListeners("data").setTimeout(0);
      // It is the load's own server, whose certificate nobody signed.
      const shown = { cert: certificate, key: certificate, rejectUnauthorized: false };
      socket = connectTls({ socket, ...shown });
      listen();
    };
    listen();
    if (proxyHeader !== "") socket.write(proxyHeader);
    begun += 1;
  });
}

async function worker(): Promise<void> {
  while (begun < goal && failures < 50) await session();
}

async function paced(perSecond: number): Promise<void> {
  const sessions: Promise<void>[] = [];
  const beginMs = performance.now();
  while (begun < goal && failures < 50) {
    sessions.push(session());
    const dueMs = beginMs + (sessions.length * perConnection * 1000) / perSecond;
    await pause(Math.max(0, dueMs - performance.now()));
  }
  await Promise.all(sessions);
}

const before = process.cpuUsage();
if (Number(values.rate) > 0) await paced(Number(values.rate));
else await Promise.all(Array.from({ length: Number(values.connections) }, worker));
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
