import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, test } from "node:test";
import type { Clock } from "#base/clock";
import type { AdminClient } from "../admin-client.ts";
import { tryMessage } from "./try.ts";

/** Moments pass, waits do not. */
const hasty: Clock = {
  nowMs: () => Date.UTC(2026, 0, 5),
  tickMs: () => 0,
  after(_, run) {
    setImmediate(run);
    return { cancel: () => undefined };
  },
};

/** Says one line to whatever it is told, the first before; closes the connection at the end. */
async function tried(replies: readonly string[], get: () => Promise<unknown>): Promise<object> {
  await using server = createServer((socket) => {
    const left = [...replies];
    const next = (): void => {
      const line = left.shift();
      if (line === undefined) socket.destroy();
      else socket.write(`${line}\r\n`);
    };
    socket.on("error", () => undefined);
    socket.on("data", next);
    next();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const admin = { get } as unknown as AdminClient;
  return await tryMessage({ host: "127.0.0.1", port }, "ana@postern.test", admin, hasty);
}

describe("a trial message that falls short is told, and throws nothing", () => {
  const taken = ["220 hello", "250 ok", "250 ok", "250 ok", "354 go", "250 ok", "221 bye"];
  const cases = [
    ["refused", ["220 hello", "250 ok", "250 ok", "550 5.7.1 no"], [], /said: 550 5\.7\.1 no/],
    ["cut off", ["220 hello"], [], /closed the connection/],
    ["without a trace", taken, [], /its trace does not show/],
  ] as const;
  for (const [what, replies, found, expected] of cases) {
    test(what, { timeout: 10_000 }, async () => {
      const outcome = await tried(replies, async () => found);
      assert.ok("fault" in outcome);
      assert.match(String(outcome.fault), expected);
    });
  }

  test("by a hub that is gone", async () => {
    const outcome = await tried(taken, () => Promise.reject(new Error("nothing runs here")));
    assert.deepEqual(outcome, { fault: "nothing runs here" });
  });

  test("nobody listens", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await server[Symbol.asyncDispose]();
    const smtp = { host: "127.0.0.1", port };
    const outcome = await tryMessage(smtp, "ana@postern.test", {} as AdminClient, hasty);
    assert.match(JSON.stringify(outcome), /ECONNREFUSED/);
  });
});
