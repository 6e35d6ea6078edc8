/** What the tests of compaction share: a stopped store, sealed, with its views at hand. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type SimulatedDisk, simulatedDisk } from "#base/disk-sim";
import { silentLog } from "#base/log";
import { pick, type Random, seededRandom } from "#base/random";
import type { CompactionParts } from "./compact.ts";
import {
  acceptMail,
  directory,
  fixedMaster,
  mail,
  mailboxNamed,
  openOn,
  storeWithAlice,
} from "./fixture.ts";
import type { OpenStore } from "./open.ts";
import { catchUp, openKeys } from "./recover.ts";
import { Repair } from "./repair.ts";
import { findStoreId } from "./scan.ts";
import { firstGeneration, pagesInUse, sealSegment } from "./seal.ts";
import { Segments } from "./segments.ts";
import { StoreKeys } from "./store-keys.ts";

export interface Workshop extends AsyncDisposable {
  readonly parts: CompactionParts;
  /** All but the last. */
  readonly sealed: readonly number[];
}

export async function workshopOn(disk: SimulatedDisk, indexPath: string): Promise<Workshop> {
  const segments = new Segments(disk, directory);
  segments.repair = new Repair(segments, () => undefined);
  const file = await openKeys(segments, { disk, directory, random: seededRandom(3) }, fixedMaster);
  assert.ok(file !== undefined, "there is a store");
  const keys = new StoreKeys(file);
  const { views } = await catchUp(segments, indexPath, { keys, log: silentLog });
  await sealLeft(disk);
  const sealed = await segments.numbers("parity");
  return {
    sealed,
    parts: {
      segments,
      views,
      contents: { isAwaited: () => false, ending: new Set() },
      spareBytes: 0,
      alone: (work) => work(),
      seal: () => undefined,
    },
    async [Symbol.asyncDispose]() {
      await segments.close();
      views.close();
    },
  };
}

/** A disk with the same files. */
export async function copyOf(disk: SimulatedDisk, random: Random): Promise<SimulatedDisk> {
  const copy = simulatedDisk(random);
  for (const name of await disk.list(directory)) {
    const file = await copy.open(join(directory, name), "create");
    await file.write([disk.octets(join(directory, name))], 0);
    await file.sync();
  }
  await copy.syncDirectory(directory);
  return copy;
}

export function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "postern-compaction-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** What mail `number` says: small, whole in its record, or in parts. */
export function mailOf(number: number): Buffer {
  return mail(`m ${number}`, [400, 9000, 40_000][number % 3]);
}

/** Alice's mail that is still there, with the UIDs it has. */
export type Kept = Map<number, number>;

export interface Life {
  readonly random: Random;
  readonly mails: number;
  readonly kept: Kept;
  readonly segmentBytes?: number;
}

/**
 * Some time in the life of a store: mail comes, goes and is erased, after which the store compacts
 * what it can. At the end a guest leaves, whose mail nobody has compacted yet.
 */
export async function live(
  disk: SimulatedDisk,
  indexPath: string,
  { random, mails, kept, segmentBytes = 256 * 1024 }: Life,
): Promise<void> {
  const store = await storeWithAlice(disk, { indexPath, segmentBytes });
  const inbox = await mailboxNamed(store, "INBOX");
  const first = (await store.stats()).messages + 1;
  const guest = `guest-${first}`;
  const address = `${guest}@example.org`;
  await store.people.putAccount({ id: guest, address, displayName: "", createdAtMs: 1 }, "test");
  const deliveries = [{ account: guest, mailbox: "inbox", flags: [] }] as const;
  for (let number = first; number < first + mails; number += 1) {
    const isGuests = pick(random, 2 + Math.floor((number - first) / 8)) === 0;
    const { entries } = await acceptMail(
      store,
      number,
      mailOf(number),
      isGuests ? { deliveries } : {},
    );
    if (!isGuests) kept.set(number, entries[0]?.uid ?? 0);
    if (pick(random, 12) === 0) void store.stage().write(Buffer.alloc(40_000, number));
    if (pick(random, 6) > 0) continue;
    for (const [one, uid] of kept) {
      if (pick(random, 16) > 0) continue;
      await store.mailboxes.expunge(inbox, [{ from: uid, to: uid }], "any");
      kept.delete(one);
    }
    if (pick(random, 2) === 0) await store.erase();
  }
  await store.people.removeAccount(guest, "test");
  await store.erase();
  await store[Symbol.asyncDispose]();
}

/** Opens the store, and sees that every mail is there that should be. */
export async function assertHolds(
  disk: SimulatedDisk,
  indexPath: string,
  kept: Kept,
): Promise<void> {
  await using store = await openOn(disk, { indexPath });
  const id = (number: number): string => number.toString(16).padStart(32, "0");
  for (const number of kept.keys()) {
    const octets = await store.messages.read(id(number));
    assert.ok(octets.subarray(-mailOf(number).length).equals(mailOf(number)), `mail ${number}`);
  }
  const { damages } = await store.verify();
  assert.deepEqual(damages, []);
}

/** When a running store has sealed every segment that it has left. */
export async function sealed(store: OpenStore): Promise<void> {
  while ((await store.health()).withoutParity > 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Seals every segment that a stopped store has left. */
async function sealLeft(disk: SimulatedDisk): Promise<void> {
  const segments = new Segments(disk, directory);
  segments.storeId = await findStoreId(segments);
  const done = await segments.numbers("parity");
  for (const number of await segments.numbers()) {
    if (done.includes(number)) continue;
    const isLast = !(await segments.numbers()).includes(number + 1);
    const limit = isLast ? undefined : await firstGeneration(segments, number + 1);
    if (limit === undefined) break;
    await sealSegment(segments, number, await pagesInUse(segments, number, limit));
  }
  await segments.close();
}
