import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { after, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type TLSSocket } from "node:tls";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { section } from "#base/parameters";
import type { LinkStream } from "#contracts/link";
import type { WebRequest } from "#contracts/web";
import { webParameters } from "#proxy";
import { fakeClock, settle } from "../../../tests/kit/fake-clock.ts";
import { webEvents } from "./events.ts";
import { answerPlainly, cookie, type House, type HouseOptions, openHouse } from "./fixture.test.ts";
import { Http1Connection } from "./http1.ts";

const house = await openHouse();
after(() => house[Symbol.asyncDispose]());
beforeEach(() => {
  house.seen.length = 0;
  house.answerWeb = answerPlainly;
});

const host = "Host: mail.example\r\n";
const get = (path: string, fields = ""): string => `GET ${path} HTTP/1.1\r\n${host}${fields}\r\n`;
const last = "Connection: close\r\n";

interface Client {
  readonly socket: TLSSocket;
  readonly text: () => string;
  readonly ended: () => boolean;
}

function dial(of: House = house): Promise<Client> {
  return new Promise((resolve, reject) => {
    const { port } = of.edge.endpoint;
    const socket = connect({
      ...{ host: "127.0.0.1", port, servername: "mail.example", rejectUnauthorized: false },
    });
    let got = "";
    let ended = false;
    socket.on("data", (chunk: Buffer) => {
      got += chunk.toString("latin1");
    });
    socket.on("close", () => {
      ended = true;
    });
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      socket.off("error", reject).on("error", () => {});
      resolve({ socket, text: () => got, ended: () => ended });
    });
  });
}

async function until(fits: () => boolean, withinMs = 3000): Promise<void> {
  for (const dueMs = Date.now() + withinMs; !fits() && Date.now() < dueMs; ) await sleep(5);
}

describe("requests on one connection", () => {
  test("are answered in their order, however many come at once", async () => {
    house.answerWeb = (stream, ask) => {
      const waitMs = ask.target.endsWith("/0") ? 60 : 0;
      setTimeout(() => answerPlainly(stream, ask), waitMs);
    };
    const count = 50;
    const all = Array.from({ length: count }, (_, at) =>
      get(`/open/${at}`, at === count - 1 ? last : ""),
    );
    const got = await house.raw(all.join(""));
    const order = [...got.matchAll(/you asked \/open\/(\d+)/g)].map(([, at]) => Number(at));
    assert.deepEqual(order, [...Array(count).keys()]);
    assert.deepEqual(
      house.seen.map(({ header }) => (header as WebRequest).target),
      order.map((at) => `/open/${at}`),
    );
  });

  test("wait in the client while one is answered", async () => {
    await using stuck = await openHouse({ limits: { answerTimeoutMs: 60_000 } });
    stuck.answerWeb = () => {};
    const client = await dial(stuck);
    client.socket.write(get("/open/stuck"));
    await until(() => stuck.seen.length > 0);
    const more = Buffer.from(get("/open/more").repeat(1000));
    for (let at = 0; at < 800; at += 1) client.socket.write(more);
    await sleep(300);
    assert.ok(client.socket.writableLength > 10_000_000, `${client.socket.writableLength} left`);
    assert.equal(stuck.seen.length, 1);
    client.socket.destroy();
  });

  test("end with the last that is allowed", async () => {
    await using few = await openHouse({ limits: { requestsPerConnection: 3 } });
    const got = await few.exchange(get("/robots.txt").repeat(5));
    assert.equal(got.text.match(/^HTTP\/1\.1 200/gm)?.length, 3);
    assert.equal(got.text.match(/^connection: close/gm)?.length, 1);
    assert.equal(got.endedByServer, true);
  });

  test("HEAD has the fields of GET and no body; 204 has none either", async () => {
    const got = await house.raw(
      `HEAD /robots.txt HTTP/1.1\r\n${host}\r\n${get("/favicon.ico")}${get("/robots.txt", last)}`,
    );
    const lengths = [...got.matchAll(/^content-length: (\d+)/gm)].map(([, length]) => length);
    assert.deepEqual(lengths, ["26", "26"]);
    assert.equal(got.match(/User-agent/g)?.length, 1);
    assert.match(got, /^HTTP\/1\.1 204 /m);
  });
});

describe("bodies", () => {
  const echo = (stream: LinkStream): void => {
    let got = "";
    stream.receive({
      data: (chunk) => void (got += chunk.toString()),
      end() {
        stream.answer({ status: 200, headers: [], bodyBytes: got.length });
        stream.send(Buffer.from(got));
        stream.end();
      },
      broken() {},
    });
  };

  test("are asked for with 100 where the client waits for it (RFC 9110 §10.1.1)", async () => {
    house.answerWeb = echo;
    const client = await dial();
    const fields = `Expect: 100-continue\r\nContent-Length: 4\r\n${last}`;
    client.socket.write(`POST /open/ HTTP/1.1\r\n${host}${fields}\r\n`);
    await until(() => client.text().includes("100 Continue"));
    assert.equal(client.text(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.socket.write("body");
    await until(client.ended);
    assert.match(client.text(), /\r\n\r\nHTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nbody$/);
  });

  test("that are too large are neither asked for nor read", async () => {
    const fields = "Expect: 100-continue\r\nContent-Length: 1000001\r\n";
    const got = await house.exchange(`POST /open/ HTTP/1.1\r\n${host}${fields}\r\n`);
    assert.match(got.text, /^HTTP\/1\.1 413/);
    assert.equal(got.endedByServer, true);
    assert.equal(house.seen.length, 0);
  });

  test("in chunks end at the same limit, and the inside hears that they broke", async () => {
    const broken = Promise.withResolvers<string>();
    house.answerWeb = (stream) =>
      stream.receive({ data() {}, end() {}, broken: (why) => broken.resolve(why) });
    const chunk = `${(100_000).toString(16)}\r\n${"a".repeat(100_000)}\r\n`;
    const head = `POST /open/ HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n`;
    const got = await house.exchange(head + chunk.repeat(12));
    assert.match(got.text, /^HTTP\/1\.1 413/);
    assert.ok(await broken.promise);
  });

  test("in chunks are not for our own pages: a length is required", async () => {
    const fields = `${last}Cookie: ${cookie.cookie}\r\nTransfer-Encoding: chunked\r\n`;
    const own = "Origin: https://mail.example\r\nSec-Fetch-Site: same-origin\r\n";
    const got = await house.exchange(
      `POST /jmap/upload/a HTTP/1.1\r\n${host}${fields}${own}\r\n0\r\n\r\n`,
    );
    assert.match(got.text, /^HTTP\/1\.1 411/);
    assert.equal(house.seen.length, 0);
  });

  test("of broken chunks break inside and close the connection", async () => {
    const broken = Promise.withResolvers<string>();
    house.answerWeb = (stream) =>
      stream.receive({ data() {}, end() {}, broken: (why) => broken.resolve(why) });
    const client = await dial();
    client.socket.write(
      `POST /open/ HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`,
    );
    await until(() => house.seen.length > 0);
    client.socket.write(`+1\r\n${get("/open/smuggled")}`);
    assert.ok(await broken.promise);
    await until(client.ended);
    assert.match(client.text(), /^HTTP\/1\.1 400/);
    assert.equal(house.seen.length, 1);
  });
});

describe("answers of the inside", () => {
  const wrong: readonly (readonly [string, number, string])[] = [
    ["longer than announced", 4, "12345"],
    ["shorter than announced", 6, "12345"],
  ];
  for (const [name, bodyBytes, sent] of wrong) {
    test(`${name} break the connection instead of becoming the next answer`, async () => {
      house.answerWeb = (stream) => {
        stream.receive({ data() {}, end() {}, broken() {} });
        stream.answer({ status: 200, headers: [], bodyBytes });
        stream.send(Buffer.from(sent));
        stream.end();
      };
      const got = await house.exchange(get("/open/") + get("/robots.txt"));
      assert.ok(got.text.match(/^HTTP\/1\.1 /gm)?.length !== 2, got.text);
      assert.ok(!got.text.includes("User-agent"));
    });
  }

  const odd: readonly (readonly [string, unknown])[] = [
    ["CR and LF in a value", { status: 200, headers: [["x-a", "b\r\nset-cookie: c=d"]] }],
    ["a letter whose low octet is LF", { status: 200, headers: [["x-a", "b\u010ac"]] }],
    ["a blank in a name", { status: 200, headers: [["x a", "b"]] }],
    ["headers as an object", { status: 200, headers: { "x-a": "b" } }],
    ["no status", { headers: [] }],
    ["status 101 unasked", { status: 101, headers: [] }],
    ["status 600", { status: 600, headers: [] }],
    ["a length below 0", { status: 200, headers: [], bodyBytes: -1 }],
    ["a number", 5],
  ];
  for (const [name, answer] of odd) {
    test(`with ${name} are 502`, async () => {
      house.answerWeb = (stream) => {
        stream.receive({ data() {}, end() {}, broken() {} });
        stream.answer(answer);
        stream.end();
      };
      assert.match(await house.raw(get("/open/", last)), /^HTTP\/1\.1 502/);
    });
  }

  const refusals: readonly (readonly [string, string, RegExp])[] = [
    ["slow-down", "/wiki/", /^HTTP\/1\.1 429 [\s\S]*retry-after: 60/],
    ["not-allowed", "/wiki/", /^HTTP\/1\.1 403/],
    ["unreachable", "/wiki/", /^HTTP\/1\.1 502/],
    ["not-published", "/wiki/", /^HTTP\/1\.1 404/],
    ["credentials", "/sync/", /^HTTP\/1\.1 401 [\s\S]*www-authenticate: Basic realm="Postern"/],
    ["session", "/wiki/", /^HTTP\/1\.1 401 [\s\S]*set-cookie: __Host-postern=;/],
    ["enrol", "/wiki/", /^HTTP\/1\.1 403/],
  ];
  for (const [refused, path, expected] of refusals) {
    test(`refusal "${refused}" has its own status`, async () => {
      house.answerWeb = (stream) => {
        stream.receive({ data() {}, end() {}, broken() {} });
        stream.answer({ refused });
        stream.end();
      };
      const got = await house.raw(get(path, `Cookie: ${cookie.cookie}\r\n${last}`));
      assert.match(got, expected);
      if (refused !== "credentials") assert.ok(!/www-authenticate/i.test(got));
    });
  }

  test("a person who must enrol first is led to the pages for it", async () => {
    house.answerWeb = (stream) => {
      stream.receive({ data() {}, end() {}, broken() {} });
      stream.answer({ refused: "enrol" });
      stream.end();
    };
    const navigating = "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    const got = await house.raw(get("/wiki/", `Cookie: ${cookie.cookie}\r\n${navigating}${last}`));
    assert.match(got, /^HTTP\/1\.1 303 [\s\S]*location: \/mail\/\r/);
    assert.doesNotMatch(got, /set-cookie/);
  });

  test("Basic is asked for and taken only where the rule says so", async () => {
    const basic = `Authorization: Basic ${Buffer.from("ana:p:w").toString("base64")}\r\n`;
    assert.match(await house.raw(get("/sync/", last)), /^HTTP\/1\.1 401 [\s\S]*www-authenticate/);
    assert.equal(house.seen.length, 0);
    assert.match(await house.raw(get("/sync/", basic + last)), /^HTTP\/1\.1 200/);
    const crossed = house.seen[0]?.header as WebRequest;
    assert.deepEqual(crossed.basic, { name: "ana", password: "p:w" });
    assert.ok(!crossed.headers.some(([name]) => name === "authorization"));
    const wiki = await house.raw(get("/wiki/", basic + last));
    assert.match(wiki, /^HTTP\/1\.1 401/);
    assert.ok(!/www-authenticate/i.test(wiki));
  });

  test("before the first policy our hosts hear 503, others 421", async () => {
    await using early = await openHouse({ policy: false });
    assert.match(await early.raw(get("/login", last)), /^HTTP\/1\.1 503 [\s\S]*retry-after/);
    const other = `GET /login HTTP/1.1\r\nHost: other.example\r\n\r\n`;
    assert.match(await early.raw(other), /^HTTP\/1\.1 421/);
  });
});

describe("W14 time", () => {
  async function slowHouse(options: HouseOptions = {}) {
    const clock = fakeClock();
    const slow = await openHouse({ clock, ...options });
    const pass = async (ms: number): Promise<void> => {
      for (let at = 0; at < ms; at += 500) await clock.advance(500);
      await settle(10);
    };
    return { slow, pass };
  }

  test("a head that comes octet by octet is cut off with 408", async () => {
    const { slow, pass } = await slowHouse();
    await using _ = slow;
    const client = await dial(slow);
    for (const octet of "GET / HTTP/1.1\r\nX: aaaaaaaaaaaaaaaaa") {
      client.socket.write(octet);
      await pass(500);
    }
    await until(client.ended);
    assert.match(client.text(), /^HTTP\/1\.1 408/);
    assert.equal(client.ended(), true);
  });

  test("a connection without a request is closed after its time, one in use stays", async () => {
    const { slow, pass } = await slowHouse();
    await using _ = slow;
    const idle = await dial(slow);
    const used = await dial(slow);
    for (let at = 0; at < 4; at += 1) {
      used.socket.write(get("/robots.txt"));
      await until(() => (used.text().match(/User-agent/g)?.length ?? 0) > at);
      await pass(10_000);
    }
    await until(idle.ended);
    assert.deepEqual([idle.ended(), used.ended()], [true, false]);
    assert.equal(idle.text(), "");
    used.socket.destroy();
  });

  test("a body below the least rate is 408, and the inside hears of it", async () => {
    const { slow, pass } = await slowHouse({ limits: { answerTimeoutMs: 600_000 } });
    await using _ = slow;
    const broken = Promise.withResolvers<string>();
    slow.answerWeb = (stream) =>
      stream.receive({ data() {}, end() {}, broken: (why) => broken.resolve(why) });
    const client = await dial(slow);
    client.socket.write(`POST /open/ HTTP/1.1\r\n${host}Content-Length: 100000\r\n\r\n`);
    for (let at = 0; at < 35; at += 1) {
      client.socket.write("a");
      await pass(1000);
    }
    await until(client.ended);
    assert.match(client.text(), /^HTTP\/1\.1 408/);
    assert.ok(await broken.promise);
  });

  test("what comes while a connection is being closed does not prolong it", () => {
    const socket = new Duplex({ read() {}, write() {} }) as Socket; // takes nothing, ever
    const now = { tickMs: 0, date: "" };
    const connection = new Http1Connection(
      socket,
      { address: "192.0.2.1", serverName: "" },
      {
        limits: section({ web: {} }, "web", webParameters),
        events: webEvents(silentLog, new Registry()),
        now,
        onRequest: () => assert.fail("no request"),
      },
    );
    socket.emit("data", Buffer.from("no HTTP\r\n\r\n"));
    for (let at = 0; at < 4; at += 1) {
      now.tickMs += 30_000;
      socket.emit("data", Buffer.from("a"));
      connection.sweep();
    }
    assert.ok(socket.destroyed);
  });

  test("a body that takes longer than an answer may is waited for, then the answer", async () => {
    const { slow, pass } = await slowHouse({ limits: { answerTimeoutMs: 60_000 } });
    await using _ = slow;
    slow.answerWeb = (stream) =>
      stream.receive({
        data() {},
        end() {
          stream.answer({ status: 204, headers: [] });
          stream.end();
        },
        broken() {},
      });
    const client = await dial(slow);
    client.socket.write(`POST /open/ HTTP/1.1\r\n${host}${last}Content-Length: 100000\r\n\r\n`);
    for (let at = 0; at < 5; at += 1) {
      await pass(20_000);
      client.socket.write(Buffer.alloc(20_000));
      await sleep(20);
    }
    await until(client.ended);
    assert.match(client.text(), /^HTTP\/1\.1 204/);
  });

  test("an answer that nobody reads ends after the idle time", async () => {
    const { slow, pass } = await slowHouse();
    await using _ = slow;
    const broken = Promise.withResolvers<string>();
    slow.answerWeb = (stream) => {
      stream.receive({ data() {}, end() {}, broken: (why) => broken.resolve(why) });
      stream.answer({ status: 200, headers: [] });
      const chunk = Buffer.alloc(65_536);
      const more = async (): Promise<void> => {
        for (;;) if (!stream.send(chunk)) await stream.drained();
      };
      more().catch(() => {});
    };
    const client = await dial(slow);
    client.socket.pause();
    client.socket.write(get("/open/"));
    await sleep(300);
    await pass(92_000);
    assert.match(await broken.promise, /client went away|reset/);
  });

  test("the inside may take its time, and no longer: 504", async () => {
    const { slow, pass } = await slowHouse({ limits: { answerTimeoutMs: 60_000 } });
    await using _ = slow;
    slow.answerWeb = () => {};
    const client = await dial(slow);
    client.socket.write(get("/open/", last));
    await until(() => slow.seen.length > 0);
    await pass(58_000);
    assert.equal(client.text(), "");
    await pass(4_000);
    await until(client.ended);
    assert.match(client.text(), /^HTTP\/1\.1 504/);
  });

  test("a rule may say how long an answer is waited for (mobile sync): 59 minutes of silence", async () => {
    const { slow, pass } = await slowHouse({ limits: { answerTimeoutMs: 60_000 } });
    await using _ = slow;
    const asked: LinkStream[] = [];
    slow.answerWeb = (stream) => void asked.push(stream);
    const client = await dial(slow);
    const second = await dial(slow);
    for (const one of [client, second]) {
      one.socket.write(`POST /sync/ping HTTP/1.1\r\n${host}Content-Length: 1\r\n\r\na`);
    }
    await until(() => asked.length === 2);
    await pass(3_540_000);
    assert.equal(client.ended(), false);
    asked[0]?.receive({ data() {}, end() {}, broken() {} });
    asked[0]?.answer({ status: 200, headers: [] });
    asked[0]?.send(Buffer.from("news"));
    await until(() => client.text().includes("news"));
    assert.match(client.text(), /^HTTP\/1\.1 200/);
    // A subscription goes on behind its head, and is silent for as long.
    await pass(1_800_000);
    asked[0]?.send(Buffer.from("later"));
    await until(() => client.text().includes("later"));
    assert.match(client.text(), /later/);
    assert.match(second.text(), /^HTTP\/1\.1 504/);
    client.socket.destroy();
    second.socket.destroy();
  });

  test("header floods: too many, too long, and lines without end", async () => {
    const many = Array.from({ length: 100 }, (_, at) => `X-${at}: a\r\n`).join("");
    assert.match(await house.raw(get("/open/", many)), /^HTTP\/1\.1 431/);
    assert.match(await house.raw(`GET /${"a".repeat(70_000)}`), /^HTTP\/1\.1 431/);
    assert.match(await house.raw(get("/open/", `X: ${"a".repeat(20_000)}\r\n`)), /^HTTP\/1\.1 431/);
    assert.equal(house.seen.length, 0);
  });

  test("no more connections of one network than allowed", async () => {
    await using few = await openHouse({ limits: { connectionsPerAddress: 4 } });
    const held = await Promise.all([dial(few), dial(few), dial(few), dial(few)]);
    await assert.rejects(dial(few));
    held[0]?.socket.destroy();
    await sleep(50);
    (await dial(few)).socket.destroy();
    for (const { socket } of held) socket.destroy();
  });
});
