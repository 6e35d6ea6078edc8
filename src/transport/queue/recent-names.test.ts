import assert from "node:assert/strict";
import { test } from "node:test";
import { RecentNames } from "./recent-names.ts";

test("the names that came last are remembered, and no more than so many", () => {
  const names = new RecentNames(3);
  for (const name of ["a", "b", "c", "a", "d"]) names.add(name);
  assert.deepEqual(
    ["a", "b", "c", "d"].map((name) => names.has(name)),
    [true, false, true, true],
  );
});
