import assert from "node:assert/strict";
import { test } from "node:test";
import { Maintenance } from "./maintenance.ts";

test("Maintenance runs one work after the other, whatever becomes of the one before", async () => {
  const maintenance = new Maintenance();
  const told: string[] = [];
  const first = Promise.withResolvers<void>();
  const one = maintenance.run(async () => {
    told.push("one");
    await first.promise;
    throw new Error("no");
  });
  const two = maintenance.run(async () => {
    told.push("two");
    return 2;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(told, ["one"]);
  first.resolve();
  await assert.rejects(one, /no/);
  assert.equal(await two, 2);
  assert.equal(await maintenance.run(async () => 3), 3);
});
