import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultsOf } from "#base/parameters";
import { pick, seededRandom } from "#base/random";
import { deliver, smtpClientParameters, timeoutsOf } from "#transport/smtp-client";
import { common } from "../../../tests/kit/client.ts";
import { streamPair } from "../../../tests/kit/stream-pair.ts";

const words = [
  ..."220 a\r\n|220-a\r\n|250 a\r\n|250-PIPELINING\r\n|250-SIZE\r\n|250-SIZE 99999999999999999999\r\n".split(
    "|",
  ),
  ..."250-CHUNKING\r\n|250 DSN\r\n|354 go\r\n|451 x\r\n|550 5.1.1 x\r\n|221 x\r\n|421 x\r\n|334 x\r\n".split(
    "|",
  ),
  ..."\r\n|\n|\r|\0|999 x\r\n|25|250|xyz\r\n|250 2.0.0\r\n".split("|"),
];

describe("deliver() to a hostile server", () => {
  test("always ends with an outcome, and calls nothing delivered without a 2xx (seeded)", async () => {
    const random = seededRandom(21);
    for (let round = 0; round < 150; round += 1) {
      const [ours, theirs] = streamPair();
      let said = 0;
      let saidTwo = false;
      const talk = (): void => {
        const word = words[pick(random, words.length)] ?? "";
        saidTwo ||= word.startsWith("2");
        if (said++ > 25 || pick(random, 30) === 0) theirs.destroy();
        else theirs.write(word);
        // Some rounds answer each command, some never stop talking.
        if (round % 2 === 0 && !theirs.destroyed) setImmediate(talk);
      };
      theirs.on("data", () => theirs.destroyed || talk());
      theirs.on("error", () => {});
      talk();
      const outcome = await deliver({
        ...common({ to: ["b@x.test", "c@x.test"] }),
        stream: ours,
        timeouts: { ...timeoutsOf(defaultsOf(smtpClientParameters)), totalMs: 40, quitMs: 5 },
      });
      if (!outcome.opened) continue;
      assert.equal(outcome.recipients.length, 2);
      if (!saidTwo) assert.ok(outcome.recipients.every(({ delivered }) => !delivered));
    }
  });

  test("breaks off when a server floods it with replies", async () => {
    const [ours, theirs] = streamPair();
    theirs.on("error", () => {});
    theirs.write(Buffer.from("220 x\r\n".repeat(5000)));
    const outcome = await deliver({ ...common({}), stream: ours });
    assert.deepEqual(!outcome.opened && outcome.failure.reply.status, "4.5.0");
  });
});
