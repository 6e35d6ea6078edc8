import assert from "node:assert/strict";
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Checkpoints } from "./checkpoints.ts";
import { folderFor } from "./compact-fixture.ts";
import { keptLog } from "./page-fixture.ts";
import { Views } from "./views.ts";

/** Nothing is read or sealed here. */
const noKeys = {} as never;

function filled(t: TestContext) {
  const path = join(folderFor(t), "views.db");
  const views = new Views(path, noKeys);
  views.db.exec("CREATE TABLE page (octets BLOB)");
  const add = (pages: number): void =>
    views.transaction(() => {
      for (let number = 0; number < pages; number += 1) {
        views.run("INSERT INTO page VALUES (zeroblob(4000))");
      }
    });
  /** Also those that are in the database already. */
  const frames = (): number => Number(views.get("PRAGMA wal_checkpoint(NOOP)")?.["log"]);
  return { path, views, add, frames };
}

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await setTimeout(5);
};

describe("Checkpoints", () => {
  test("write a long log back while commits go on, and it begins anew", async (t) => {
    const { views, add, frames } = filled(t);
    const log = keptLog();
    await using _ = Checkpoints.of(views, log) as Checkpoints;
    add(3000);
    add(1500);
    assert.ok(views.logPages() > 4000, "not by whoever commits");
    await until(() => views.logPages() === 0);
    add(1);
    assert.ok(frames() < 100);
    for (let more = 0; more < 3000; more += 1) {
      add(10);
      if (more % 100 === 0) await setTimeout(1);
    }
    await until(() => views.logPages() < 4000);
    assert.deepEqual(log.lines, []);
  });

  test("are left to whoever commits when the thread cannot make them", async (t) => {
    const { path, views, add } = filled(t);
    const log = keptLog();
    await using _ = Checkpoints.of(views, log) as Checkpoints;
    renameSync(path, `${path}.away`);
    mkdirSync(path);
    add(4500);
    await until(() => log.lines.length > 0);
    assert.equal(log.lines[0]?.event, "store.checkpoint-failed");
    for (let more = 0; more < 12; more += 1) add(1000);
    assert.ok(views.logPages() < 4000);
    assert.equal(log.lines.length, 1);
  });

  test("a thread that cannot be started costs nobody what he commits", async (t) => {
    const { views, add } = filled(t);
    const log = keptLog();
    await using _ = Checkpoints.of(views, log) as Checkpoints;
    t.mock.method(views, "logPages", () => {
      throw new Error("none to be had");
    });
    add(10);
    t.mock.restoreAll();
    assert.deepEqual(
      log.lines.map(({ event }) => event),
      ["store.checkpoint-failed"],
    );
    for (let more = 0; more < 10; more += 1) add(1000);
    assert.ok(views.logPages() < 4000);
  });

  test("do nothing for views in memory", () => {
    assert.equal(Checkpoints.of(new Views(":memory:", noKeys), keptLog()), undefined);
  });
});
