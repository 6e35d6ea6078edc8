/** The reference's side of the comparison, which follows the order that the engine has chosen. */

import assert from "node:assert/strict";
import { stillClock } from "../../../src/store/fixture.ts";
import { newState } from "../memory/state.ts";
import { memoryStore } from "../memory-store.ts";
import type { Act } from "./operations.ts";
import { Side } from "./side.ts";

/** What was done so far, to be done again. */
type Step = { readonly acts: readonly Act[]; readonly order: readonly number[] } | number;

export class Reference {
  #side: Side = newSide();
  readonly #steps: Step[] = [];

  /** @throws AssertionError when it does not look the same */
  async assertLook(since: number, seen: unknown): Promise<void> {
    this.#steps.push(since);
    assert.deepEqual(seen, await this.#side.look(since));
  }

  /** @throws AssertionError when no order of the acts gives the answers */
  async assertActs(acts: readonly Act[], told: unknown): Promise<void> {
    let first: unknown;
    for (const order of ordersOf(acts.map((_, index) => index))) {
      if (first !== undefined) this.#side = await this.#again();
      const expected = await this.#side.act(acts, order);
      first ??= expected;
      if (!isEqual(told, expected)) continue;
      this.#steps.push({ acts, order });
      return;
    }
    assert.deepEqual(told, first);
  }

  async #again(): Promise<Side> {
    const side = newSide();
    for (const step of this.#steps) {
      if (typeof step === "number") await side.look(step);
      else await side.act(step.acts, step.order);
    }
    return side;
  }
}

function newSide(): Side {
  return new Side(memoryStore(newState(stillClock())));
}

function isEqual(one: unknown, two: unknown): boolean {
  try {
    assert.deepEqual(one, two);
    return true;
  } catch {
    return false;
  }
}

/** Every order, the given one first. */
function ordersOf(indexes: readonly number[]): readonly (readonly number[])[] {
  if (indexes.length <= 1) return [indexes];
  return indexes.flatMap((first) =>
    ordersOf(indexes.filter((one) => one !== first)).map((rest) => [first, ...rest]),
  );
}
