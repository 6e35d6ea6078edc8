/** Everything that the hub may expect of a store, for every engine alike. */

import { describe, test } from "node:test";
import { acceptContract } from "./examples/accept.ts";
import { contactsContract } from "./examples/contacts.ts";
import { entriesContract } from "./examples/entries.ts";
import { mailboxesContract } from "./examples/mailboxes.ts";
import { peopleContract, retentionContract } from "./examples/people.ts";
import { queueContract } from "./examples/queue.ts";
import { racesContract } from "./examples/races.ts";
import { tracesContract } from "./examples/traces.ts";
import { watchContract } from "./examples/watch.ts";
import { compareBySeed, type Opening } from "./model/compare.ts";

interface Runs {
  /** How many lists of random operations, and how long each of them. */
  readonly seeds: number;
  readonly operations: number;
}

/** @param open gives a new, empty store each time; the tests close it */
export function storeContract(name: string, open: Opening, { seeds, operations }: Runs): void {
  describe(name, () => {
    acceptContract(open);
    mailboxesContract(open);
    entriesContract(open);
    queueContract(open);
    tracesContract(open);
    peopleContract(open);
    retentionContract(open);
    contactsContract(open);
    watchContract(open);
    racesContract(open);

    test(`does as the reference does: ${seeds} times ${operations} operations`, async () => {
      for (let seed = 1; seed <= seeds; seed += 1) await compareBySeed(open, seed, operations);
    });
  });
}
