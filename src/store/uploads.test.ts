import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Uploads } from "./uploads.ts";

const id = "c0ffee";

describe("Uploads", () => {
  test("awaits the parts of an upload until it ends, and none that come later", () => {
    const uploads = new Uploads();
    const upload = uploads.begin();
    uploads.add(upload, 7);
    assert.deepEqual(
      [7, 8].map((part) => uploads.isAwaited(part)),
      [true, false],
    );
    uploads.end(upload);
    uploads.add(upload, 8);
    assert.deepEqual(
      [7, 8].map((part) => uploads.isAwaited(part)),
      [false, false],
    );
  });

  test("awaits them until the last record with the content has arrived", () => {
    const uploads = new Uploads();
    const [one, other] = [uploads.begin(), uploads.begin()];
    uploads.add(one, 7);
    uploads.add(other, 9);
    uploads.taken(id, one, []);
    uploads.taken(id, other, [1, 2]);
    uploads.arrived(id);
    assert.deepEqual(
      [1, 2, 7, 9].map((part) => uploads.isAwaited(part)),
      [true, true, true, true],
    );
    uploads.arrived(id);
    assert.deepEqual(
      [1, 2, 7, 9].map((part) => uploads.isAwaited(part)),
      [false, false, false, false],
    );
    assert.deepEqual([one.isOver, other.isOver], [true, true]);
  });

  test("forgets an upload that nobody knows of any more", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const uploads = new Uploads();
    (() => uploads.add(uploads.begin(), 7))();
    assert.ok(uploads.isAwaited(7));
    for (let turn = 0; turn < 100 && uploads.isAwaited(7); turn += 1) {
      collect();
      await setTimeout(10);
    }
    assert.equal(uploads.isAwaited(7), false);
  });
});
