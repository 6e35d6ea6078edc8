import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type Clock, systemClock } from "#base/clock";
import { Misconfigured } from "#base/errors";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { systemRandom } from "#base/random";
import { noteKey, signHead } from "#formats/checkpoint";
import type { OpenStore } from "#store";
import { backupParameters, makeRecoveryKey } from "#store/backup";
import { acceptMail, storeWithAlice } from "../store/fixture.ts";
import { backupEvents } from "./backup-events.ts";
import { backupRow } from "./backup-row.ts";
import {
  type BackupSettings,
  type Backups,
  completeBackupSettings,
  startBackups,
} from "./backups.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-backups-"));
after(() => rmSync(folder, { recursive: true }));

const recovery = makeRecoveryKey();
writeFileSync(join(folder, "recovery.pub"), recovery.publicKey);
writeFileSync(join(folder, "recovery.key"), recovery.privateKey);

/** What should take minutes or more takes 20 ms. */
const hasty: Clock = {
  ...systemClock,
  after: (delayMs, run) => systemClock.after(delayMs >= 60_000 ? 20 : delayMs, run),
};
/** Only what is asked for happens. */
const patient: Clock = {
  ...systemClock,
  after: (delayMs, run) => systemClock.after(delayMs >= 60_000 ? 2 ** 30 : delayMs, run),
};

const pairs = [generateKeyPairSync("ed25519"), generateKeyPairSync("ml-dsa-65")] as const;
const origin = "mail.example.org/ledger";
const keys = [
  noteKey(origin, "ed25519", pairs[0].publicKey),
  noteKey(origin, "ml-dsa-65", pairs[1].publicKey),
] as const;
const signer = {
  origin,
  keys,
  sign: async (text: string) =>
    keys.map((key, at) => signHead(text, key, (pairs[at] ?? pairs[0]).privateKey)),
};

let made = 0;

interface Running extends AsyncDisposable {
  readonly backups: Backups;
  readonly store: OpenStore;
  readonly registry: Registry;
  readonly target: string;
}

async function running(clock: Clock, more: Partial<BackupSettings> = {}): Promise<Running> {
  const store = await storeWithAlice();
  for (let number = 1; number <= 30; number += 1) await acceptMail(store, number);
  made += 1;
  const target = mkdtempSync(join(folder, "target-"));
  const given = { ...defaultsOf(backupParameters), target, ...more };
  const registry = new Registry();
  const settings = {
    ...completeBackupSettings(given, folder),
    drillFolder: join(folder, `d${made}`),
  };
  const events = backupEvents(silentLog, registry);
  const backups = startBackups({ store, signer, clock, random: systemRandom, events, settings });
  return {
    ...{ backups, store, registry, target },
    async [Symbol.asyncDispose]() {
      await backups[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

function value(registry: Registry, name: string): number | undefined {
  return registry.samples().find((sample) => sample.name === name)?.value;
}

async function until(isSo: () => boolean): Promise<void> {
  for (let waited = 0; !isSo(); waited += 20) {
    assert.ok(waited < 30_000, "it never happened");
    await pause(20);
  }
}

describe("CAP-102 backups by themselves", () => {
  test("are made and tried out, and the ledger and the measures know of both", async () => {
    await using one = await running(hasty, { drillKeyFile: join(folder, "recovery.key") });
    await until(() => one.backups.state().lastGoodDrill !== undefined);
    const { lastGoodBackup, lastGoodDrill } = one.backups.state();
    assert.ok(lastGoodBackup?.kind === "backed-up" && lastGoodDrill?.kind === "drilled");
    assert.equal(lastGoodBackup.by, "schedule");
    assert.equal(lastGoodDrill.backup, lastGoodBackup.backup);
    assert.equal(lastGoodDrill.messages, 30);
    assert.equal(value(one.registry, "backups_total"), 1);
    assert.equal(value(one.registry, "backup_drills_total"), 1);
    assert.ok((value(one.registry, "backup_last_at") ?? 0) > 1_700_000_000);
    assert.ok((value(one.registry, "backup_drill_last_seconds") ?? 0) > 0);
    const row = backupRow(one.backups.state(), Date.now());
    assert.equal(row.state, "good");
    assert.match(row.answer, /made 0 minutes ago; one was restored on trial 0 minutes ago, in/);
    await pause(100);
    assert.equal(value(one.registry, "backups_total"), 1, "the next one is not due yet");
    assert.deepEqual(readdirSync(join(folder, `d${made}`)), [], "the drill left nothing");
  });

  test("say why they fail, and are not tried again at once", async () => {
    await using one = await running(hasty, { target: "/nowhere/at/all" });
    await until(() => one.backups.state().lastBackup !== undefined);
    await pause(100);
    const { lastBackup, lastGoodBackup } = one.backups.state();
    assert.equal(lastGoodBackup, undefined);
    assert.ok(lastBackup?.ok === false && /mount it, or make it/.test(lastBackup.reason ?? ""));
    assert.equal(value(one.registry, "backups_total"), 1);
    const row = backupRow(one.backups.state(), Date.now());
    assert.equal(row.state, "danger");
    assert.match(row.answer, /mount it, or make it/);
  });

  test("are not made without a target, and the console says so", async () => {
    await using one = await running(hasty, { target: "" });
    await pause(100);
    assert.equal(one.backups.state().lastBackup, undefined);
    const row = backupRow(one.backups.state(), Date.now());
    assert.deepEqual([row.state, row.answer], ["caution", "none is set up"]);
    await assert.rejects(one.backups.create("test"), Misconfigured);
  });
});

describe("backups on demand", () => {
  test("come one after the other, go on from each other, and old ones go", async () => {
    await using one = await running(patient, { keepDays: 0, keepCount: 2 });
    const wishes = [1, 2, 3, 4].map(() => one.backups.create("test"));
    const created = await Promise.all(wishes);
    for (const [index, { previous, isSigned }] of created.entries()) {
      assert.equal(previous, created[index - 1]?.name);
      assert.ok(isSigned);
    }
    assert.equal(readdirSync(join(one.target, "manifests")).length, 2);
  });

  test("go elsewhere when that is wished, and nothing is removed there", async () => {
    await using one = await running(patient, { keepDays: 0, keepCount: 1 });
    const to = mkdtempSync(join(folder, "else-"));
    for (let count = 0; count < 3; count += 1) await one.backups.create("test", { to });
    assert.equal(readdirSync(join(to, "manifests")).length, 3);
    assert.deepEqual(readdirSync(one.target), []);
  });

  test("stop when the hub does, and are not remembered as failures", async () => {
    const one = await running(patient);
    const refused = assert.rejects(
      one.backups.create("test", {
        onProgress: () => void one.backups[Symbol.asyncDispose](),
      }),
      /the hub stops/,
    );
    await refused;
    assert.equal(one.backups.state().lastBackup, undefined);
    await one[Symbol.asyncDispose]();
  });
});
