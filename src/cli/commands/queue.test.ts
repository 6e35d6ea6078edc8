import assert from "node:assert/strict";
import { test } from "node:test";
import { listText } from "./queue.ts";

test("the list says how old each item is", () => {
  const minute = 60_000;
  const nowMs = Date.UTC(2026, 0, 5);
  const items = [0, 119, 120, 2879, 2880, 7200].map((minutes) => ({
    ...{ id: `q${minutes}`, message: "m1", reversePath: "a@us.test", recipient: "b@sink.test" },
    ...({
      wishes: {},
      utf8: false,
      sizeBytes: 1,
      state: "waiting",
      attempts: 1,
      why: "why",
    } as const),
    ...{ queuedAtMs: nowMs - minutes * minute, nextAttemptAtMs: nowMs },
  }));
  const lines = listText({ waiting: 6 }, items, nowMs).split("\n");
  const ages = lines.slice(0, -1).map((line) => / ([0-9]+ \w+) old /.exec(line)?.[1]);
  assert.deepEqual(ages, ["0 min", "119 min", "2 h", "47 h", "2 d", "5 d"]);
});
