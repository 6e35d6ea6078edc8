/**
 * Random operations on an engine and on the reference: every answer is compared, and now and then
 * everything that can be seen. A list that tells them apart is made as short as it gets.
 */

import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { seededRandom } from "#base/random";
import type { Store } from "#contracts/store";
import { type Operation, type Reopening, someOperations } from "./operations.ts";
import { Reference } from "./reference.ts";
import { Side } from "./side.ts";

export interface Opened {
  readonly store: Store;
  /** Ends the store as told, and opens what is left. Absent where nothing is durable. */
  reopen?(how: Reopening): Promise<Store>;
}

export type Opening = () => Promise<Opened>;

/** Where a list of operations told the engine from the reference. */
export interface Difference {
  /** The operations up to there. */
  readonly operations: readonly Operation[];
  readonly error: Error;
}

/** Nothing takes as long as this, not even on a busy machine. */
const hangMs = 20_000;
/** Tried at most, so that a slow engine is not shrunk for ever. */
const mostTries = 400;

/** @throws AssertionError with the shortest list of operations found, ready to be replayed */
export async function compareBySeed(open: Opening, seed: number, count: number): Promise<void> {
  const operations = someOperations(seededRandom(seed), count);
  const difference = await findDifference(open, operations);
  if (difference === undefined) return;
  const { operations: least, error } = await shrink(open, difference);
  const list = `[\n${least.map((one) => `  ${JSON.stringify(one)},\n`).join("")}]`;
  const message = `seed ${seed}: ${least.length} operations tell it from the reference: ${list}`;
  throw new assert.AssertionError({ message: `${message}\n${error.message}` });
}

export async function findDifference(
  open: Opening,
  operations: readonly Operation[],
): Promise<Difference | undefined> {
  const opened = await open();
  const engine = new Side(opened.store);
  const reference = new Reference();
  let { store } = opened;
  let done = 0;
  try {
    const run = async (): Promise<void> => {
      for (const operation of [...operations, { do: "look", since: 3 } as const]) {
        done += 1;
        if (operation.do === "look") {
          await reference.assertLook(operation.since, await engine.look(operation.since));
        } else if (operation.do === "reopen") {
          if (opened.reopen === undefined) continue;
          store = await opened.reopen(operation.how);
          engine.goOn(store);
        } else {
          const acts = operation.do === "together" ? operation.acts : [operation];
          await reference.assertActs(acts, await engine.act(acts));
        }
      }
    };
    await inTime(run());
    await inTime(Promise.resolve(store[Symbol.asyncDispose]()));
    return undefined;
  } catch (error) {
    // The store is left as it is: one that is wrong may not know how to stop either.
    return { operations: operations.slice(0, done), error: error as Error };
  }
}

async function inTime<Value>(work: Promise<Value>): Promise<Value> {
  const timer = new AbortController();
  const late = setTimeout(hangMs, undefined, { signal: timer.signal }).then(() => {
    throw new assert.AssertionError({ message: `no answer in ${hangMs} ms` });
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
  }
}

/** Leaves out ever smaller pieces as long as a difference remains. */
export async function shrink(open: Opening, found: Difference): Promise<Difference> {
  let best = found;
  let tries = 0;
  for (let size = Math.ceil(best.operations.length / 2); size > 0; ) {
    let hasShrunk = false;
    for (let at = 0; at < best.operations.length && tries < mostTries; tries += 1) {
      const fewer = best.operations.toSpliced(at, size);
      const difference = await findDifference(open, fewer);
      if (difference === undefined) at += size;
      else {
        best = difference;
        hasShrunk = true;
      }
    }
    if (!hasShrunk || size > 1) size = Math.floor(size / 2);
  }
  return best;
}
