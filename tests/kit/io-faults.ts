/**
 * Every call of the disk fails once: a store is used by several clients, one call in it goes wrong,
 * the store is opened again, and is held to every answer it gave.
 *
 * `node tests/kit/io-faults.ts [--mails 1000] [--kinds EIO,late] [--from 1] [--every 1]` goes
 * through all calls of a run of so many mails.
 */

import assert from "node:assert/strict";
import { setImmediate, setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Clock } from "#base/clock";
import { type Disk, errorCode } from "#base/disk";
import { type SimulatedDisk, simulatedDisk } from "#base/disk-sim";
import { Full, Unavailable } from "#base/errors";
import { type Random, seededRandom } from "#base/random";
import { type OpenStore, verifyStore } from "#store";
import { acceptMail, directory, fixedMaster, openOn, stillClock } from "../../src/store/fixture.ts";
import { type Fault, type FaultKind, faultKinds, faultyDisk, type Plan } from "./faulty-disk.ts";
import { Client } from "./store-client.ts";
import { StoreModel } from "./store-model.ts";

const clients = 4;
const pageBytes = 8192;
/** Two lives, the second of which recovers from the first; in each the clients work twice. */
const lives = 2;
const rounds = 2;
/** A client takes a message in with two of five acts. */
const actsOfMail = 2.5;
/** With no room: enough for the disk to be asked again. */
const mostTries = 100;
/** No answer for so long, with nothing left to do, is none. */
const hangMs = 20_000;
/** After so many turns without a call of the disk, whoever still waits waits for the one that hangs. */
const quietTurns = 100;

interface Run {
  readonly plan: Plan;
  readonly model: StoreModel;
  readonly random: Random;
  readonly clock: Clock;
  /** Acts of a client in one round. */
  readonly acts: number;
}

/**
 * @param mails about how many there are in the run
 * @returns how many calls of the disk there were
 * @throws AssertionError when the store broke a promise
 */
export async function runWithFault(mails: number, fault?: Fault): Promise<number> {
  const random = seededRandom(1);
  const run: Run = {
    plan: { fault, calls: 0, hasStruck: false },
    model: new StoreModel(random, clients),
    random,
    clock: impatientClock(),
    acts: Math.ceil((mails * actsOfMail) / (clients * lives * rounds)),
  };
  let disk = simulatedDisk(random);
  for (let life = 0; life < lives; life += 1) {
    run.plan.hasStruck = false;
    await liveOnce(run, disk);
    // Whether the machine goes on or is cut as well must not matter.
    disk = run.plan.calls % 2 === 0 ? disk.kill() : disk.powerCut();
  }
  const store = await open(run, disk);
  await run.model.settle(store);
  await run.model.readEverything(store);
  await takeOne(run, store);
  await store[Symbol.asyncDispose]();
  const { damages } = await verifyStore(disk, directory, fixedMaster);
  assert.deepEqual(damages, [], "errors of the disk are not damage");
  return run.plan.calls;
}

/** From one opening to the end of the process, which may come early. */
async function liveOnce(run: Run, disk: SimulatedDisk): Promise<void> {
  const { plan } = run;
  const opening = await outcomeOf(plan, open(run, disk, faultyDisk(disk, plan)));
  if (opening === undefined) return;
  if (opening.status === "rejected") return assertMayFail(plan, opening.reason);
  const store = opening.value;
  let failure: Error | undefined;
  void store.failed.then((error) => {
    failure = error;
  });
  for (let round = 0; round < rounds && failure === undefined; round += 1) {
    if (!(await settle(run, store))) return;
    const ends = await outcomeOf(plan, Promise.all([work(run, store), readSome(run, store)]));
    if (ends === undefined) return;
    if (ends.status === "rejected") throw ends.reason;
    const [acts, reads] = ends.value;
    for (const reason of [...acts, ...reads]) assertMayFail(plan, reason);
    const isFailure = acts.some((reason) => !(reason instanceof Full));
    assert.equal(failure !== undefined, isFailure, "a store says so when it has failed");
  }
  const last = await outcomeOf(plan, takeOne(run, store));
  if (last?.status === "rejected") {
    assertMayFail(plan, last.reason);
    assert.ok(failure ?? plan.fault?.kind === "EROFS", "a store that has not failed goes on");
  } else if (last !== undefined) assert.equal(failure, undefined, "one that has failed does not");
  const closing = await outcomeOf(plan, Promise.resolve(store[Symbol.asyncDispose]()));
  if (closing?.status === "rejected") assertMayFail(plan, closing.reason);
}

/** @returns what went wrong for the clients */
async function work({ model, random, acts }: Run, store: OpenStore): Promise<unknown[]> {
  const ends = await Promise.allSettled(
    Array.from({ length: clients }, (_, index) =>
      new Client(store, model, random, index).work(acts),
    ),
  );
  return ends.flatMap((end) => (end.status === "rejected" ? [end.reason] : []));
}

/** @returns what went wrong for readers, who have nothing to do with what is written */
async function readSome({ model }: Run, store: OpenStore): Promise<unknown[]> {
  const wrong: unknown[] = [];
  for (const { id, octets } of [...model.messages.values()].slice(-8)) {
    const read = await store.messages.read(id).catch((error: unknown) => void wrong.push(error));
    if (read !== undefined) assert.ok(read.equals(octets), `message ${id} is byte-exact`);
  }
  return wrong;
}

/** Compares everything; a second time where a read failed. @returns false when nothing answers */
async function settle({ plan, model }: Run, store: OpenStore): Promise<boolean> {
  for (;;) {
    const hadStruck = plan.hasStruck;
    const settling = await outcomeOf(plan, model.settle(store));
    if (settling === undefined) return false;
    if (settling.status === "fulfilled") return true;
    assertMayFail(plan, settling.reason);
    if (hadStruck) throw settling.reason;
  }
}

/** A message for nobody; with no room, again until the disk has been asked for some. */
async function takeOne({ model }: Run, store: OpenStore): Promise<void> {
  const id = model.newId();
  for (let tries = 0; ; tries += 1) {
    try {
      await acceptMail(store, Number.parseInt(id, 16), undefined, { id, deliveries: [] });
      return;
    } catch (error) {
      if (!(error instanceof Full) || tries === mostTries) throw error;
    }
  }
}

/** @returns undefined when nothing is left that could still answer, because one call hangs */
async function outcomeOf<Value>(
  plan: Plan,
  work: Promise<Value>,
): Promise<PromiseSettledResult<Value> | undefined> {
  const ended = Promise.allSettled([work]).then(([end]) => end);
  if (plan.fault?.kind === "hang") return Promise.race([ended, quiet(plan)]);
  const timer = new AbortController();
  const late = setTimeout(hangMs, undefined, timer).then(() => assert.fail("nobody answers"));
  try {
    return await Promise.race([ended, late]);
  } finally {
    late.catch(() => undefined);
    timer.abort();
  }
}

async function quiet(plan: Plan): Promise<undefined> {
  let { calls } = plan;
  for (let turns = 0; turns < quietTurns; turns += 1) {
    await setImmediate();
    if (plan.calls !== calls) turns = 0;
    calls = plan.calls;
  }
  assert.ok(plan.hasStruck, "nobody answers, and nothing hangs");
}

/** Only after the fault, and only as what the environment does to us. */
function assertMayFail({ hasStruck }: Plan, reason: unknown): void {
  const isOurs = reason instanceof Unavailable || /^E[A-Z]+$/.test(errorCode(reason) ?? "");
  if (!hasStruck || !isOurs) throw reason;
}

/** @param faulty the disk as the store is to find it */
function open(
  { clock, random }: Run,
  disk: SimulatedDisk,
  faulty: Disk = disk,
): Promise<OpenStore> {
  const sizes = { segmentBytes: 24 * pageBytes, reserveBytes: 2 * pageBytes, inlineBytes: 9000 };
  return openOn(disk, { ...sizes, minFreeBytes: 0, clock, random, disk: faulty });
}

/** Time passes with every look at it, so that what is tried again later is tried again. */
function impatientClock(): Clock {
  const clock = stillClock();
  return {
    ...clock,
    tickMs() {
      clock.passMs(50);
      return clock.tickMs();
    },
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      mails: { type: "string", default: "1000" },
      kinds: { type: "string", default: faultKinds.join() },
      from: { type: "string", default: "1" },
      every: { type: "string", default: "1" },
    },
  });
  const mails = Number(values.mails);
  const kinds = values.kinds.split(",") as FaultKind[];
  const started = performance.now();
  const calls = await runWithFault(mails);
  const failed: string[] = [];
  let runs = 0;
  for (let at = Number(values.from); at <= calls; at += Number(values.every)) {
    const kind = kinds[runs % kinds.length] ?? "EIO";
    runs += 1;
    try {
      await runWithFault(mails, { at, kind });
    } catch (error) {
      failed.push(`${at} ${kind}`);
      console.error(`${kind} of call ${at}:`, error);
    }
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(JSON.stringify({ mails, calls, runs, kinds, failed, seconds }));
  process.exitCode = failed.length > 0 ? 1 : 0;
}

if (import.meta.main) await main();
