/** Whether a store gets slower as a mailbox grows: first octet of a message, and the views made anew. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "#base/clock";
import { realDisk } from "#base/disk";
import { systemRandom } from "#base/random";
import { type OpenStore, openStore, rebuildIndex } from "#store";
import { fixedMaster } from "../src/store/fixture.ts";
import { keepMail } from "./store.ts";

interface Point {
  readonly messages: number;
  /** Microseconds from asking for a random message to its first octet. */
  readonly medianUs: number;
  readonly p99Us: number;
}

const reads = 2000;

export async function benchStoreGrowth(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      max: { type: "string", default: "100000" },
      size: { type: "string", default: "600" },
      folder: { type: "string", default: tmpdir() },
      picture: { type: "string" },
    },
  });
  const folder = mkdtempSync(join(values.folder, "postern-growth-"));
  const indexPath = join(folder, "index.sqlite");
  const points: Point[] = [];
  try {
    const store = await openStore({
      disk: realDisk,
      clock: systemClock,
      random: systemRandom,
      master: fixedMaster,
      directory: folder,
      indexPath,
    });
    const person = { id: "alice", address: "alice@example.org", displayName: "Alice" };
    await store.people.putAccount({ ...person, createdAtMs: 1 }, "bench");
    let kept = 0;
    for (let messages = 1000; messages <= Number(values.max); messages *= 10) {
      await keepMail(store, { from: kept, to: messages, sizeBytes: Number(values.size) });
      kept = messages;
      const point = { messages, ...(await firstOctets(store, messages)) };
      points.push(point);
      console.log(
        `${messages} messages: first octet ${point.medianUs.toFixed(0)} us, p99 ${point.p99Us.toFixed(0)} us`,
      );
    }
    await store[Symbol.asyncDispose]();
    const start = performance.now();
    const records = await rebuildIndex(realDisk, folder, indexPath, fixedMaster);
    const seconds = (performance.now() - start) / 1000;
    console.log(`views made anew from ${records} records in ${seconds.toFixed(1)} s`);
    if (values.picture !== undefined) writeFileSync(values.picture, picture(points));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function firstOctets(
  store: OpenStore,
  messages: number,
): Promise<Pick<Point, "medianUs" | "p99Us">> {
  const times: number[] = [];
  for (let read = 0; read < reads; read += 1) {
    const number = Math.floor(systemRandom.fraction() * messages);
    const start = performance.now();
    await store.messages.read(number.toString(16).padStart(32, "0"), 0, 1);
    times.push((performance.now() - start) * 1000);
  }
  times.sort((one, two) => one - two);
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? Number.NaN;
  return { medianUs: at(0.5), p99Us: at(0.99) };
}

/** A line for the median and one for the 99th percentile, over a logarithmic count of messages. */
function picture(points: readonly Point[]): string {
  const [width, height, left, bottom] = [640, 320, 70, 50];
  const top = Math.max(...points.map(({ p99Us }) => p99Us)) * 1.1;
  const x = ({ messages }: Point): number =>
    left + ((Math.log10(messages) - 3) / 3) * (width - left - 30);
  const y = (us: number): number => height - bottom - (us / top) * (height - bottom - 30);
  const line = (of: (point: Point) => number, color: string): string =>
    `<polyline fill="none" stroke="${color}" stroke-width="2.5" points="${points
      .map((point) => `${x(point).toFixed(1)},${y(of(point)).toFixed(1)}`)
      .join(" ")}"/>${points
      .map((point) => `<circle cx="${x(point)}" cy="${y(of(point))}" r="4" fill="${color}"/>`)
      .join("")}`;
  const label = (px: number, py: number, text: string, anchor = "middle"): string =>
    `<text x="${px}" y="${py}" text-anchor="${anchor}">${text}</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13" fill="#5b6470">
<title>Time to the first octet of a message, by messages in its mailbox</title>
<line x1="${left}" y1="${height - bottom}" x2="${width - 20}" y2="${height - bottom}" stroke="#9aa3ad"/>
<line x1="${left}" y1="20" x2="${left}" y2="${height - bottom}" stroke="#9aa3ad"/>
${points.map((point) => label(x(point), height - bottom + 20, point.messages.toLocaleString("en"))).join("\n")}
${[0, 0.5, 1].map((share) => label(left - 8, y(top * share) + 4, `${(top * share).toFixed(0)} µs`, "end")).join("\n")}
${line(({ medianUs }) => medianUs, "#2563a8")}
${line(({ p99Us }) => p99Us, "#b4552d")}
${label(width - 30, 24, "blue: median, orange: 99th percentile", "end")}
${label((left + width) / 2, height - 8, "messages in the mailbox")}
</svg>
`;
}
