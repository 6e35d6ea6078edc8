/** The story of each message, and of those that were turned away. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Refusal, Store } from "#contracts/store";
import { acceptMail, mail, messageId } from "../../../src/store/fixture.ts";
import type { Opening } from "../model/compare.ts";
import { attemptOf, idsOf, item, openWithAlice } from "./kit.ts";

export function tracesContract(open: Opening): void {
  const newStore = async (): Promise<Store> => (await openWithAlice(open)).store;

  describe("TraceStore", () => {
    test("the status of a message is what became of it for all its recipients", async () => {
      await using store = await newStore();
      const { queue, traces } = store;
      const items = ["q1", "q2", "q3"].map((id) => ({ ...item, id }));
      await acceptMail(store, 1, mail("out"), { queue: items });
      const statuses: unknown[] = [];
      const look = async (number = 1): Promise<void> => {
        const [found] = await traces.find({ limit: 1 });
        assert.equal((await traces.show(messageId(number)))?.status, found?.status);
        statuses.push(found?.status);
      };
      await look();
      await queue.attempted("q1", attemptOf("delivered", 11));
      await queue.change("q2", "hold", "admin", 12);
      await queue.change("q3", "drop", "admin", 12);
      await look();
      await queue.change("q2", "drop", "admin", 13);
      await look();
      await queue.attempted("q2", attemptOf("failed", 14));
      await look();
      const more = ["q4", "q5"].map((id) => ({ ...item, id }));
      await acceptMail(store, 2, mail("out again"), { queue: more });
      await queue.change("q4", "drop", "admin", 15);
      await queue.attempted("q5", attemptOf("failed", 16));
      await look(2);
      assert.deepEqual(statuses, ["waiting", "waiting", "dropped", "dropped", "failed"]);
    });

    test("are found by sender, recipient and Message-ID, without case, the latest first", async () => {
      await using store = await newStore();
      for (const number of [1, 2, 3]) {
        await acceptMail(store, number, mail(`Mail-${number}`), {
          acceptedAtMs: 100 * number,
          envelope: {
            reversePath: `s${number}@Example.net`,
            recipients: [{ path: `r_${number}@x` }],
          },
        });
      }
      const find = async (text: string, sinceMs = 0, limit = 9): Promise<string[]> =>
        idsOf(await store.traces.find({ text, sinceMs, limit }));
      const [one, two, three] = [1, 2, 3].map(messageId);
      assert.deepEqual(await find("@example.NET"), [three, two, one]);
      assert.deepEqual(await find("R_2"), [two]);
      assert.deepEqual(await find("r%2"), [], "no wildcards");
      assert.deepEqual(await find("<mail-1@"), [one]);
      assert.deepEqual(await find("s", 200), [three, two]);
      assert.deepEqual(await find("s", 0, 1), [three]);
      assert.deepEqual(await find("nobody"), []);
      assert.deepEqual(await store.traces.find({ limit: 0 }), []);
    });

    test("tell in order of time what happened", async () => {
      await using store = await newStore();
      const step = { atMs: 5, program: "edge-smtp", step: "connected", text: "from there" };
      const more = { acceptedAtMs: 7, steps: [step], queue: [item] };
      await acceptMail(store, 1, mail("told"), more);
      await store.queue.attempted("q1", attemptOf("deferred", 20), 30);
      await store.queue.delayNotified("q1", 40);
      await store.queue.change("q1", "hold", "admin", 15);
      const trace = await store.traces.show(messageId(1));
      assert.deepEqual(
        trace?.steps.map(({ atMs, step: word }) => `${atMs} ${word}`),
        [
          "5 connected",
          "7 committed",
          "7 delivered",
          "7 queued",
          "15 queued",
          "20 attempted",
          "40 bounced",
        ],
      );
      assert.deepEqual(trace?.steps[0], step);
      assert.deepEqual(
        [trace?.from, trace?.direction, trace?.atMs],
        ["bob@example.net", "inbound", 7],
      );
      assert.equal(trace?.messageIdHeader, "<told@example.net>");
      assert.equal(await store.traces.show(messageId(9)), undefined);
    });

    test("refused transactions are found; one that comes again may be accepted", async () => {
      await using store = await newStore();
      await refuse(store, refusal);
      const [found] = await store.traces.find({ text: "SPAMMER", limit: 5 });
      assert.deepEqual([found?.status, found?.id, found?.sizeBytes], ["refused", messageId(5), 0]);
      const shown = await store.traces.show(messageId(5));
      assert.equal(shown?.steps.at(-1)?.step, "refused");
      assert.match(shown?.steps.at(-1)?.text ?? "", /550 5\.7\.1 no/);
      assert.equal(await store.isAccepted(messageId(5)), false);
      await assert.rejects(store.messages.read(messageId(5)), { name: "Unavailable" });
      assert.equal((await acceptMail(store, 5)).repeated, false);
      await refuse(store, { ...refusal, reversePath: "late@example.net" });
      const all = await store.traces.find({ limit: 10 });
      assert.deepEqual(
        all.map(({ status }) => status),
        ["delivered"],
      );
    });
  });
}

const refusal: Refusal = {
  id: messageId(5),
  atMs: 5,
  connection: {
    listener: "smtp",
    clientAddress: "192.0.2.9",
    clientPort: 1,
    helo: "x",
    extended: true,
  },
  reversePath: "spammer@example.net",
  recipients: ["alice@example.org"],
  reply: { code: 550, status: "5.7.1", text: "no" },
  steps: [],
};

/** Nobody waits for a refusal; it comes with something that is waited for. */
async function refuse(store: Store, one: Refusal): Promise<void> {
  store.refused(one);
  await store.people.putDomain({ name: "example.org" }, "admin");
}
