import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, describe, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import type { LinkStream } from "#contracts/link";
import { idleCrowd } from "../../../tests/kit/idle-crowd.ts";
import { cookie, type House, openHouse, own } from "./fixture.test.ts";

/** Idle connections, or what the machine lets one process open. */
function crowdSize(): number {
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return Math.min(10_000, Number(limit) - readdirSync("/proc/self/fd").length - 200);
}

test("W14 10,000 idle connections are held, and everybody else is served", async (t) => {
  const size = crowdSize();
  if (size < 10_000) t.diagnostic(`${size} connections: the machine allows no more descriptors`);
  const limits = {
    connections: 10_010,
    connectionsPerAddress: 10_000,
    keepAliveTimeoutMs: 600_000,
  };
  await using house = await openHouse({ limits });
  const beforeBytes = process.memoryUsage.rss();
  await using crowd = await idleCrowd(house.edge.endpoint.port, "mail.example", size);
  const eachKib = (process.memoryUsage.rss() - beforeBytes) / size / 1024;
  t.diagnostic(`${eachKib.toFixed(1)} KiB for each connection`);
  const startedMs = performance.now();
  for (let round = 0; round < 20; round += 1) {
    assert.equal((await house.ask("/open/")).body, "you asked /open/");
  }
  const eachMs = (performance.now() - startedMs) / 20;
  t.diagnostic(`${eachMs.toFixed(1)} ms for each request with its handshake`);
  assert.equal((await house.logIn({ password: "right" })).status, 303);
  assert.equal(await crowd.open(), size);
  assert.ok(eachKib < 200, `${eachKib} KiB`);
});

describe("W14 a link whose streams for web requests are all taken", () => {
  const open: TLSSocket[] = [];
  afterEach(() => {
    for (const socket of open.splice(0)) socket.destroy();
  });

  function wait(house: House): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect({
        ...{ host: "127.0.0.1", port: house.edge.endpoint.port, servername: "mail.example" },
        rejectUnauthorized: false,
      });
      open.push(socket);
      socket.on("error", () => {});
      socket.once("data", (chunk: Buffer) => resolve(chunk.toString("latin1")));
      socket.write(
        `GET /jmap/events HTTP/1.1\r\nHost: mail.example\r\nCookie: ${cookie.cookie}\r\n\r\n`,
      );
    });
  }

  const pages = (stream: LinkStream): void => {
    stream.receive({ data() {}, end() {}, broken() {} });
    stream.answer({ status: 200, headers: [["content-type", "text/event-stream"]] });
    stream.send(Buffer.from(": open\n\n"));
  };

  test("300 open pages block nobody (each holds a stream)", async () => {
    const limits = { connections: 400, connectionsPerAddress: 400 };
    await using house = await openHouse({ limits });
    house.answerWeb = pages;
    const heads = await Promise.all(Array.from({ length: 300 }, () => wait(house)));
    assert.ok(heads.every((head) => head.startsWith("HTTP/1.1 200")));
    assert.equal((await house.logIn({ password: "right" })).status, 303);
  });

  test("the next request is told to come back, and a login goes in", async () => {
    await using house = await openHouse({ mux: { maxLongStreams: 12 } });
    house.answerWeb = pages;
    for (let page = 0; page < 12; page += 1) assert.match(await wait(house), /^HTTP\/1\.1 200/);
    const refused = await house.ask("/open/");
    assert.equal(refused.status, 503);
    assert.equal(refused.headers["retry-after"], "10");
    const counted = house.registry.samples().filter(({ name }) => name.startsWith("web_link_"));
    assert.deepEqual(counted, [{ name: "web_link_full_total", labels: {}, value: 1 }]);
    assert.equal((await house.logIn({ password: "right" })).status, 303);
    const out = await house.ask("/logout", { method: "POST", headers: { ...cookie, ...own } });
    assert.equal(out.status, 303);
    open.pop()?.destroy();
    assert.match(await wait(house), /^HTTP\/1\.1 (200|503)/);
  });
});
