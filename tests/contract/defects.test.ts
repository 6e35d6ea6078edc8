import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "#base/random";
import type { Mailboxes, Store } from "#contracts/store";
import { stillClock } from "../../src/store/fixture.ts";
import { type MemoryState, newState } from "./memory/state.ts";
import { memoryStore } from "./memory-store.ts";
import { findDifference, type Opening, shrink } from "./model/compare.ts";
import { someOperations } from "./model/operations.ts";

const mostSteps = 6;

/** The reference with something wrong in it. */
type Defect = (store: Store, state: MemoryState) => Store;

function withMailboxes(change: (right: Mailboxes) => Partial<Mailboxes>): Defect {
  return (store) => ({ ...store, mailboxes: { ...store.mailboxes, ...change(store.mailboxes) } });
}

const defects: readonly (readonly [what: string, defect: Defect])[] = [
  [
    "the UID of an expunged entry is given again",
    (store, state) => ({
      ...store,
      mailboxes: {
        ...store.mailboxes,
        async expunge(mailbox, ...which) {
          const gone = await store.mailboxes.expunge(mailbox, ...which);
          const box = state.boxes.get(mailbox);
          if (box !== undefined) box.uidNext = Math.max(0, ...box.entries.keys()) + 1;
          return gone;
        },
      },
    }),
  ],
  [
    "the last of several flags is lost",
    withMailboxes(({ setFlags }) => ({
      setFlags(mailbox, ranges, change) {
        const flags = change.flags.length > 1 ? change.flags.slice(0, -1) : change.flags;
        return setFlags(mailbox, ranges, { ...change, flags });
      },
    })),
  ],
  [
    "flags are changed whatever happened since",
    withMailboxes(({ setFlags }) => ({
      setFlags: (mailbox, ranges, { mode, flags }) => setFlags(mailbox, ranges, { mode, flags }),
    })),
  ],
  [
    "a move leaves nothing to tell those who were away",
    (store, state) => ({
      ...store,
      mailboxes: {
        ...store.mailboxes,
        async copy(from, ...rest) {
          const pairs = await store.mailboxes.copy(from, ...rest);
          state.boxes.get(from)?.gone.splice(0);
          return pairs;
        },
      },
    }),
  ],
  [
    "a rename forgets the children",
    (store, state) => ({
      ...store,
      mailboxes: {
        ...store.mailboxes,
        async rename(id, name) {
          const before = state.boxes.get(id)?.name;
          const family = [...state.boxes.values()].filter((box) =>
            box.name?.startsWith(`${before}/`),
          );
          const names = family.map((box) => box.name);
          const outcome = await store.mailboxes.rename(id, name);
          for (const [index, box] of family.entries()) box.name = names[index];
          return outcome;
        },
      },
    }),
  ],
  [
    "a transaction is taken twice",
    (store, state) => ({
      ...store,
      accept(acceptance) {
        state.messages.delete(acceptance.id);
        return store.accept(acceptance);
      },
    }),
  ],
  [
    "a try takes a held item out of its hold",
    (store, state) => ({
      ...store,
      queue: {
        ...store.queue,
        async attempted(id, ...rest) {
          await store.queue.attempted(id, ...rest);
          const item = state.queue.get(id);
          if (item?.state === "held") state.queue.set(id, { ...item, state: "waiting" });
        },
      },
    }),
  ],
  [
    "large messages lose their last octet",
    (store) => ({
      ...store,
      messages: {
        ...store.messages,
        async read(id, start, end) {
          const octets = await store.messages.read(id, start, end);
          return octets.length > 10_000 ? octets.subarray(0, -1) : octets;
        },
      },
    }),
  ],
];

describe("the comparison with the reference", () => {
  for (const [what, defect] of defects) {
    test(`finds in at most ${mostSteps} steps that ${what}`, async () => {
      const open: Opening = async () => {
        const state = newState(stillClock());
        return { store: defect(memoryStore(state), state) };
      };
      const found = await stepsToFind(open);
      assert.ok(found > 0 && found <= mostSteps, `${found} steps`);
    });
  }

  test(`finds in at most ${mostSteps} steps that flags do not outlive a restart`, async () => {
    const open: Opening = async () => {
      const state = newState(stillClock());
      const store = memoryStore(state);
      const forget = async (): Promise<Store> => {
        for (const { entries } of state.boxes.values()) {
          for (const [uid, entry] of entries) entries.set(uid, { ...entry, flags: [] });
        }
        return memoryStore({ ...state, listeners: new Set() });
      };
      return { store, reopen: forget };
    };
    const found = await stepsToFind(open);
    assert.ok(found > 0 && found <= mostSteps, `${found} steps`);
  });

  test("finds nothing wrong with the reference itself", async () => {
    const open: Opening = async () => ({ store: memoryStore(newState(stillClock())) });
    for (let seed = 1; seed <= 10; seed += 1) {
      const operations = someOperations(seededRandom(seed), 100);
      assert.equal(await findDifference(open, operations), undefined);
    }
  });
});

/** How many operations are left of the first list that tells. */
async function stepsToFind(open: Opening): Promise<number> {
  for (let seed = 1; seed <= 40; seed += 1) {
    const found = await findDifference(open, someOperations(seededRandom(seed), 100));
    if (found === undefined) continue;
    const { operations } = await shrink(open, found);
    if (process.env["X"]) console.log(seed, found.operations.length, JSON.stringify(operations));
    return operations.length;
  }
  return 0;
}
