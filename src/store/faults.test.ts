import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { realDisk } from "#base/disk";
import type { SimulatedDisk } from "#base/disk-sim";
import { Full, Misconfigured, Unavailable } from "#base/errors";
import { systemRandom } from "#base/random";
import {
  acceptMail,
  account,
  directory,
  fixedMaster,
  head,
  mail,
  mailboxNamed,
  messageId,
  newDisk,
  openOn,
  recordsOn,
  stillClock,
  storeWithAlice,
} from "./fixture.ts";
import { Damaged, openStore, rebuildIndex, verifyStore } from "./index.ts";
import { headerBytes, pageBytes, payloadBytes } from "./pages.ts";
import { blobExtent, type PlacedRecord } from "./records.ts";

const firstSegment = `${directory}/segment-00000001`;

describe("I/O errors", () => {
  /** What a run was told, until its disk failed. */
  async function runUntilFailure(disk: SimulatedDisk): Promise<Set<number>> {
    const kept = new Set<number>();
    try {
      const store = await storeWithAlice(disk);
      for (let round = 0; round < 5; round += 1) {
        const numbers = [0, 1, 2].map((index) => round * 3 + index);
        await Promise.all(
          numbers.map(async (number) => {
            await acceptMail(store, number, mail(`m ${number}`, number % 3 === 0 ? 40_000 : 300));
            kept.add(number);
          }),
        );
      }
      await store[Symbol.asyncDispose]();
    } catch (error) {
      const isEnvironment = error instanceof Unavailable || (error as { code?: string }).code;
      assert.ok(isEnvironment, String(error));
    }
    return kept;
  }

  test("each operation failing once gives no false answer and no hang", async () => {
    const clean = newDisk();
    await runUntilFailure(clean);
    assert.ok(clean.operations > 60);
    for (let at = 1; at <= clean.operations; at += 1) {
      const disk = newDisk({ failAtOperation: at });
      const kept = await runUntilFailure(disk);
      // The process ends; whether the machine goes on or is cut as well must not matter.
      const after = at % 2 === 0 ? disk.kill() : disk.powerCut();
      await using store = await openOn(after);
      for (const number of kept) {
        const read = await store.messages.read(messageId(number), head.length);
        assert.ok(read.equals(mail(`m ${number}`, number % 3 === 0 ? 40_000 : 300)), `at ${at}`);
      }
      if ((await store.people.accounts()).length > 0) await acceptMail(store, 900);
    }
  });

  test("after a failed sync everybody is told, and the segment is not used again", async () => {
    const disk = newDisk();
    const store = await storeWithAlice(disk);
    await acceptMail(store, 1);
    disk.faults = { failAtOperation: disk.operations + 2, failsOn: true };
    const both = await Promise.allSettled([acceptMail(store, 2), acceptMail(store, 3)]);
    assert.deepEqual(
      both.map(({ status }) => status),
      ["rejected", "rejected"],
    );
    assert.match(String(await store.failed), /disk failed/);
    await assert.rejects(acceptMail(store, 4), Unavailable);
    await store[Symbol.asyncDispose]();
    const next = disk.kill();
    const before = Buffer.from(next.octets(firstSegment));
    await using again = await openOn(next);
    await acceptMail(again, 5);
    const used = next.octets(firstSegment);
    assert.ok(before.subarray(0, used.length).equals(used), "only released, never appended to");
  });
});

describe("a full disk", () => {
  test("is Full for mail, still lets mail be deleted, and recovers alone", async () => {
    const clock = stillClock();
    const disk = newDisk({ roomBytes: 600 * 1024 });
    await using store = await storeWithAlice(disk, { clock });
    const inbox = await mailboxNamed(store, "INBOX");
    let kept = 0;
    await assert.rejects(async () => {
      for (;;) await acceptMail(store, kept++, mail(`m ${kept}`, 10_000));
    }, Full);
    const everything = await store.mailboxes.expunge(inbox, undefined, "any");
    assert.equal(everything.length, kept - 1);
    disk.faults = {};
    await assert.rejects(acceptMail(store, 901, mail("too soon", 10_000)), Full);
    clock.passMs(2000);
    await acceptMail(store, 902, mail("room again", 10_000));
  });
});

describe("damage", () => {
  async function filled(): Promise<SimulatedDisk> {
    const disk = newDisk();
    const store = await storeWithAlice(disk);
    for (let number = 1; number <= 4; number += 1) {
      await acceptMail(store, number, mail(`m ${number}`, 12_000));
    }
    await store[Symbol.asyncDispose]();
    return disk.kill();
  }

  test("octets lost in a content are found with their page and message, by verify and by opening", async () => {
    const disk = await filled();
    const contents = (await recordsOn(disk)).filter(({ record }) => record.kind === "content");
    const [, from] = blobExtent((contents[1] as PlacedRecord).place);
    const page = Math.floor((from + 9000) / payloadBytes);
    await disk.remove(`${directory}/tail-00000001`);
    disk.octets(firstSegment).fill(9, page * pageBytes + 500, page * pageBytes + 600);
    const found = await verifyStore(disk, directory, fixedMaster);
    const place = { file: "segment-00000001", page, what: "checksum", messages: [messageId(2)] };
    assert.deepEqual(found.damages, [place]);
    const before = Buffer.from(disk.octets(firstSegment));
    await assert.rejects(
      openOn(disk),
      (error) => error instanceof Damaged && error.place.page === page,
    );
    assert.ok(before.equals(disk.octets(firstSegment)), "nothing is cut away or zeroed");
  });

  test("a flipped bit in a record names its message as well", async () => {
    const disk = await filled();
    const accepted = (await recordsOn(disk)).filter(({ record }) => record.kind === "accepted");
    const from = (accepted[2] as PlacedRecord).place.jsonAt + 300;
    const at = Math.floor(from / payloadBytes) * pageBytes + headerBytes + (from % payloadBytes);
    const octets = disk.octets(firstSegment);
    octets[at] = (octets[at] ?? 0) ^ 1;
    const [damage] = (await verifyStore(disk, directory, fixedMaster)).damages;
    assert.equal(damage?.page, Math.floor(at / pageBytes));
    assert.ok(damage?.messages.includes(messageId(3)));
  });

  test("a page of another place and a page of zeros are found", async () => {
    const disk = await filled();
    const octets = disk.octets(firstSegment);
    octets.copy(octets, 3 * pageBytes, 4 * pageBytes, 5 * pageBytes);
    octets.fill(0, 6 * pageBytes, 7 * pageBytes);
    const { damages } = await verifyStore(disk, directory, fixedMaster);
    assert.deepEqual(
      damages.map(({ page, what }) => [page, what]),
      [
        [3, "misplaced"],
        [6, "missing"],
      ],
    );
  });

  test("a missing segment is named", async () => {
    const disk = newDisk();
    const store = await storeWithAlice(disk);
    for (let number = 1; number <= 60; number += 1) {
      await acceptMail(store, number, mail(`m ${number}`, 12_000));
    }
    await store[Symbol.asyncDispose]();
    const next = disk.kill();
    await next.remove(`${directory}/segment-00000002`);
    await next.remove(`${directory}/tail-00000002`);
    await assert.rejects(openOn(next), /segment-00000002 page 0 \(missing\)/);
    assert.equal((await verifyStore(next, directory, fixedMaster)).damages.length, 1);
  });

  test("what stands behind the end of a closed store is left alone, and is no damage", async () => {
    const disk = await filled();
    const { pages } = await verifyStore(disk, directory, fixedMaster);
    disk.octets(firstSegment).fill(7, pages * pageBytes, (pages + 1) * pageBytes);
    const { tornPages, damages } = await verifyStore(disk, directory, fixedMaster);
    assert.deepEqual([tornPages, damages], [1, []]);
    await using store = await openOn(disk);
    await acceptMail(store, 9);
    assert.equal(disk.octets(firstSegment).length, pages * pageBytes, "nothing is written there");
    assert.equal(
      (await store.messages.read(messageId(9))).length,
      head.length + mail("mail 9").length,
    );
  });

  test("a running store reads and reports it without stopping", async () => {
    const disk = newDisk();
    await using store = await storeWithAlice(disk);
    await acceptMail(store, 1, mail("m 1", 12_000));
    await acceptMail(store, 2);
    const octets = disk.octets(firstSegment);
    octets.fill(9, 3 * pageBytes + 100, 4 * pageBytes - 100);
    await assert.rejects(store.messages.read(messageId(1)), (error) => {
      return error instanceof Damaged && error.place.messages.includes(messageId(1));
    });
    assert.equal((await store.verify()).damages.length, 1);
    await acceptMail(store, 3);
  });
});

describe("the views", () => {
  function rows(path: string): unknown[] {
    const db = new DatabaseSync(path, { readOnly: true });
    const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    const all = tables
      .filter(({ name }) => name !== "description")
      .map(({ name }) => [name, db.prepare(`SELECT * FROM ${name} ORDER BY 1`).all()]);
    db.close();
    return all;
  }

  async function lived(folder: string): Promise<{ disk: SimulatedDisk; indexPath: string }> {
    const indexPath = join(folder, "index.db");
    const disk = newDisk();
    const store = await storeWithAlice(disk, { indexPath });
    const inbox = await mailboxNamed(store, "INBOX");
    for (let number = 1; number <= 9; number += 1) await acceptMail(store, number);
    const some = [{ from: 2, to: 5 }];
    await store.mailboxes.setFlags(inbox, some, { mode: "add", flags: ["\\Seen"] });
    await store.mailboxes.copy(inbox, some, await mailboxNamed(store, "Trash"), "move");
    await store.mailboxes.rename(await mailboxNamed(store, "Junk"), "Rubbish/Old");
    await store.messages.describe(messageId(1));
    await store[Symbol.asyncDispose]();
    return { disk: disk.kill(), indexPath };
  }

  test("made anew equal the old ones row for row; spoilt or old ones are made anew", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "postern-views-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const { disk, indexPath } = await lived(folder);
    const old = rows(indexPath);
    assert.ok((await rebuildIndex(disk, directory, indexPath, fixedMaster)) >= 27);
    assert.deepEqual(rows(indexPath), old);

    const spoil: Record<string, () => void> = {
      missing: () => rmSync(indexPath),
      garbage: () => writeFileSync(indexPath, "this is no database, whatever its name says"),
      "of another version": () => {
        const db = new DatabaseSync(indexPath);
        db.exec("PRAGMA user_version = 999; DELETE FROM entry");
        db.close();
      },
      "ahead of the ledger": () => {
        const db = new DatabaseSync(indexPath);
        db.exec("UPDATE watermark SET generation = generation + 5; DELETE FROM entry");
        db.close();
      },
    };
    let now = disk;
    for (const [how, act] of Object.entries(spoil)) {
      act();
      const store = await openOn(now, { indexPath });
      const trash = await store.mailboxes.entries(await mailboxNamed(store, "Trash"));
      assert.equal(trash.length, 4, how);
      await store[Symbol.asyncDispose]();
      now = now.kill();
    }
  });

  test("behind the ledger catch up from where they are", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "postern-views-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const { disk, indexPath } = await lived(folder);
    const other = join(folder, "other.db");
    const store = await openOn(disk, { indexPath: other });
    await acceptMail(store, 50);
    await store[Symbol.asyncDispose]();
    const next = disk.kill();
    const again = await openOn(next, { indexPath });
    assert.equal(await again.isAccepted(messageId(50)), true);
    await again[Symbol.asyncDispose]();
    await rebuildIndex(next.kill(), directory, other, fixedMaster);
    assert.deepEqual(rows(indexPath), rows(other));
  });
});

describe("a content larger than a segment", () => {
  test("is kept in parts, whole after a restart", async () => {
    const disk = newDisk();
    const store = await storeWithAlice(disk);
    const octets = mail("large", 900_000);
    await acceptMail(store, 1, octets);
    await store[Symbol.asyncDispose]();
    await using again = await openOn(disk.kill());
    assert.ok((await again.messages.read(messageId(1), head.length)).equals(octets));
    assert.deepEqual((await again.verify()).damages, []);
  });
});

describe("on the machine's own disk", () => {
  test("a second start on one folder is refused, and the store comes back", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "postern-store-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const options = {
      disk: realDisk,
      clock: systemClock,
      random: systemRandom,
      directory: join(folder, "store"),
      indexPath: join(folder, "index.db"),
      segmentBytes: 1024 * 1024,
      minFreeBytes: 0,
      master: fixedMaster,
    };
    const store = await openStore(options);
    await assert.rejects(openStore(options), Misconfigured);
    const person = { id: account, address: "alice@example.org", displayName: "Alice" };
    await store.people.putAccount({ ...person, createdAtMs: 1 }, "test");
    await Promise.all(
      Array.from({ length: 40 }, (_, number) =>
        acceptMail(store, number, mail("x", 30_000 + number)),
      ),
    );
    await store[Symbol.asyncDispose]();
    await using again = await openStore(options);
    assert.equal((await again.stats()).messages, 40);
    const read = await again.messages.read(messageId(39), head.length);
    assert.deepEqual(read, mail("x", 30_039));
    assert.deepEqual((await again.verify()).damages, []);
  });
});
