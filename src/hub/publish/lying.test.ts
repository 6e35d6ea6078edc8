/** Applications that answer wrongly, on purpose or not: bounded, told apart, never passed on as good. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { application, edgeTo, rawServer, statusOf } from "./fixture.test.ts";

/** What it says to a request, and what the edge is told: a refusal, or how the answer broke off. */
const lies: readonly (readonly [name: string, said: string, why: string])[] = [
  ["no HTTP", "hello\r\n\r\n", "bad-answer"],
  ["HTTP/2", "HTTP/2 200\r\n\r\n", "bad-answer"],
  ["SSH", "SSH-2.0-x\r\n\r\n", "bad-answer"],
  [
    "length and coding",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad-answer",
  ],
  [
    "two lengths",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "bad-answer",
  ],
  ["a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", "bad-answer"],
  [
    "a coding of its own",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "bad-answer",
  ],
  ["a folded field", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", "bad-answer"],
  ["a bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n", "bad-answer"],
  ["NUL in a field", "HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 0\r\n\r\n", "bad-answer"],
  ["status 99", "HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n", "bad-answer"],
  ["an endless head", `HTTP/1.1 200 OK\r\n${"X: yyyyyyyyyyyyyyyy\r\n".repeat(5000)}`, "bad-answer"],
  ["an endless line", `HTTP/1.1 200 ${"y".repeat(100_000)}`, "bad-answer"],
  ["too many fields", `HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(300)}\r\n`, "bad-answer"],
  ["a flood of 1xx", "HTTP/1.1 100 Continue\r\n\r\n".repeat(200), "bad-answer"],
  ["a flood of 103", "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n".repeat(50), "bad-answer"],
  ["nothing", "", "cut-off"],
  ["half a head", "HTTP/1.1 200 OK\r\nContent-", "cut-off"],
  ["only 100", "HTTP/1.1 100 Continue\r\n\r\n", "cut-off"],
];

/** Answers that begin well: the edge must see that they broke off. */
const broken: readonly (readonly [name: string, said: string])[] = [
  ["an early end", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"],
  ["an early end in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"],
  ["no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"],
  [
    "a size that is none",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
  ],
  ["a chunk without its end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX"],
  [
    "a bare LF in chunks",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
  ],
];

/** Says it to each request, and closes. */
function liar(said: string, step = said.length) {
  return rawServer((socket) => {
    const say = (at: number): void => {
      if (at >= said.length || socket.destroyed) return void socket.end();
      socket.write(said.slice(at, at + step), "latin1");
      setImmediate(() => say(at + step));
    };
    socket.once("data", () => say(0));
  });
}

describe("an application that lies", () => {
  for (const [name, said, why] of lies) {
    test(`W1 says ${name}: ${why}`, async () => {
      await using server = await liar(said);
      using edge = edgeTo(application(server.url));
      const { answer } = await edge.ask();
      assert.deepEqual(answer, { refused: "unreachable", why });
      while (server.sockets.size > 0) await pause(5);
    });
  }
  for (const [name, said] of broken) {
    test(`W1 says ${name}: half an answer does not look whole`, async () => {
      await using server = await liar(said);
      using edge = edgeTo(application(server.url));
      const got = await edge.ask();
      assert.equal(statusOf(got), 200);
      assert.match(got.broken ?? "", /bad-answer|cut-off/);
    });
  }

  const followed: readonly (readonly [name: string, said: string])[] = [
    [
      "a second answer",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    ],
    ["octets behind 204", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil"],
    [
      "octets behind the last chunk",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\nevil",
    ],
    ["a body for HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"],
  ];
  for (const [name, said] of followed) {
    test(`W1 sends ${name}: nobody gets it`, async () => {
      await using server = await rawServer((socket) => {
        socket.on("data", () => void socket.write(said));
      });
      using edge = edgeTo(application(server.url));
      const method = name.endsWith("HEAD") ? "HEAD" : "GET";
      for (let round = 0; round < 5; round += 1) {
        const { body } = await edge.ask({ method });
        assert.equal(body.includes("evil"), false);
      }
    });
  }

  test("W1 sends an answer that nobody asked for: nobody gets it", async () => {
    await using server = await rawServer((socket, nth) => {
      const say = (text: string) =>
        void socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
      socket.on("data", () => {
        say(`good${nth}`);
        setTimeout(() => say("evil"), 5);
      });
    });
    using edge = edgeTo(application(server.url));
    for (let round = 0; round < 4; round += 1) {
      const { body } = await edge.ask();
      assert.match(body.toString(), /^good/);
      await pause(20);
    }
  });

  test("swallows a few interim answers, and reads octet by octet", async () => {
    const said =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" +
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
    await using server = await liar(said, 1);
    using edge = edgeTo(application(server.url));
    const got = await edge.ask();
    assert.deepEqual([statusOf(got), got.body.toString(), got.broken], [200, "hello", undefined]);
  });

  test("a head that drips is too late, not endless", async () => {
    await using server = await rawServer((socket) => {
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\n");
        const timer = setInterval(() => void socket.write("X: y\r\n"), 50);
        socket.on("close", () => clearInterval(timer));
      });
    });
    using edge = edgeTo(application(server.url, { answerTimeoutMs: 1000 }));
    assert.deepEqual((await edge.ask()).answer, { refused: "unreachable", why: "too-late" });
  });

  test("an edge that says more or less than it announced is cut off", async () => {
    await using server = await rawServer((socket) => void socket.on("data", () => {}));
    using edge = edgeTo(application(server.url));
    for (const text of ["hello and more", "hi"]) {
      const asked = edge.ask({ method: "POST", body: 5 }, Buffer.from(text));
      await assert.rejects(asked, /announced/);
    }
    while (server.sockets.size > 0) await pause(5);
  });
});
