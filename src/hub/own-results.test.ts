import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { foreignResultsFilter } from "./own-results.ts";

const authservId = "mail.example.org";
const forged = `Authentication-Results: ${authservId}; spf=pass\r\n`;
const folded = `authentication-results:\r\n\t${authservId.toUpperCase()} 1;\r\n dkim=pass\r\n`;
const others = "Authentication-Results: mx.example.net; spf=fail\r\n";
const subject = "Subject: hello\r\n";
const body = `\r\n${forged}words\r\n`;

/** What comes out of the message when it comes in these pieces, and how many fields went. */
function filtered(pieces: Iterable<Uint8Array>): { readonly text: string; removed: number } {
  const filter = foreignResultsFilter(authservId);
  const out: Uint8Array[] = [];
  for (const piece of pieces) out.push(...filter.push(piece));
  out.push(...filter.finish());
  return { text: Buffer.concat(out).toString("latin1"), removed: filter.removed };
}

function* octets(whole: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < whole.length; at += 1) yield whole.subarray(at, at + 1);
}

describe("foreignResultsFilter()", () => {
  const messages: readonly (readonly [string, string, string, number])[] = [
    ["none", subject + others + body, subject + others + body, 0],
    ["one", subject + forged + body, subject + body, 1],
    ["a folded one", folded + subject + body, subject + body, 1],
    [
      "several between others",
      forged + others + folded + subject + forged + body,
      others + subject + body,
      3,
    ],
    [
      "one with its colon in the next line",
      `Authentication-Results\r\n : ${authservId}; dkim=pass\r\n${subject}`,
      subject,
      1,
    ],
    [
      "one with an odd octet in its name",
      `Authentication-Results\u00a0: ${authservId}; dkim=pass\r\n${subject}`,
      subject,
      1,
    ],
    [
      "one with a final dot",
      `Authentication-Results: ${authservId}.; dkim=pass\r\n${subject}`,
      subject,
      1,
    ],
    ["one without a body behind it", subject + forged, subject, 1],
    ["nothing at all", "", "", 0],
  ];
  for (const [name, message, rest, removed] of messages) {
    test(`${name}: the same wherever the pieces are cut`, () => {
      const whole = Buffer.from(message);
      for (let cut = 0; cut <= whole.length; cut += 1) {
        const cuts = [whole.subarray(0, cut), whole.subarray(cut)];
        assert.deepEqual(filtered(cuts), { text: rest, removed }, `cut at ${cut}`);
      }
      assert.deepEqual(filtered(octets(whole)), { text: rest, removed });
    });
  }

  test("a header in 262,144 pieces costs no more than a moment, and comes out as from one", () => {
    const lines = `X-Line: ${"a".repeat(70)}\r\n`.repeat(4000);
    const whole = Buffer.from((forged + lines).slice(0, 262_144 - folded.length) + folded);
    assert.equal(whole.length, 262_144);
    const before = process.cpuUsage();
    const small = filtered(octets(whole));
    const { user, system } = process.cpuUsage(before);
    // Of this process alone: others on the machine do not count.
    assert.ok((user + system) / 1e6 < 1, `${(user + system) / 1e6} s`);
    assert.deepEqual(small, filtered([whole]));
    assert.ok(small.removed >= 1);
  });

  const tooLong = [
    ["of more than 256 KiB", `${"X: y\r\n".repeat(50_000)}\r\nbody`],
    ["of 20,001 fields before a forged one", `${"a:\r\n".repeat(20_001)}${forged}\r\nbody`],
  ] as const;
  for (const [what, message] of tooLong) {
    test(`says that a header ${what} is too long to be judged`, () => {
      const filter = foreignResultsFilter("mx.example.org");
      filter.push(Buffer.from(message));
      filter.finish();
      assert.equal(filter.isTooLong, true);
    });
  }

  test("a long body does not make a header long", () => {
    const filter = foreignResultsFilter("mx.example.org");
    filter.push(Buffer.from(`${subject}\r\n${"x".repeat(400_000)}`));
    filter.finish();
    assert.equal(filter.isTooLong, false);
  });

  test("takes away nothing but such fields, whatever comes (seeded)", () => {
    const random = seededRandom(5);
    const parts = [forged, folded, others, subject, "\r\n", "x", ":", "\r", "\n", " ", '"', "("];
    for (let round = 0; round < 2000; round += 1) {
      let message = "";
      for (let nth = pick(random, 12); nth >= 0; nth -= 1) message += parts[pick(random, 12)];
      const whole = Buffer.from(message);
      const cut = pick(random, whole.length + 1);
      const one = filtered([whole]);
      assert.deepEqual(filtered([whole.subarray(0, cut), whole.subarray(cut)]), one);
      assert.equal(one.text === message, one.removed === 0);
    }
  });
});
