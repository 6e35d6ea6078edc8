/** What keeping a message costs: the store against a bare append of the same octets, in one run. */

import { mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { systemClock } from "#base/clock";
import { realDisk } from "#base/disk";
import { systemRandom } from "#base/random";
import type { Acceptance } from "#contracts/store";
import { type Cipher, noCipher, type OpenStore, openStore, type StoreOptions } from "#store";
import { fixedMaster } from "../src/store/fixture.ts";
import { spreadText } from "./spread.ts";

interface Run {
  readonly perSecond: number;
  /** Microseconds of this process for one message. */
  readonly cpuUs: number;
  /** Milliseconds from handing a message in to its answer. */
  readonly p99Ms: number;
}

interface Load {
  readonly messages: number;
  readonly sizeBytes: number;
  readonly writers: number;
}

export async function benchStore(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "5" },
      messages: { type: "string", default: "5000" },
      size: { type: "string", default: "20000" },
      writers: { type: "string", default: "64" },
      folder: { type: "string", default: tmpdir() },
      only: { type: "string", default: "" },
    },
  });
  const load = {
    messages: Number(values.messages),
    sizeBytes: Number(values.size),
    writers: Number(values.writers),
  };
  const kinds: Record<string, (folder: string) => Promise<Run>> = {
    "bare append, sync per 50": (folder) => bareAppend(folder, load),
    "ledger, parts alone": (folder) => append(folder, load),
    "ledger, each waits": (folder) => commit(folder, load),
    "store, whole": (folder) => keep(folder, load),
    "store, without cipher": (folder) => keep(folder, load, noCipher),
  };
  const runs = new Map<string, Run[]>(Object.keys(kinds).map((name) => [name, []]));
  // The first round warms up: what compiling costs comes once in the life of a server.
  for (let round = 0; round <= Number(values.rounds); round += 1) {
    for (const [name, act] of Object.entries(kinds)) {
      if (!name.includes(values.only)) continue;
      const folder = mkdtempSync(join(values.folder, "postern-bench-"));
      try {
        const run = await act(folder);
        if (round > 0) runs.get(name)?.push(run);
      } finally {
        rmSync(folder, { recursive: true });
      }
    }
  }
  console.log(
    `${load.messages} messages of ${load.sizeBytes} octets, ${load.writers} writers; min/median/max`,
  );
  for (const [name, results] of runs) {
    if (results.length === 0) continue;
    const column = (pick: (run: Run) => number): string => spreadText(results.map(pick));
    console.log(
      `${name.padEnd(26)} ${column((run) => run.cpuUs)} us CPU a message · ` +
        `${column((run) => run.perSecond)} a second · p99 ${column((run) => run.p99Ms)} ms`,
    );
  }
}

async function bareAppend(folder: string, { messages, sizeBytes }: Load): Promise<Run> {
  const file = await open(join(folder, "append"), "w");
  const octets = systemRandom.bytes(sizeBytes);
  const batch = Array.from({ length: 50 }, () => octets);
  const times: number[] = [];
  const run = await timed(messages, times, async () => {
    for (let at = 0; at < messages; at += batch.length) {
      const start = performance.now();
      await file.writev(batch, at * sizeBytes);
      await file.datasync();
      times.push(performance.now() - start);
    }
  });
  await file.close();
  return run;
}

function openIn(folder: string, more: Partial<StoreOptions>): Promise<OpenStore> {
  return openStore({
    disk: realDisk,
    clock: systemClock,
    random: systemRandom,
    master: fixedMaster,
    directory: join(folder, "store"),
    indexPath: join(folder, "index.sqlite"),
    ...more,
  });
}

/** Octets of contents only: checksums, hashes, encryption, second copy and parity, hardly any view. */
async function append(folder: string, { messages, sizeBytes, writers }: Load): Promise<Run> {
  await using store = await openIn(folder, { inlineBytes: sizeBytes });
  const octets = systemRandom.bytes(sizeBytes);
  const times: number[] = [];
  return await timed(messages, times, async () => {
    const each = Math.ceil(messages / writers);
    const one = async (): Promise<void> => {
      const writer = store.stage();
      for (let done = 0; done < each; done += 1) {
        const start = performance.now();
        await writer.write(octets);
        times.push(performance.now() - start);
      }
      await writer.finish();
    };
    await Promise.all(Array.from({ length: writers }, one));
    await guarded(store);
  });
}

/** As `append`, but each writer waits until its message is durable: what a group commit takes. */
async function commit(folder: string, { messages, sizeBytes, writers }: Load): Promise<Run> {
  await using store = await openIn(folder, { inlineBytes: sizeBytes });
  const octets = systemRandom.bytes(sizeBytes);
  const times: number[] = [];
  return await timed(messages, times, async () => {
    const each = Math.ceil(messages / writers);
    const one = async (): Promise<void> => {
      for (let done = 0; done < each; done += 1) {
        const start = performance.now();
        const writer = store.stage();
        await writer.write(octets);
        await writer.finish();
        times.push(performance.now() - start);
      }
    };
    await Promise.all(Array.from({ length: writers }, one));
    await guarded(store);
  });
}

/** Parity is part of the price. */
async function guarded(store: OpenStore): Promise<void> {
  while ((await store.health()).withoutParity > 0) await setTimeout(20);
}

async function keep(folder: string, load: Load, cipher?: Cipher): Promise<Run> {
  await using store = await openIn(folder, cipher === undefined ? {} : { cipher });
  const person = { id: "alice", address: "alice@example.org", displayName: "Alice" };
  await store.people.putAccount({ ...person, createdAtMs: 1 }, "bench");
  const contents = Array.from({ length: 64 }, () => mailOf(load.sizeBytes));
  const times: number[] = [];
  let next = 0;
  return await timed(load.messages, times, async () => {
    const writer = async (): Promise<void> => {
      while (next < load.messages) {
        const number = next;
        next += 1;
        const octets = contents[number % contents.length] as Buffer;
        octets.writeUInt32LE(number, octets.length - 4);
        const start = performance.now();
        await acceptOne(store, number, Buffer.from(octets));
        times.push(performance.now() - start);
      }
    };
    await Promise.all(Array.from({ length: load.writers }, writer));
    await guarded(store);
  });
}

function mailOf(sizeBytes: number): Buffer {
  const header = "From: bob@example.net\r\nMessage-ID: <1@example.net>\r\nSubject: a bench\r\n\r\n";
  return Buffer.concat([Buffer.from(header), systemRandom.bytes(sizeBytes - header.length)]);
}

/** Takes messages into Alice's INBOX, many at a time. */
export async function keepMail(
  store: OpenStore,
  {
    from,
    to,
    sizeBytes,
  }: { readonly from: number; readonly to: number; readonly sizeBytes: number },
): Promise<void> {
  let next = from;
  const writer = async (): Promise<void> => {
    while (next < to) {
      next += 1;
      const octets = mailOf(sizeBytes);
      await acceptOne(store, next - 1, octets);
    }
  };
  await Promise.all(Array.from({ length: 64 }, writer));
}

const head = Buffer.from("Return-Path: <bob@example.net>\r\nReceived: from mx.example.net\r\n");

async function acceptOne(store: OpenStore, number: number, octets: Buffer): Promise<void> {
  const writer = store.stage();
  await writer.write(octets);
  const acceptance: Acceptance = {
    id: number.toString(16).padStart(32, "0"),
    direction: "inbound",
    connection: {
      listener: "smtp",
      clientAddress: "192.0.2.1",
      clientPort: 25,
      helo: "mx.example.net",
      extended: true,
    },
    envelope: { reversePath: "bob@example.net", recipients: [{ path: "alice@example.org" }] },
    verdicts: [],
    decision: { disposition: "accept", opinions: [] },
    head,
    content: await writer.finish(),
    acceptedAtMs: Date.now(),
    steps: [],
    deliveries: [{ account: "alice", mailbox: "inbox", flags: [] }],
    queue: [],
  };
  await store.accept(acceptance);
}

async function timed(
  messages: number,
  times: readonly number[],
  act: () => Promise<void>,
): Promise<Run> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await act();
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const sorted = times.toSorted((one, two) => one - two);
  return {
    perSecond: messages / seconds,
    cpuUs: (user + system) / messages,
    p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
  };
}
