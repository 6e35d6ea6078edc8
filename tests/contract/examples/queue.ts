/** The queue of mail that leaves. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { QueuePlace, Store } from "#contracts/store";
import type { Destination } from "#model/queue";
import { acceptMail, mail, messageId } from "../../../src/store/fixture.ts";
import type { Opening } from "../model/compare.ts";
import { attemptOf, idsOf, item, openWithAlice, withoutRecord } from "./kit.ts";

export function queueContract(open: Opening): void {
  const newStore = async (): Promise<Store> => (await openWithAlice(open)).store;

  describe("QueueStore", () => {
    test("an item waits, is tried, held, released and delivered", async () => {
      await using store = await newStore();
      const { queue } = store;
      await acceptMail(store, 1, mail("out"), { deliveries: [], queue: [item] });
      const sizeBytes = await store.messages.sizeBytes(messageId(1));
      const first = { ...item, message: messageId(1), sizeBytes, state: "waiting", attempts: 0 };
      assert.deepEqual(await queue.get("q1"), first);
      const attempt = attemptOf("deferred", 11);
      await queue.attempted("q1", attempt, 50);
      const tried = { ...first, attempts: 1, nextAttemptAtMs: 50, last: attempt };
      assert.deepEqual(await queue.get("q1"), tried);
      assert.equal(await queue.change("q1", "hold", "admin", 12), true);
      assert.equal(await queue.change("q1", "hold", "admin", 12), false);
      assert.equal((await queue.get("q1"))?.heldBy, "admin");
      assert.equal(await queue.nextDueAtMs("example.com"), undefined);
      await queue.attempted("q1", attemptOf("deferred", 13), 60);
      assert.equal((await queue.get("q1"))?.state, "held", "a try does not end a hold");
      assert.equal(await queue.change("q1", "release", "admin", 14), true);
      assert.equal(await queue.change("q1", "release", "admin", 14), false);
      assert.equal((await queue.get("q1"))?.heldBy, undefined);
      assert.equal(await queue.nextDueAtMs("example.com"), 14);
      await queue.delayNotified("q1", 15);
      await queue.attempted("q1", attemptOf("delivered", 16));
      const last = await queue.get("q1");
      assert.deepEqual(
        [last?.state, last?.attempts, last?.delayNotifiedAtMs],
        ["delivered", 3, 15],
      );
      for (const act of ["hold", "release", "drop", "retry"] as const) {
        assert.equal(await queue.change("q1", act, "admin", 17), false, `${act} comes too late`);
      }
      assert.deepEqual(await queue.counts(), { ...none, delivered: 1 });
      const tries = await queue.attempts("q1");
      assert.deepEqual(withoutRecord(tries), [
        attempt,
        attemptOf("deferred", 13),
        attemptOf("delivered", 16),
      ]);
      const records = tries.map(({ record }) => record);
      assert.deepEqual(
        records,
        records.toSorted((one, two) => one - two),
      );
    });

    test("the administrator drops and retries", async () => {
      await using store = await newStore();
      const { queue } = store;
      const items = ["q1", "q2"].map((id) => ({ ...item, id, nextAttemptAtMs: 900 }));
      await acceptMail(store, 1, mail("out"), { deliveries: [], queue: items });
      assert.equal(await queue.change("q1", "retry", "admin", 20), true);
      assert.deepEqual(idsOf(await queue.due("example.com", 20, 5)), ["q1"]);
      assert.equal(await queue.change("q2", "hold", "admin", 21), true);
      assert.equal(await queue.change("q2", "retry", "admin", 22), true);
      assert.equal(await queue.change("q1", "drop", "admin", 23), true);
      assert.deepEqual(idsOf(await queue.due("example.com", 1000, 5)), ["q2"]);
      assert.deepEqual(await queue.counts(), { ...none, waiting: 1, dropped: 1 });
      assert.equal((await store.stats()).queued, 1);
    });

    test("what is settled is not changed by a try; of one that was dropped the trace tells", async () => {
      await using store = await newStore();
      const { queue } = store;
      const ends = ["delivered", "failed", "dropped"] as const;
      const items = ends.map((id) => ({ ...item, id, recipient: `${id}@example.com` }));
      await acceptMail(store, 1, mail("out"), { deliveries: [], queue: items });
      await queue.attempted("delivered", attemptOf("delivered", 11));
      await queue.attempted("failed", attemptOf("failed", 12));
      await queue.change("dropped", "drop", "admin", 13);
      for (const id of ends) {
        const settled = await queue.get(id);
        assert.equal(settled?.state, id);
        for (const outcome of ["deferred", "failed", "delivered"] as const) {
          await queue.attempted(id, attemptOf(outcome, 20), 50);
        }
        assert.deepEqual(await queue.get(id), settled, id);
      }
      const steps = (await store.traces.show(messageId(1)))?.steps ?? [];
      const late = steps.filter(({ atMs }) => atMs === 20).map(({ text }) => text.split(" by")[0]);
      const who = "dropped@example.com";
      assert.deepEqual(late, [`${who}: deferred`, `${who}: failed`, `${who}: delivered`]);
      assert.equal(await queue.nextDueAtMs("example.com"), undefined);
      // Two answers for one try: the first one counts.
      await acceptMail(store, 2, mail("out"), {
        deliveries: [],
        queue: [{ ...item, id: "twice" }],
      });
      const both = ["delivered", "failed"] as const;
      await Promise.all(both.map((outcome) => queue.attempted("twice", attemptOf(outcome, 21))));
      const twice = await queue.get("twice");
      assert.deepEqual([twice?.state, twice?.attempts], ["delivered", 1]);
    });

    test("what is due to a domain comes oldest first, page by page", async () => {
      await using store = await newStore();
      const { queue } = store;
      assert.equal(await queue.nextDueAtMs("example.com"), undefined);
      const moments = [30, 10, 20, 10];
      const items = moments.map((nextAttemptAtMs, nth) => ({
        ...item,
        id: `q${nth}`,
        queuedAtMs: 9 - nth,
        nextAttemptAtMs,
      }));
      const other = { ...item, id: "other", recipient: "dave@other.example", nextAttemptAtMs: 5 };
      await acceptMail(store, 1, mail("out"), { deliveries: [], queue: [...items, other] });
      const due = async (...rest: [number, number, QueuePlace?]): Promise<string[]> =>
        idsOf(await queue.due("example.com", ...rest));
      assert.deepEqual(await due(20, 9), ["q3", "q1", "q2"]);
      assert.deepEqual(await due(20, 2), ["q3", "q1"]);
      const place = { nextAttemptAtMs: 10, queuedAtMs: 8, id: "q1" };
      assert.deepEqual(await due(99, 9, place), ["q2", "q0"]);
      assert.deepEqual(await due(9, 9), []);
      assert.equal(await queue.nextDueAtMs("example.com"), 10);
      assert.deepEqual(
        (await queue.destinations()).toSorted((one, two) => one.dueAtMs - two.dueAtMs),
        [
          { domain: "other.example", dueAtMs: 5 },
          { domain: "example.com", dueAtMs: 10 },
        ],
      );
      await queue.change("other", "drop", "admin", 11);
      assert.equal((await queue.destinations()).length, 1);
    });

    test("the oldest that wait are found whatever their next try", async () => {
      await using store = await newStore();
      const { queue } = store;
      const items = [40, 10, 30, 20].map((queuedAtMs, nth) => ({
        ...item,
        id: `q${nth}`,
        queuedAtMs,
        nextAttemptAtMs: 100 - queuedAtMs,
      }));
      await acceptMail(store, 1, mail("out"), { deliveries: [], queue: items });
      assert.deepEqual(idsOf(await queue.waitingSince(40, 2)), ["q1", "q3"]);
      const after = { queuedAtMs: 20, id: "q3" };
      assert.deepEqual(idsOf(await queue.waitingSince(40, 9, after)), ["q2"]);
      await queue.change("q1", "hold", "admin", 50);
      assert.deepEqual(idsOf(await queue.waitingSince(40, 2)), ["q3", "q2"]);
    });

    test("tells of each domain for which something begins to wait", async () => {
      await using store = await newStore();
      const { queue } = store;
      const told: Destination[] = [];
      const stop = queue.watch((waiting) => told.push(waiting));
      const second = { ...item, id: "q2", recipient: "dave@other.example", nextAttemptAtMs: 99 };
      await acceptMail(store, 1, mail("out"), { deliveries: [], queue: [item, second] });
      await queue.attempted("q1", attemptOf("deferred", 11), 50);
      await queue.change("q1", "retry", "admin", 12);
      await queue.change("q1", "hold", "admin", 13);
      await queue.change("q1", "release", "admin", 14);
      await queue.change("q1", "drop", "admin", 15);
      stop();
      await queue.change("q2", "retry", "admin", 16);
      assert.deepEqual(told, [
        { domain: "example.com", dueAtMs: 10 },
        { domain: "other.example", dueAtMs: 99 },
        { domain: "example.com", dueAtMs: 12 },
        { domain: "example.com", dueAtMs: 14 },
      ]);
    });

    test("is listed by state and domain", async () => {
      await using store = await newStore();
      const { queue } = store;
      const recipients = ["a@one.example", "b@ONE.example", "c@two.example"];
      const items = recipients.map((recipient, nth) => ({ ...item, id: `q${nth}`, recipient }));
      await acceptMail(store, 1, mail("out"), { deliveries: [], queue: items });
      await queue.change("q1", "hold", "admin", 12);
      const list = async (filter: Omit<Parameters<typeof queue.list>[0], "limit">) =>
        idsOf(await queue.list({ ...filter, limit: 9 })).sort();
      assert.deepEqual(await list({}), ["q0", "q1", "q2"]);
      assert.deepEqual(await list({ domain: "One.Example" }), ["q0", "q1"]);
      assert.deepEqual(await list({ state: "waiting" }), ["q0", "q2"]);
      assert.deepEqual(await list({ state: "held", domain: "one.example" }), ["q1"]);
      assert.deepEqual(await list({ domain: "three.example" }), []);
      const all = await queue.list({ limit: 9 });
      const page = await queue.list({ limit: 2 });
      const rest = await queue.list({ limit: 2, ...(page[1] && { after: page[1] }) });
      assert.deepEqual([...page, ...rest], all);
      assert.deepEqual(await list({ message: messageId(1) }), ["q0", "q1", "q2"]);
      assert.deepEqual(await list({ message: messageId(2) }), []);
    });

    test("what is not in it is not changed by anything", async () => {
      await using store = await newStore();
      const { queue } = store;
      assert.equal(await queue.get("none"), undefined);
      await queue.attempted("none", attemptOf("failed", 1));
      await queue.delayNotified("none", 1);
      assert.equal(await queue.change("none", "drop", "admin", 1), false);
      assert.deepEqual(await queue.counts(), none);
    });
  });
}

const none = { waiting: 0, held: 0, delivered: 0, failed: 0, dropped: 0 };
