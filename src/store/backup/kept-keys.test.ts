import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import type { KeptKeys } from "#store";
import { formatKeptKeys, parseKeptKeys, wipe } from "./kept-keys.ts";

const random = seededRandom(1);
const keys: KeptKeys = {
  storeId: random.bytes(8),
  storeKey: random.bytes(32),
  epochs: new Map([
    [2, random.bytes(32)],
    [7, random.bytes(32)],
  ]),
  destroyed: [1, 3, 4, 5, 6],
};

describe("formatKeptKeys() and parseKeptKeys()", () => {
  test("give back what was written", () => {
    assert.deepEqual(parseKeptKeys(formatKeptKeys(keys)), keys);
  });

  const whole = JSON.parse(formatKeptKeys(keys).toString()) as Record<string, unknown>;
  const others: readonly unknown[] = [
    null,
    [],
    "keys",
    { ...whole, keys: 2 },
    { ...whole, storeId: "00" },
    { ...whole, storeId: "zz".repeat(8) },
    { ...whole, storeKey: "AAAA" },
    { ...whole, storeKey: 7 },
    { ...whole, epochs: [] },
    { ...whole, epochs: {} },
    { ...whole, epochs: [[1]] },
    { ...whole, epochs: [[0, whole["storeKey"]]] },
    { ...whole, epochs: [[1.5, whole["storeKey"]]] },
    {
      ...whole,
      epochs: [
        [1, whole["storeKey"]],
        [1, whole["storeKey"]],
      ],
    },
    { ...whole, destroyed: "none" },
    { ...whole, destroyed: [-1] },
  ];
  for (const other of others) {
    test(`refuses ${JSON.stringify(other).slice(0, 70)}`, () => {
      assert.equal(parseKeptKeys(Buffer.from(JSON.stringify(other))), undefined);
    });
  }

  test("survive any octets", () => {
    const octets = formatKeptKeys(keys);
    for (let round = 0; round < 3000; round += 1) {
      const spoilt = Buffer.from(octets.subarray(0, pick(random, octets.length + 1)));
      for (let count = pick(random, 4); count > 0 && spoilt.length > 0; count -= 1) {
        spoilt[pick(random, spoilt.length)] = pick(random, 256);
      }
      const parsed = parseKeptKeys(spoilt);
      assert.ok(parsed === undefined || parsed.storeKey.length === 32);
    }
  });

  test("wipe() leaves zeros", () => {
    const copy = parseKeptKeys(formatKeptKeys(keys));
    assert.ok(copy);
    wipe(copy);
    for (const key of [copy.storeKey, ...copy.epochs.values()])
      assert.ok(key.every((one) => one === 0));
  });
});
