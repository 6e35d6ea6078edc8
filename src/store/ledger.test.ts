import assert from "node:assert/strict";
import { test } from "node:test";
import type { Refusal } from "#contracts/store";
import { acceptMail, messageId, newDisk, stillClock, storeWithAlice } from "./fixture.ts";

function refusal(nth: number, bytes: number): Refusal {
  return {
    id: messageId(0x1000 + nth),
    atMs: nth,
    connection: {
      listener: "smtp",
      clientAddress: "192.0.2.1",
      clientPort: 4000,
      helo: "x",
      extended: true,
    },
    reversePath: "eve@example.net",
    recipients: [],
    reply: { code: 550, text: "x".repeat(bytes) },
    steps: [],
  };
}

test("what nobody waits for is held up to 4 MiB between two batches, not beyond", async () => {
  const sizes = { segmentBytes: 16 * 1024 * 1024, clock: stillClock() };
  await using store = await storeWithAlice(newDisk(), sizes);
  const kept = async (): Promise<number> => {
    const found = await store.traces.find({ limit: 100 });
    return found.filter(({ status }) => status === "refused").length;
  };
  for (let nth = 0; nth < 20; nth += 1) store.refused(refusal(nth, 256 * 1024));
  await acceptMail(store, 1);
  // Each is a little more than its text: 16 of them are beyond.
  assert.equal(await kept(), 15);
  // They are written: there is room for as many again.
  for (let nth = 20; nth < 40; nth += 1) store.refused(refusal(nth, 256 * 1024));
  await acceptMail(store, 2);
  assert.equal(await kept(), 30);
});
