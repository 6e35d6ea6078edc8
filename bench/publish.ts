/**
 * A published page behind a login, ours against what does the same job and against plain proxies:
 * rounds in turn, CPU of each whole control group (the session service included, the origin not).
 *
 *   npm run bench -- publish [--rounds 3] [--seconds 5] [--connections 50] [--only postern,nginx]
 */

import { execFile, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { parseArgs, promisify } from "node:util";
import { selfSigned } from "../tests/kit/certificate.ts";
import { freePorts, startInstallation } from "../tests/kit/installation.ts";
import { type ControlGroup, controlGroup, idle } from "./control-group.ts";
import { heedInterrupts, interrupted } from "./interrupt.ts";
import {
  bigBytes,
  type Ground,
  type Peer,
  removeGround,
  startApache,
  startCaddy,
  startHaproxy,
  startNginx,
  startNginxAuth,
  startNginxAuthStatic,
  startOrigin,
} from "./publish-peers.ts";
import { spread, spreadText } from "./spread.ts";

interface Front {
  readonly name: string;
  readonly port: number;
  readonly cookie: string;
  readonly group: ControlGroup;
}

const loads = ["keep-alive", "close", "slow"] as const;
type LoadName = (typeof loads)[number];

interface Run {
  readonly name: string;
  readonly load: LoadName;
  readonly cpuMs: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const run = promisify(execFile);
const starters = {
  nginx: startNginx,
  haproxy: startHaproxy,
  caddy: startCaddy,
  "nginx-auth": startNginxAuth,
  "nginx-auth-static": startNginxAuthStatic,
  "apache-form": startApache,
} as const;

export async function benchPublish(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "3" },
      seconds: { type: "string", default: "5" },
      connections: { type: "string", default: "50" },
      idle: { type: "string", default: "1000" },
      only: { type: "string", default: `postern,${Object.keys(starters).join(",")}` },
    },
  });
  heedInterrupts();
  await using stack = new AsyncDisposableStack();
  const fronts = await startFronts(stack, values.only.split(","));
  const wrk = { seconds: values.seconds, connections: values.connections };
  for (const front of fronts) await load(front, "keep-alive", wrk); // what engines compile first
  const runs: Run[] = [];
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const [at] of fronts.entries()) {
      const front = fronts[(at + round) % fronts.length];
      if (front === undefined) continue;
      for (const name of loads) runs.push(await measure(front, name, wrk));
    }
  }
  for (const name of loads) report(fronts, runs, name);
  for (const front of fronts) await download(front);
  for (const front of fronts) await holdIdle(front, Number(values.idle));
}

async function startFronts(
  stack: AsyncDisposableStack,
  names: readonly string[],
): Promise<readonly Front[]> {
  const ports = await freePorts(1 + 2 * Object.keys(starters).length);
  const folder = mkdtempSync(join(tmpdir(), "postern-bench-"));
  chmodSync(folder, 0o755);
  const { key, cert } = selfSigned("localhost");
  const ground: Ground = {
    folder,
    certificate: join(folder, "cert.pem"),
    key: join(folder, "key.pem"),
    originPort: ports[0] ?? 0,
  };
  writeFileSync(ground.certificate, cert);
  writeFileSync(ground.key, key);
  stack.defer(() => removeGround(ground));
  stack.use(await startOrigin(ground));
  const fronts: Front[] = [];
  for (const [at, [name, start]] of Object.entries(starters).entries()) {
    if (!names.includes(name)) continue;
    interrupted.throwIfAborted();
    const [port = 0, checkPort = 0] = ports.slice(1 + 2 * at);
    const group = stack.use(controlGroup(`postern-bench-${name}`));
    group.enter();
    const peer: Peer = stack.use(await start(ground, port, checkPort));
    group.leave();
    fronts.push({ name, port, cookie: peer.cookie, group });
  }
  if (names.includes("postern")) fronts.unshift(await startPostern(stack, ground));
  return fronts;
}

async function startPostern(stack: AsyncDisposableStack, ground: Ground): Promise<Front> {
  const group = stack.use(controlGroup("postern-bench-postern"));
  group.enter();
  const config = `
[web]
connections = 20000
connectionsPerAddress = 10000
requestsPerConnection = 1000000
[publish.app]
ruleSets = ["web"]
path = "/app"
upstream = "http://127.0.0.1:${ground.originPort}"
`;
  const installation = stack.use(await startInstallation({ config }));
  group.leave();
  const { https, accounts } = installation.ready();
  const url = https.url.replace("127.0.0.1", "localhost");
  return {
    name: "postern",
    port: Number(new URL(url).port),
    cookie: logIn(url, accounts[0]),
    group,
  };
}

function logIn(
  url: string,
  account: { readonly address: string; readonly password: string } | undefined,
): string {
  const form = curl(`${url}/login`);
  const token = /name="token" value="([^"]+)"/.exec(form)?.[1] ?? "";
  const formCookie = /^set-cookie: ([^;\r\n]+)/im.exec(form)?.[1] ?? "";
  const fields = {
    step: "password",
    token,
    name: account?.address ?? "",
    password: account?.password ?? "",
    computer: "private",
  };
  const answer = curl(
    `${url}/login`,
    ...["-H", `Cookie: ${formCookie}`, "-H", `Origin: ${url}`],
    ...Object.entries(fields).flatMap(([name, value]) => ["--data-urlencode", `${name}=${value}`]),
  );
  const session = /^set-cookie: (__Host-postern=[^;\r\n]+)/im.exec(answer)?.[1];
  if (session === undefined) throw new Error(`no session:\n${answer}`);
  return session;
}

function curl(...args: string[]): string {
  return spawnSync("curl", ["-skD-", ...args], { encoding: "utf8" }).stdout;
}

interface Wrk {
  readonly seconds: string;
  readonly connections: string;
}

async function measure(front: Front, name: LoadName, wrk: Wrk): Promise<Run> {
  await idle(front.group);
  const before = front.group.cpuSeconds();
  const result = await load(front, name, wrk);
  await idle(front.group);
  const cpuMs = ((front.group.cpuSeconds() - before) / result.requests) * 1000;
  console.error(
    `${front.name.padEnd(18)} ${name.padEnd(10)} ${cpuMs.toFixed(3)} CPU ms  ` +
      `${result.perSecond.toFixed(0)}/s  p50 ${result.p50Ms} p99 ${result.p99Ms} ms`,
  );
  return { ...result, name: front.name, load: name, cpuMs };
}

async function load(front: Front, name: LoadName, { seconds, connections }: Wrk) {
  const args = ["-t1", `-c${name === "slow" ? 2 : connections}`, `-d${seconds}s`, "--latency"];
  const headers = [
    ...(front.cookie === "" ? [] : ["-H", `Cookie: ${front.cookie}`]),
    ...(name === "close" ? ["-H", "Connection: close"] : []),
  ];
  const url = `https://localhost:${front.port}/app/page`;
  const { stdout } = await run("wrk", [...args, ...headers, url], { signal: interrupted });
  const wrong = /Non-2xx or 3xx responses: \d+|Socket errors: .*/.exec(stdout)?.[0];
  if (wrong !== undefined) throw new Error(`${front.name}: ${wrong}`);
  return {
    requests: Number(/(\d+) requests in/.exec(stdout)?.[1]),
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    p50Ms: milliseconds(stdout, "50"),
    p99Ms: milliseconds(stdout, "99"),
  };
}

function milliseconds(text: string, percent: string): number {
  const match = new RegExp(`${percent}%\\s+([\\d.]+)(us|ms|s)`).exec(text);
  const factor = { us: 0.001, ms: 1, s: 1000 }[match?.[2] ?? ""] ?? Number.NaN;
  return Number(match?.[1]) * factor;
}

function report(fronts: readonly Front[], runs: readonly Run[], load: LoadName): void {
  console.log(`\n${load}; min/median/max of the rounds`);
  for (const { name } of fronts) {
    const own = runs.filter((one) => one.name === name && one.load === load);
    const ours = runs.filter((one) => one.name === "postern" && one.load === load);
    const median = (some: readonly Run[]): number => spread(some.map((one) => one.cpuMs)).median;
    console.log(
      `${name.padEnd(18)} CPU ms ${spreadText(own.map((one) => one.cpuMs))}  ` +
        `rate/s ${spreadText(own.map((one) => one.perSecond))}  p50 ${spreadText(own.map((one) => one.p50Ms))} ` +
        `p99 ${spreadText(own.map((one) => one.p99Ms))} ms  postern / this ${(median(ours) / median(own)).toFixed(2)}`,
    );
  }
}

/** One large file, as one client takes it. */
async function download(front: Front): Promise<void> {
  await idle(front.group);
  const before = front.group.cpuSeconds();
  const url = `https://localhost:${front.port}/app/big`;
  const format = ["-w", "%{size_download} %{speed_download} %{http_version}"];
  const args = ["-sk", "--http1.1", "-o", "/dev/null", ...format, "-H", `Cookie: ${front.cookie}`];
  const { stdout } = await run("curl", [...args, url], { signal: interrupted });
  const [bytes = 0, speed = 0] = stdout.split(" ").map(Number);
  if (bytes !== bigBytes) throw new Error(`${front.name}: ${bytes} octets`);
  await idle(front.group);
  const cpu = front.group.cpuSeconds() - before;
  console.log(
    `${front.name.padEnd(18)} 1 GB download: ${(speed / 1e6).toFixed(0)} MB/s, ${cpu.toFixed(2)} CPU s`,
  );
}

/** Memory of connections that have been served once and say nothing more. */
async function holdIdle(front: Front, count: number): Promise<void> {
  await idle(front.group);
  const before = front.group.anonymousMiB();
  const held: TLSSocket[] = [];
  for (let nth = 0; nth < count; nth += 1) held.push(await servedOnce(front));
  await idle(front.group);
  const each = ((front.group.anonymousMiB() - before) * 1024) / count;
  console.log(`${front.name.padEnd(18)} ${each.toFixed(1)} KiB an idle connection, of ${count}`);
  for (const socket of held) socket.destroy();
}

function servedOnce(front: Front): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: "localhost",
      port: front.port,
      servername: "localhost",
      rejectUnauthorized: false,
    });
    const cookie = front.cookie === "" ? "" : `Cookie: ${front.cookie}\r\n`;
    socket.write(`GET /app/page HTTP/1.1\r\nHost: localhost:${front.port}\r\n${cookie}\r\n`);
    let bytes = 0;
    socket.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > 10_000) resolve(socket);
    });
    socket.once("error", reject);
  });
}
