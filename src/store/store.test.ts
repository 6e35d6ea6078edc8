import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { acceptMail, head, mail, messageId, storeWithAlice } from "./fixture.ts";

// What every engine owes its callers is in tests/contract; here is what only this one promises.
describe("Store.accept()", () => {
  test("keeps equal contents once", async () => {
    await using store = await storeWithAlice();
    const octets = mail("the same");
    await Promise.all([acceptMail(store, 1, octets), acceptMail(store, 2, octets)]);
    await acceptMail(store, 3, octets);
    assert.equal((await store.stats()).contents, 1);
    for (const number of [1, 2, 3]) {
      const read = await store.messages.read(messageId(number), head.length);
      assert.deepEqual(read, octets);
    }
  });

  test("commits what comes together with one flush", async () => {
    await using store = await storeWithAlice();
    const before = (await store.stats()).flushes;
    await Promise.all(Array.from({ length: 8 }, (_, number) => acceptMail(store, number)));
    assert.ok((await store.stats()).flushes - before <= 2);
  });
});
