/** Whether the queue gets slower as it grows: memory, and what beginning and sending a message costs. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { systemClock } from "#base/clock";
import type { OpenStore } from "#store";
import { createQueue } from "#transport/queue";
import { leanSink } from "../tests/kit/lean-sink.ts";
import { fill, openFilled, queueDepsOver, queueOne } from "../tests/kit/queue-fill.ts";
import { streamPair } from "../tests/kit/stream-pair.ts";

interface Point {
  readonly waiting: number;
  readonly sent: number;
  /** Microseconds of this process for each message: choosing, reading, SMTP, the record. */
  readonly cpuUs: number;
  /** Of that, in `destinations`, `due` and `nextDueAtMs`. */
  readonly choosingUs: number;
  readonly rssMib: number;
  /** From the commit of a message to a new domain to its first connection, in milliseconds. */
  readonly firstTryP99Ms: number;
}

export async function benchQueue(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      sizes: { type: "string", default: "10000,100000" },
      domains: { type: "string", default: "10000" },
      take: { type: "string", default: "10000" },
      folder: { type: "string", default: tmpdir() },
      picture: { type: "string" },
      one: { type: "string" },
    },
  });
  const domains = Number(values.domains);
  if (values.one !== undefined) {
    const point = await measure(Number(values.one), domains, Number(values.take), values.folder);
    writeFileSync(join(values.folder, "postern-queue-point.json"), JSON.stringify(point));
    return;
  }
  const points: Point[] = [];
  for (const size of values.sizes.split(",").map(Number)) {
    points.push(apart(size, values));
    const { cpuUs, choosingUs, rssMib, firstTryP99Ms, sent } = points.at(-1) as Point;
    console.log(
      `${size} waiting, ${domains} domains, ${sent} sent: ${cpuUs.toFixed(0)} us CPU a message, ` +
        `${choosingUs.toFixed(0)} of them to choose it; ${rssMib.toFixed(0)} MiB; ` +
        `first try of new mail p99 ${firstTryP99Ms.toFixed(0)} ms`,
    );
  }
  if (values.picture !== undefined) writeFileSync(values.picture, picture(points));
}

/** In a process of its own: memory of an earlier size would count for a later one. */
function apart(
  size: number,
  { domains, take, folder }: { domains: string; take: string; folder: string },
): Point {
  const args = ["--domains", domains, "--take", take, "--folder", folder, "--one", String(size)];
  const program = join(import.meta.dirname, "index.ts");
  const run = spawnSync(process.execPath, [program, "queue", ...args], { stdio: "inherit" });
  if (run.status !== 0) throw new Error(`the bench of ${size} ended with ${run.status}`);
  const file = join(folder, "postern-queue-point.json");
  const point = JSON.parse(readFileSync(file, "utf8")) as Point;
  rmSync(file);
  return point;
}

/** Fills a store by real commits, then lets the queue run until so many are sent. */
async function measure(size: number, domains: number, take: number, under: string): Promise<Point> {
  const folder = mkdtempSync(join(under, "postern-queue-"));
  try {
    const store = await openFilled(folder, systemClock);
    await fill(store, systemClock, { from: 0, to: size, domains });
    const point = await drain(store, { size, take: Math.min(take, size) });
    await store[Symbol.asyncDispose]();
    return point;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function drain(
  store: OpenStore,
  { size, take }: { readonly size: number; readonly take: number },
): Promise<Point> {
  let [sent, choosingUs, rss] = [0, 0, 0];
  const queuedAt = new Map<string, number>();
  const waits: number[] = [];
  const sink = leanSink((recipients) => {
    sent += recipients.length;
  });
  const timed = <Args extends unknown[], Value>(act: (...args: Args) => Promise<Value>) => {
    return async (...args: Args): Promise<Value> => {
      const { user, system } = process.threadCpuUsage();
      const running = act(...args); // all of its work is done before the first await
      const after = process.threadCpuUsage();
      choosingUs += after.user + after.system - user - system;
      return running;
    };
  };
  const { queue: items } = store;
  const queue = createQueue(
    queueDepsOver(store, systemClock, {
      store: {
        ...items,
        destinations: timed(items.destinations),
        due: timed(items.due),
        nextDueAtMs: timed(items.nextDueAtMs),
      },
      resolver: {
        // The domain in the question tells which message is about to be tried.
        query: (async (name: string, type: string) => {
          const since = type === "MX" ? queuedAt.get(name) : undefined;
          if (since !== undefined) waits.push(performance.now() - since);
          if (since !== undefined) queuedAt.delete(name);
          const records = [{ address: "198.51.100.7" }];
          return type === "A"
            ? { kind: "found", records, ttl: 60, authenticated: false }
            : { kind: "none", nxdomain: false };
        }) as never,
      },
      dial: async () => {
        const [ours, theirs] = streamPair();
        sink.serve(theirs);
        return ours;
      },
      notice: async () => {},
    }),
  );
  globalThis.gc?.();
  const cpu = process.cpuUsage();
  await queue.start();
  for (let number = size; sent < take; number += 1) {
    const domain = `new${number}.test`;
    queuedAt.set(domain, performance.now());
    await queueOne(store, { number, recipient: `a@${domain}`, clock: systemClock });
    rss = Math.max(rss, process.memoryUsage.rss());
    await pause(20);
  }
  const { user, system } = process.cpuUsage(cpu);
  const done = sent;
  await queue.stop();
  waits.sort((one, two) => one - two);
  return {
    waiting: size,
    sent: done,
    cpuUs: (user + system) / done,
    choosingUs: choosingUs / done,
    rssMib: rss / 2 ** 20,
    firstTryP99Ms: waits[Math.floor(waits.length * 0.99)] ?? Number.NaN,
  };
}

/** Cost of a message and memory, over a logarithmic count of messages that wait. */
function picture(points: readonly Point[]): string {
  const [width, height, left, right, bottom] = [640, 320, 70, 70, 50];
  const counts = points.map(({ waiting }) => Math.log10(waiting));
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  const x = ({ waiting }: Point): number =>
    left + ((Math.log10(waiting) - least) / Math.max(most - least, 1)) * (width - left - right);
  const scale = (value: number, top: number): number =>
    height - bottom - (value / top) * (height - bottom - 30);
  const topOf = (of: (point: Point) => number): number => Math.max(...points.map(of)) * 1.3;
  const line = (of: (point: Point) => number, color: string): string =>
    `<polyline fill="none" stroke="${color}" stroke-width="2.5" points="${points
      .map((point) => `${x(point).toFixed(1)},${scale(of(point), topOf(of)).toFixed(1)}`)
      .join(" ")}"/>${points
      .map((one) => {
        const at = `cx="${x(one).toFixed(1)}" cy="${scale(of(one), topOf(of)).toFixed(1)}"`;
        return `<circle ${at} r="4" fill="${color}"/>`;
      })
      .join("")}`;
  const label = (px: number, py: number, text: string, anchor = "middle"): string =>
    `<text x="${px.toFixed(1)}" y="${py.toFixed(1)}" text-anchor="${anchor}">${text}</text>`;
  const cpu = ({ cpuUs }: Point): number => cpuUs;
  const rss = ({ rssMib }: Point): number => rssMib;
  const shares = [0, 0.5, 1];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13" fill="#5b6470">
<title>Processor time for a message that is sent, and memory, by messages that wait</title>
<line x1="${left}" y1="${height - bottom}" x2="${width - right}" y2="${height - bottom}" stroke="#9aa3ad"/>
<line x1="${left}" y1="20" x2="${left}" y2="${height - bottom}" stroke="#9aa3ad"/>
<line x1="${width - right}" y1="20" x2="${width - right}" y2="${height - bottom}" stroke="#9aa3ad"/>
${points.map((point) => label(x(point), height - bottom + 20, point.waiting.toLocaleString("en"))).join("\n")}
${shares.map((share) => label(left - 8, scale(share, 1) + 4, `${(topOf(cpu) * share).toFixed(0)} µs`, "end")).join("\n")}
${shares.map((share) => label(width - right + 8, scale(share, 1) + 4, `${(topOf(rss) * share).toFixed(0)} MiB`, "start")).join("\n")}
${line(cpu, "#2563a8")}
${line(rss, "#b4552d")}
${label(width / 2, 24, "blue, left: processor time a message; orange, right: memory")}
${label(width / 2, height - 8, "messages that wait, to 10,000 domains")}
</svg>
`;
}
