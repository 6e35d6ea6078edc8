import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { systemClock } from "#base/clock";
import { requestHead } from "#formats/http";
import type { Connection } from "./connection.ts";
import { Pool, type Request } from "./pool.ts";

const limits = {
  maxConnections: 2,
  connectTimeoutMs: 5000,
  answerTimeoutMs: 5000,
  idleTimeoutMs: 60_000,
};

function ask(pool: Pool, owner = "ana"): Promise<string> {
  return new Promise((resolve) => {
    const request: Request = {
      ...{ isOver: false, sinceMs: pool.nowMs(), method: "POST", answerTimeoutMs: undefined },
      owner,
      begin(connection: Connection) {
        connection.writeHead(requestHead("POST", "/", [["content-length", "0"]]));
      },
      answered: () => true,
      part: () => true,
      ended: () => resolve("answered"),
      isWanted: () => true,
      failed: resolve,
    };
    pool.ask(request);
  });
}

test("Pool.ask() gives nobody a kept connection that the application is just closing", async () => {
  const accepted: Socket[] = [];
  const server = createServer((socket) => {
    accepted.push(socket);
    socket.on("error", () => {});
    socket.on("data", () => socket.write("HTTP/1.1 204 No Content\r\n\r\n"));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const dialled: Socket[] = [];
  const pool = new Pool(
    () => {
      const socket = connect({ host: "127.0.0.1", port });
      dialled.push(socket);
      return { socket, ready: "connect" };
    },
    limits,
    systemClock,
  );
  assert.equal(await ask(pool), "answered");
  // In the turn that hears of the end, behind the pool: the connection is not gone yet.
  const asked = new Promise<string>((resolve) => {
    dialled[0]?.once("end", () => resolve(ask(pool)));
  });
  accepted[0]?.end();
  assert.equal(await asked, "answered");
  assert.equal(dialled.length, 2);
  pool.close();
  for (const socket of accepted) socket.destroy();
  server.close();
});

test("W14 Pool.ask() leaves others their half of the connections and of the waiting places", async () => {
  const held: Socket[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", () => void held.push(socket));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const dial = () => ({ socket: connect({ host: "127.0.0.1", port }), ready: "connect" as const });
  const pool = new Pool(dial, { ...limits, maxConnections: 4 }, systemClock);
  const failures: string[] = [];
  const greedy = Array.from({ length: 200 }, () =>
    ask(pool, "eve").then((end) => void failures.push(end)),
  );
  while (held.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(held.length, 2);
  assert.deepEqual(new Set(failures), new Set(["too-busy"]));
  // All are asked for before the first connection is there.
  assert.equal(failures.length, 200 - 128);
  const other = ask(pool, "ana");
  while (held.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
  held[2]?.write("HTTP/1.1 204 No Content\r\n\r\n");
  assert.equal(await other, "answered");
  // The greedy one's next comes to its turn when one of its own is done, and not before.
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(held.length, 3);
  pool.close();
  await Promise.all(greedy);
  server.close();
});
