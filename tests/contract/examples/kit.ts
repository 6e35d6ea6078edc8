/** What the examples of the contract share. */

import type { NewQueueItem, UidRanges } from "#contracts/store";
import type { Account } from "#model/people";
import type { Attempt, RecordedAttempt } from "#model/queue";
import { account } from "../../../src/store/fixture.ts";
import type { Opened, Opening } from "../model/compare.ts";

export const everything: UidRanges = [{ from: 1, to: Number.POSITIVE_INFINITY }];

export function range(from: number, to: number = from): UidRanges {
  return [{ from, to }];
}

export const alice: Account = {
  id: account,
  address: "alice@example.org",
  displayName: "Alice",
  createdAtMs: 1,
};
export const bob: Account = {
  id: "bob",
  address: "bob@example.org",
  displayName: "Bob",
  createdAtMs: 1,
};

/** A store with one account. */
export async function openWithAlice(open: Opening): Promise<Opened> {
  const opened = await open();
  await opened.store.people.putAccount(alice, "test");
  return opened;
}

export const item: NewQueueItem = {
  id: "q1",
  reversePath: "alice@example.org",
  recipient: "carol@Example.com",
  wishes: { notify: ["failure"] },
  utf8: false,
  queuedAtMs: 10,
  nextAttemptAtMs: 10,
};

export function attemptOf(outcome: Attempt["outcome"], atMs: number): Attempt {
  const reply = { code: outcome === "delivered" ? 250 : 451, text: "as they say" };
  return { atMs, durationMs: 1, outcome, remote: "mx.example.com", reply };
}

export function idsOf(values: readonly { readonly id: string }[]): string[] {
  return values.map(({ id }) => id);
}

/** Numbers of records are the engine's own. */
export function withoutRecord(tries: readonly RecordedAttempt[]): Attempt[] {
  return tries.map((one) => {
    const { record: _, ...attempt } = one;
    return attempt;
  });
}
