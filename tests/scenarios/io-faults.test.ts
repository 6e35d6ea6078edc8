import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { faultKinds } from "../kit/faulty-disk.ts";
import { runWithFault } from "../kit/io-faults.ts";

const mails = 12;
/** The script goes through all of them, and through larger runs. */
const every = 2;

describe("a store one of whose disk's calls fails", () => {
  test("keeps every answer it gave, hangs nobody, says so and goes on (D6)", async () => {
    const calls = await runWithFault(mails);
    assert.ok(calls > 150, `${calls} calls`);
    for (let at = 1; at <= calls; at += every) {
      const kind = faultKinds[Math.floor(at / every) % faultKinds.length] ?? "EIO";
      try {
        await runWithFault(mails, { at, kind });
      } catch (error) {
        const replay = `node tests/kit/io-faults.ts --mails ${mails} --kinds ${kind} --from ${at}`;
        throw new Error(`${kind} of call ${at}; replay it with: ${replay}`, { cause: error });
      }
    }
  });
});
