/**
 * What a deposit costs on the link: reversed HTTP/2 against our own framing, over TLS 1.3.
 *
 * Two processes on loopback: the edge accepts the connection and opens streams, the hub dials and
 * serves them. Prints CPU seconds of both per 1,000 deposits, and how long a deposit takes.
 */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import tls from "node:tls";
import { muxOver } from "#contracts/link";
import { pemOf } from "../tests/kit/certificate.ts";

const sizeBytes = 20 * 1024;
const inFlight = 50;
const warmUp = 1000;
const deposits = Number(process.argv[2] ?? 6000);
const ways = ["h2", "own"] as const;
type Way = (typeof ways)[number];

const header = {
  id: "0123456789abcdef0123456789abcdef",
  receivedBy: "edge.example",
  connection: {
    listener: "smtp",
    clientAddress: "192.0.2.7",
    clientPort: 40000,
    helo: "a.example",
  },
  envelope: { reversePath: "a@a.example", recipients: [{ path: "b@b.example" }] },
  receivedAtMs: 0,
  steps: [],
};
const trailer = {
  contentId: "0".repeat(64),
  sizeBytes,
  verdicts: [
    { method: "spf", result: "pass", domain: "a.example", identity: "mailfrom", why: "ip4" },
  ],
  decision: { disposition: "accept", opinions: [] },
  steps: [],
};

/** One deposit, over whichever way. */
type Deposit = () => Promise<void>;

function hub(way: Way, port: number, pem: string): void {
  const socket = tls.connect({
    port,
    host: "127.0.0.1",
    key: pem,
    cert: pem,
    ca: pem,
    ALPNProtocols: [way === "h2" ? "h2" : "postern-link/1"],
    checkServerIdentity: () => undefined,
  });
  let got = 0;
  if (way === "own") {
    muxOver(socket, "opener-odd", { peer: "edge" }).onStream((stream) => {
      stream.receive({
        data: (chunk) => void (got += chunk.length),
        end: () => stream.answer({ committed: true, repeated: false }),
        broken() {},
      });
    });
  } else {
    const server = http2.createServer({ settings: { initialWindowSize: 256 * 1024 } });
    server.on("stream", (stream: http2.ServerHttp2Stream) => {
      stream.on("data", (chunk: Buffer) => void (got += chunk.length));
      stream.on("end", () => {
        stream.respond({ ":status": 200, "content-type": "application/json" });
        stream.end('{"committed":true,"repeated":false}');
      });
    });
    socket.once("secureConnect", () => void server.emit("connection", socket));
  }
  process.on("message", () => process.send?.({ cpu: process.cpuUsage(), got }));
}

async function edge(way: Way, pem: string): Promise<{ deposit: Deposit; child: ChildProcess }> {
  const server = tls.createServer({
    key: pem,
    cert: pem,
    ca: pem,
    requestCert: true,
    minVersion: "TLSv1.3",
    ALPNProtocols: [way === "h2" ? "h2" : "postern-link/1"],
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const child = fork(
    import.meta.filename,
    ["hub", way, `${(server.address() as AddressInfo).port}`],
    {
      env: { ...process.env, BENCH_PEM: pem },
    },
  );
  const [socket] = (await once(server, "secureConnection")) as [tls.TLSSocket];
  server.close();
  return { deposit: way === "own" ? overOwn(socket) : overH2(socket), child };
}

function overOwn(socket: tls.TLSSocket): Deposit {
  const link = muxOver(socket, "opener-even", { peer: "hub" });
  return async () => {
    const data = Buffer.alloc(sizeBytes, 120);
    const stream = link.open("deposit", header, { data, end: { trailer } });
    const outcome = (await stream.answered) as { committed: boolean };
    if (!outcome.committed) throw new Error("not committed");
  };
}

function overH2(socket: tls.TLSSocket): Deposit {
  const session = http2.connect("http://hub", {
    createConnection: () => socket,
    settings: { initialWindowSize: 256 * 1024 },
  });
  return () =>
    new Promise((resolve, reject) => {
      const request = session.request({
        ":method": "POST",
        ":path": `/in/${header.id}`,
        "x-deposit": JSON.stringify(header),
        "x-end": JSON.stringify(trailer),
      });
      const parts: Buffer[] = [];
      request.on("data", (chunk: Buffer) => void parts.push(chunk));
      request.on("end", () => {
        const outcome = JSON.parse(Buffer.concat(parts).toString()) as { committed: boolean };
        if (outcome.committed) resolve();
        else reject(new Error("not committed"));
      });
      request.on("error", reject);
      request.end(Buffer.alloc(sizeBytes, 120));
    });
}

async function cpuSeconds(child: ChildProcess): Promise<number> {
  child.send("cpu");
  const [{ cpu, got }] = (await once(child, "message")) as [{ cpu: NodeJS.CpuUsage; got: number }];
  if (got % sizeBytes !== 0) throw new Error("octets missing");
  const own = process.cpuUsage();
  return (cpu.user + cpu.system + own.user + own.system) / 1e6;
}

async function run(deposit: Deposit, count: number): Promise<number[]> {
  const tookMs: number[] = [];
  let started = 0;
  const worker = async (): Promise<void> => {
    while (started < count) {
      started += 1;
      const from = performance.now();
      await deposit();
      tookMs.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return tookMs.sort((a, b) => a - b);
}

async function measure(way: Way, pem: string): Promise<number> {
  const { deposit, child } = await edge(way, pem);
  await run(deposit, warmUp);
  const before = await cpuSeconds(child);
  const from = performance.now();
  const tookMs = await run(deposit, deposits);
  const wallSeconds = (performance.now() - from) / 1000;
  const cpu = ((await cpuSeconds(child)) - before) / (deposits / 1000);
  child.kill();
  const at = (share: number): string => (tookMs[Math.floor(tookMs.length * share)] ?? 0).toFixed(1);
  console.log(
    `${way.padEnd(4)} ${cpu.toFixed(3)} CPU s/1000   ${Math.round(deposits / wallSeconds)}/s` +
      `   p50 ${at(0.5)} ms   p99 ${at(0.99)} ms`,
  );
  return cpu;
}

if (process.argv[2] === "hub") {
  hub(process.argv[3] as Way, Number(process.argv[4]), process.env["BENCH_PEM"] ?? "");
} else {
  const pem = pemOf("bench");
  const ratios: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    const h2 = await measure("h2", pem);
    const own = await measure("own", pem);
    ratios.push(h2 / own);
  }
  console.log(`h2 / own: ${ratios.map((ratio) => ratio.toFixed(2)).join("  ")}`);
  process.exit(0);
}
