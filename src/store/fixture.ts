/** What the tests of this room share: a store on a simulated disk, and mail for it. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type Clock, systemClock } from "#base/clock";
import { type DiskFaults, type SimulatedDisk, simulatedDisk } from "#base/disk-sim";
import { seededRandom } from "#base/random";
import type { Master } from "#contracts/keyring";
import type { Acceptance, Accepted, StagedContent, Store } from "#contracts/store";
import { keyBytes } from "./cipher.ts";
import { batchesOf, recordsIn, surveyLedger } from "./groups.ts";
import { masterOf } from "./memory-master.ts";
import { type OpenStore, openStore, type StoreOptions } from "./open.ts";
import type { PlacedRecord } from "./records.ts";
import { openKeys } from "./recover.ts";
import { PageWindow } from "./scan.ts";
import { Segments } from "./segments.ts";
import { StoreKeys } from "./store-keys.ts";

/** A master key that everybody knows: for tests and measurements, never for mail. */
export const fixedMaster: Master = masterOf("fixed", Buffer.alloc(keyBytes, 7));

export const directory = "/store";
export const account = "alice";

/** A clock whose time passes when told, and whose timers do not run. */
export function stillClock(): Clock & { passMs(ms: number): void } {
  let passed = 0;
  return {
    nowMs: () => 1_800_000_000_000 + passed,
    tickMs: () => passed,
    after: () => ({ cancel: () => undefined }),
    passMs(ms) {
      passed += ms;
    },
  };
}

export function newDisk(faults: DiskFaults = {}): SimulatedDisk {
  return simulatedDisk(seededRandom(1), faults);
}

export function openOn(disk: SimulatedDisk, more: Partial<StoreOptions> = {}): Promise<OpenStore> {
  const parts = { disk, clock: systemClock, random: seededRandom(2), directory };
  const sizes = { segmentBytes: 256 * 1024, reserveBytes: 32 * 1024, inlineBytes: 16 * 1024 };
  return openStore({ ...parts, master: fixedMaster, indexPath: ":memory:", ...sizes, ...more });
}

/** A store with one account. */
export async function storeWithAlice(
  disk: SimulatedDisk = newDisk(),
  more: Partial<StoreOptions> = {},
): Promise<OpenStore> {
  const store = await openOn(disk, more);
  const person = { id: account, address: "alice@example.org", displayName: "Alice" };
  await store.people.putAccount({ ...person, createdAtMs: 1 }, "test");
  return store;
}

export async function stage(
  store: Store,
  octets: Uint8Array,
  stepBytes = 5000,
): Promise<StagedContent> {
  const writer = store.stage();
  for (let at = 0; at < octets.length; at += stepBytes) {
    await writer.write(octets.subarray(at, at + stepBytes));
  }
  return writer.finish();
}

export function messageId(number: number): string {
  return number.toString(16).padStart(32, "0");
}

export const head: Buffer = Buffer.from("Return-Path: <bob@example.net>\r\n");

export function mail(text: string, bytes = 500): Buffer {
  const header = `From: bob@example.net\r\nMessage-ID: <${text}@example.net>\r\nSubject: ${text}\r\n\r\n`;
  return Buffer.concat([Buffer.from(header), Buffer.alloc(bytes, `${text} `)]);
}

/** Accepts one message for Alice. */
export async function acceptMail(
  store: Store,
  number: number,
  octets: Uint8Array = mail(`mail ${number}`),
  more: Partial<Acceptance> = {},
): Promise<Accepted> {
  const content = await stage(store, octets);
  return store.accept({
    id: messageId(number),
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
    content,
    acceptedAtMs: 1_800_000_000_000,
    steps: [],
    deliveries: [{ account, mailbox: "inbox", flags: [] }],
    queue: [],
    ...more,
  });
}

export async function mailboxNamed(store: Store, name: string): Promise<string> {
  const all = await store.mailboxes.list(account);
  return all.find((mailbox) => mailbox.name === name)?.id ?? "";
}

/** Every record in the files of a stopped store, with its place. */
export async function recordsOn(disk: SimulatedDisk): Promise<PlacedRecord[]> {
  const segments = new Segments(disk, directory);
  const file = await openKeys(segments, { disk, directory, random: seededRandom(3) }, fixedMaster);
  assert.ok(file !== undefined, "there is a store");
  const found: PlacedRecord[] = [];
  const window = new PageWindow(segments);
  for (const span of await surveyLedger(window, segments, Number.POSITIVE_INFINITY)) {
    for await (const batch of batchesOf(window, span)) {
      found.push(...(recordsIn(batch, new StoreKeys(file)) ?? []));
    }
  }
  return found;
}

/** Every row of the views in a file, but for what is made again when asked for. */
export function rowsOf(path: string): unknown[] {
  const db = new DatabaseSync(path, { readOnly: true });
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
  const rows = tables
    .filter(({ name }) => name !== "description")
    .map(({ name }) => [name, db.prepare(`SELECT * FROM ${name} ORDER BY 1`).all()]);
  db.close();
  return rows;
}
