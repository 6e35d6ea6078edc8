import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { after, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type TLSSocket } from "node:tls";
import type { LinkStream } from "#contracts/link";
import type { WebRequest } from "#contracts/web";
import { fakeClock } from "../../../tests/kit/fake-clock.ts";
import { answerPlainly, cookie, type House, openHouse } from "./fixture.test.ts";

const house = await openHouse();
after(() => house[Symbol.asyncDispose]());
beforeEach(() => {
  house.seen.length = 0;
  house.answerWeb = echo;
});

/** Takes the upgrade and gives every octet back. */
function echo(stream: LinkStream): void {
  stream.answer({
    status: 101,
    headers: [["sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]],
  });
  stream.receive({
    data: (chunk) => (stream.send(chunk) ? undefined : stream.drained()),
    end: () => stream.end(),
    broken() {},
  });
}

const fields = {
  host: "mail.example",
  connection: "Upgrade",
  upgrade: "websocket",
  origin: "https://mail.example",
  "sec-fetch-site": "same-origin",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  ...cookie,
};

function head(change: Record<string, string> = {}, path = "/wiki/live"): string {
  const lines = Object.entries({ ...fields, ...change }).filter(([, value]) => value !== "");
  return `GET ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
}

function open(of: House = house): Promise<{ socket: TLSSocket; text: () => string }> {
  return new Promise((resolve) => {
    const { port } = of.edge.endpoint;
    const socket = connect({
      ...{ host: "127.0.0.1", port, servername: "mail.example", rejectUnauthorized: false },
    });
    let got = "";
    socket.on("data", (chunk: Buffer) => {
      got += chunk.toString("latin1");
    });
    socket.on("error", () => {});
    socket.once("secureConnect", () => resolve({ socket, text: () => got }));
  });
}

async function until(fits: () => boolean): Promise<void> {
  for (const dueMs = Date.now() + 3000; !fits() && Date.now() < dueMs; ) await sleep(5);
}

describe("W13 WebSocket", () => {
  test("goes raw both ways after 101, with what came behind the head first", async () => {
    const client = await open();
    client.socket.write(`${head()}early`);
    await until(() => client.text().endsWith("early"));
    assert.match(client.text(), /^HTTP\/1\.1 101 Switching Protocols\r\n/);
    assert.match(client.text(), /^connection: upgrade\r\nupgrade: websocket\r$/m);
    assert.match(client.text(), /sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/);
    client.socket.write("GET /open/smuggled HTTP/1.1\r\n\r\n");
    await until(() => client.text().endsWith("smuggled HTTP/1.1\r\n\r\n"));
    const large = "0123456789".repeat(100_000);
    client.socket.write(large);
    await until(() => client.text().endsWith(large));
    assert.ok(client.text().endsWith(large));
    assert.equal(house.seen.length, 1);
    const asked = house.seen[0]?.header as WebRequest;
    assert.equal(asked.upgrade, "websocket");
    assert.ok(!asked.headers.some(([name]) => name === "upgrade" || name === "connection"));
    client.socket.destroy();
  });

  test("ends inside when the client goes, and here when the inside ends", async () => {
    const broken = Promise.withResolvers<unknown>();
    house.answerWeb = (stream) => {
      stream.answer({ status: 101, headers: [] });
      stream.receive({ data() {}, end: broken.resolve, broken: broken.resolve });
    };
    const client = await open();
    client.socket.write(head());
    await until(() => client.text() !== "");
    client.socket.destroy();
    await broken.promise;
    house.answerWeb = (stream) => {
      stream.receive({ data() {}, end() {}, broken() {} });
      stream.answer({ status: 101, headers: [] });
      stream.end();
    };
    const got = await house.exchange(head());
    assert.match(got.text, /^HTTP\/1\.1 101/);
    assert.equal(got.endedByServer, true);
  });

  const refused: readonly (readonly [string, Record<string, string>, string, RegExp])[] = [
    ["on a rule without it", {}, "/mail/", /^HTTP\/1\.1 400/],
    ["from another origin", { origin: "https://evil.example" }, "/wiki/", /^HTTP\/1\.1 403/],
    ["without an origin", { origin: "" }, "/wiki/", /^HTTP\/1\.1 403/],
    ["to another protocol", { upgrade: "h2c" }, "/wiki/", /^HTTP\/1\.1 400/],
    ["of version 8", { "sec-websocket-version": "8" }, "/wiki/", /^HTTP\/1\.1 400/],
    ["with a short key", { "sec-websocket-key": "YQ==" }, "/wiki/", /^HTTP\/1\.1 400/],
    ["without Connection", { connection: "" }, "/wiki/", /^HTTP\/1\.1 400/],
    ["without a session", { cookie: "" }, "/wiki/", /^HTTP\/1\.1 (303|401)/],
  ];
  for (const [name, change, path, expected] of refused) {
    test(`an upgrade ${name} is refused, and nothing behind it is raw`, async () => {
      const got = await house.raw(`${head(change, path)}raw octets\r\n\r\n`);
      assert.match(got, expected);
      assert.equal(house.seen.length, 0);
    });
  }

  test("an application that does not upgrade answers as to any request", async () => {
    house.answerWeb = answerPlainly;
    const got = await house.raw(head());
    assert.match(got, /^HTTP\/1\.1 200/);
    assert.match(got, /you asked \/wiki\/live/);
  });

  test("a silent one ends after the idle time", async () => {
    const clock = fakeClock();
    await using slow = await openHouse({ clock });
    slow.answerWeb = echo;
    const client = await open(slow);
    client.socket.write(head());
    await until(() => client.text() !== "");
    let ended = false;
    client.socket.on("close", () => {
      ended = true;
    });
    for (let at = 0; at < 200 && !ended; at += 1) await clock.advance(500);
    await until(() => ended);
    assert.equal(ended, true);
  });
});
