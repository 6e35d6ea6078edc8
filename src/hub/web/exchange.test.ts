import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { Unavailable } from "#base/errors";
import { BodyRoom, wholeBody } from "./exchange.ts";

async function* body(...sizes: readonly number[]): AsyncGenerator<Buffer> {
  for (const size of sizes) yield Buffer.alloc(size);
}

/** Sends so much, and then nothing for ever. */
async function* stalled(size: number): AsyncGenerator<Buffer> {
  yield Buffer.alloc(size);
  await new Promise(() => {});
}

describe("wholeBody()", () => {
  test("joins a body, and gives none that is too large", async () => {
    const room = new BodyRoom(100);
    assert.equal((await wholeBody(body(30, 30), 60, room, "ana"))?.length, 60);
    assert.equal(await wholeBody(body(30, 31), 60, room, "ana"), undefined);
  });

  test("one person's slow bodies fill that person's room and no other's", async () => {
    const room = new BodyRoom(100);
    for (let count = 0; count < 2; count += 1) void wholeBody(stalled(45), 60, room, "ana");
    await new Promise(setImmediate);
    await assert.rejects(wholeBody(body(20), 60, room, "ana"), Unavailable);
    assert.equal((await wholeBody(body(10), 60, room, "ana"))?.length, 10);
    assert.equal((await wholeBody(body(60), 60, room, "ben"))?.length, 60);
  });
});
