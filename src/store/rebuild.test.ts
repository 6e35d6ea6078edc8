import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import type { SimulatedDisk } from "#base/disk-sim";
import type { Connection } from "#model/connection";
import type { SenderVerdict } from "#model/verdict";
import { Damaged } from "./damage.ts";
import {
  acceptMail,
  account,
  directory,
  fixedMaster,
  mail,
  mailboxNamed,
  newDisk,
  openOn,
  rowsOf,
  storeWithAlice,
} from "./fixture.ts";
import { pageBytes } from "./pages.ts";
import { rebuildIndex } from "./rebuild.ts";
import { segmentName } from "./segments.ts";

const segment = join(directory, segmentName(1));

interface Stopped extends Disposable {
  readonly disk: SimulatedDisk;
  readonly folder: string;
  readonly indexPath: string;
}

async function stoppedStore(): Promise<Stopped> {
  const folder = mkdtempSync(join(tmpdir(), "postern-index-"));
  const indexPath = join(folder, "index.sqlite");
  const disk = newDisk();
  const store = await storeWithAlice(disk, { indexPath });
  for (let number = 1; number <= 8; number += 1) {
    await acceptMail(store, number, mail(`m ${number}`, 12_000));
  }
  await store[Symbol.asyncDispose]();
  const dispose = (): void => rmSync(folder, { recursive: true });
  return { disk: disk.kill(), folder, indexPath, [Symbol.dispose]: dispose };
}

/** Makes the index one of another version, which no start can use. */
function spoil(indexPath: string): void {
  const db = new DatabaseSync(indexPath);
  db.exec("PRAGMA user_version = 999");
  db.close();
}

/** In the middle, beyond repair. @returns what undoes it */
async function damage(disk: SimulatedDisk): Promise<() => void> {
  await disk.remove(join(directory, "tail-00000001"));
  const octets = disk.octets(segment);
  const lost = octets.subarray(6 * pageBytes + 100, 6 * pageBytes + 300);
  const before = Buffer.from(lost);
  lost.fill(9);
  return () => void before.copy(lost);
}

describe("an index that no start can use", () => {
  const ways = {
    "openStore()": async (disk: SimulatedDisk, indexPath: string) => {
      await (await openOn(disk, { indexPath }))[Symbol.asyncDispose]();
    },
    "rebuildIndex()": async (disk: SimulatedDisk, indexPath: string) => {
      await rebuildIndex(disk, directory, indexPath, fixedMaster);
    },
  };
  for (const [name, make] of Object.entries(ways)) {
    test(`stays when ${name} fails in the middle, and goes when it succeeds`, async () => {
      using stopped = await stoppedStore();
      const { disk, folder, indexPath } = stopped;
      const right = rowsOf(indexPath);
      spoil(indexPath);
      const mend = await damage(disk);
      await assert.rejects(make(disk, indexPath), Damaged);
      assert.deepEqual(rowsOf(indexPath), right);
      assert.deepEqual(leftIn(folder), ["index.sqlite"], "nothing half made stays");
      mend();
      await rebuildIndex(disk.kill(), directory, indexPath, fixedMaster);
      assert.deepEqual(rowsOf(indexPath), right);
      await ways["openStore()"](disk.kill(), indexPath);
      assert.deepEqual(leftIn(folder), ["index.sqlite"]);
    });
  }

  test("what a cut left of a new one is removed by the next start", async () => {
    using stopped = await stoppedStore();
    const { disk, folder, indexPath } = stopped;
    const half = new DatabaseSync(`${indexPath}.new`);
    half.exec("PRAGMA journal_mode = WAL; CREATE TABLE half (made)");
    half.close();
    assert.ok(existsSync(`${indexPath}.new`));
    await ways["openStore()"](disk, indexPath);
    assert.deepEqual(leftIn(folder), ["index.sqlite"]);
  });
});

test("contacts, keywords and names that were given up are the same after a rebuild", async () => {
  const folder = mkdtempSync(join(tmpdir(), "postern-index-"));
  const indexPath = join(folder, "index.sqlite");
  const disk = newDisk();
  const store = await storeWithAlice(disk, { indexPath });
  const { mailboxes } = store;
  for (let number = 1; number <= 12; number += 1) {
    const address = `s${number % 5}@example.net`;
    await acceptMail(store, number, mail(`m ${number}`), {
      verdicts: [{ method: "sender", result: "verified", address } as SenderVerdict],
      deliveries: [{ account, mailbox: "inbox", flags: [`$k${number % 3}`, "\\Seen"] }],
      acceptedAtMs: number,
      ...(number % 4 === 0 && {
        direction: "submission",
        connection: { authenticated: "ALICE@example.org" } as Connection,
      }),
    });
  }
  const inbox = await mailboxNamed(store, "INBOX");
  await mailboxes.setFlags(inbox, [{ from: 3, to: 6 }], { mode: "replace", flags: ["b", "$a"] });
  for (const name of ["One", "Two/Below", "Three"]) await mailboxes.create(account, name);
  await mailboxes.remove(await mailboxNamed(store, "Three"));
  await mailboxes.rename(await mailboxNamed(store, "Two"), "Three");
  await mailboxes.rename(await mailboxNamed(store, "One"), "Two");
  const bob = { id: "bob", address: "bob@example.org", displayName: "Bob", createdAtMs: 1 };
  await store.people.putAccount(bob, "test");
  await store.people.removeAccount("bob", "test");
  await store[Symbol.asyncDispose]();
  const old = rowsOf(indexPath) as [string, unknown[]][];
  const count = (table: string): number => old.find(([name]) => name === table)?.[1].length ?? 0;
  assert.deepEqual([count("contact"), count("freed_name")], [6, 4]);
  await rebuildIndex(disk.kill(), directory, indexPath, fixedMaster);
  assert.deepEqual(rowsOf(indexPath), old);
  rmSync(folder, { recursive: true });
});

/** Reading rows of a database in this mode leaves two empty files beside it. */
function leftIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => !/-(wal|shm)$/.test(name));
}
