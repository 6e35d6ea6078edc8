/**
 * Three days without a link, on a simulated clock and with a real store: what waits is tried in vain,
 * its senders are told, and when somebody listens again everything arrives, once.
 *
 * `node tests/kit/link-outage.ts --messages 1000000 [--domains 10000] [--folder DIRECTORY]`
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Unavailable } from "#base/errors";
import { createQueue } from "#transport/queue";
import { leanSink } from "./lean-sink.ts";
import { commitNotice, fill, openFilled, queueDepsOver, recipientOf } from "./queue-fill.ts";
import { quietClock } from "./quiet-clock.ts";
import { streamPair } from "./stream-pair.ts";

export interface Outage {
  readonly messages: number;
  readonly domains: number;
  readonly hours: number;
  readonly folder: string;
  readonly say?: (text: string) => void;
}

export interface Survived {
  readonly dials: number;
  readonly attempts: number;
  readonly notices: number;
  /** Simulated, from the moment when somebody listened again. */
  readonly arrivedAfterMinutes: number;
  readonly peakRssMib: number;
}

/** @throws AssertionError when anything was lost, doubled or given up */
export async function surviveOutage(given: Outage): Promise<Survived> {
  const { messages, domains, hours, folder, say = () => {} } = given;
  const clock = quietClock(Date.UTC(2026, 0, 5, 12));
  const store = await openFilled(folder, clock);
  await fill(store, clock, { from: 0, to: messages, domains });
  say(`${messages} messages to ${domains} domains are queued`);
  let [isDown, dials, attempts, notices, arrived] = [true, 0, 0, 0, 0];
  const seen = new Uint8Array(messages);
  const sink = leanSink((recipients) => {
    for (const recipient of recipients) {
      const number = Number(/^u(\d+)@/.exec(recipient)?.[1]);
      assert.equal(recipient, recipientOf(number, domains));
      seen[number] = (seen[number] ?? 0) + 1;
      arrived += 1;
    }
  }, clock.stir);
  const over = queueDepsOver(store, clock, {
    dial: async () => {
      dials += 1;
      clock.stir();
      if (isDown) throw new Unavailable("no link");
      const [ours, theirs] = streamPair();
      sink.serve(theirs);
      return ours;
    },
    notice: async (notice) => {
      assert.equal(notice.kind, "delay");
      assert.equal(await commitNotice(store, notice, clock.nowMs()), false, "told twice");
      notices += 1;
    },
    attempted: () => void (attempts += 1),
  });
  const ports = {
    store: clock.watched(over.store),
    messages: clock.watched(over.messages),
    notice: over.notice,
  };
  const queue = createQueue({ ...over, ...ports, ...clock.watched({ notice: over.notice }) });
  const startMs = clock.nowMs();
  let peakRssMib = 0;
  await queue.start();
  for (let hour = 1; hour <= hours; hour += 1) {
    await clock.until(startMs + hour * 3_600_000);
    peakRssMib = Math.max(peakRssMib, process.memoryUsage.rss() / 2 ** 20);
    if (hour % 12 === 0) say(`${hour} h: ${dials} dials, ${attempts} attempts, ${notices} notices`);
  }
  const { waiting } = await store.queue.counts();
  assert.equal(waiting, messages, "all wait");
  isDown = false;
  const backAtMs = clock.nowMs();
  await clock.until(backAtMs + 4 * 3_600_000, () => arrived >= messages);
  const arrivedAfterMinutes = (clock.nowMs() - backAtMs) / 60_000;
  await clock.until(clock.nowMs() + 60_000);
  peakRssMib = Math.max(peakRssMib, process.memoryUsage.rss() / 2 ** 20);
  await queue.stop();
  assert.ok(
    seen.every((count) => count === 1),
    `${arrived} of ${messages} arrived, not each once`,
  );
  assert.deepEqual(await store.queue.counts(), { ...none, delivered: messages });
  assert.equal(notices, messages, "each sender was told of the delay once");
  await store[Symbol.asyncDispose]();
  return { dials, attempts, notices, arrivedAfterMinutes, peakRssMib };
}

const none = { waiting: 0, held: 0, delivered: 0, failed: 0, dropped: 0 };

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      messages: { type: "string", default: "20000" },
      domains: { type: "string" },
      hours: { type: "string", default: "72" },
      folder: { type: "string", default: tmpdir() },
    },
  });
  const messages = Number(values.messages);
  const domains = Number(values.domains ?? Math.max(1, Math.round(messages / 100)));
  const folder = mkdtempSync(join(values.folder, "postern-outage-"));
  const started = performance.now();
  try {
    const say = (text: string): void => {
      console.log(`${((performance.now() - started) / 1000).toFixed(0)} s: ${text}`);
    };
    const survived = await surviveOutage({
      ...{ messages, domains, hours: Number(values.hours), folder, say },
    });
    say(`all ${messages} arrived once: ${JSON.stringify(survived)}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.main) await main();
