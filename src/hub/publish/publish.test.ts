import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { createServer, type RequestListener } from "node:http";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { WebResponse } from "#contracts/web";
import { fakeClock } from "../../../tests/kit/fake-clock.ts";
import {
  application,
  type Edge,
  edgeTo,
  handle,
  headersOf,
  portOf,
  publicHandle,
  rawServer,
  statusOf,
} from "./fixture.test.ts";

async function nodeServer(answer: RequestListener) {
  const server = createServer({ keepAliveTimeout: 60_000 }, answer);
  const connections = new Set<Socket>();
  let opened = 0;
  server.on("connection", (socket: Socket) => {
    opened += 1;
    connections.add(socket);
    socket.on("close", () => connections.delete(socket));
  });
  const url = `http://127.0.0.1:${await portOf(server)}`;
  return {
    url,
    server,
    connections,
    opened: () => opened,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      for (const socket of connections) socket.destroy();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

/** Tells what it was asked. */
const echo: RequestListener = (asked, answer) => {
  const parts: Buffer[] = [];
  asked.on("data", (part: Buffer) => parts.push(part));
  asked.on("end", () => {
    const body = Buffer.concat(parts).toString("latin1");
    const { method, url, headers } = asked;
    answer.setHeader("content-type", "application/json");
    answer.end(JSON.stringify({ method, url, headers, body }));
  });
};

function said(answer: { readonly body: Buffer }): {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string;
} {
  return JSON.parse(answer.body.toString()) as ReturnType<typeof said>;
}

describe("a published application", () => {
  test("CAP-21 is asked and answers, on one kept connection", async () => {
    await using server = await nodeServer(echo);
    using edge = edgeTo(application(server.url));
    for (let round = 0; round < 5; round += 1) {
      const got = await edge.ask({ target: `/a/${round}?q=%20` });
      assert.equal(statusOf(got), 200);
      assert.equal(said(got).url, `/a/${round}?q=%20`);
      assert.equal(said(got).headers["host"], "mail.example.org");
    }
    assert.equal(server.opened(), 1);
  });

  test("takes bodies of known and unknown length", async () => {
    await using server = await nodeServer(echo);
    using edge = edgeTo(application(server.url));
    const known = await edge.ask(
      { method: "POST", body: 10 },
      Buffer.from("hello"),
      Buffer.from("world"),
    );
    assert.equal(said(known).body, "helloworld");
    assert.equal(said(known).headers["content-length"], "10");
    const chunked = await edge.ask(
      { method: "PUT", body: "chunked" },
      Buffer.from("a"),
      Buffer.from("b"),
    );
    assert.equal(said(chunked).body, "ab");
    assert.equal(said(chunked).headers["transfer-encoding"], "chunked");
    const empty = await edge.ask({ method: "PUT", body: "chunked" }, Buffer.alloc(0));
    assert.equal(said(empty).body, "");
  });

  test("tells the length it knows: HEAD, 204, 304, chunks (RFC 9112 §6.3)", async () => {
    await using server = await nodeServer((asked, answer) => {
      if (asked.url === "/204") return void answer.writeHead(204).end();
      if (asked.url === "/304") return void answer.writeHead(304, { etag: '"x"' }).end();
      if (asked.url === "/chunks") {
        answer.write("one");
        return void answer.end("two");
      }
      answer.writeHead(200, { "content-length": 3 }).end("abc");
    });
    using edge = edgeTo(application(server.url));
    const lengthOf = async (target: string, method = "GET"): Promise<unknown[]> => {
      const { answer, body } = await edge.ask({ target, method });
      return "refused" in answer ? [] : [answer.status, answer.bodyBytes, body.toString()];
    };
    assert.deepEqual(await lengthOf("/", "HEAD"), [200, 3, ""]);
    assert.deepEqual(await lengthOf("/"), [200, 3, "abc"]);
    assert.deepEqual(await lengthOf("/204"), [204, 0, ""]);
    assert.deepEqual(await lengthOf("/304"), [304, 0, ""]);
    assert.deepEqual(await lengthOf("/chunks"), [200, undefined, "onetwo"]);
    assert.deepEqual(await lengthOf("/chunks", "HEAD"), [200, undefined, ""]);
    assert.equal(server.opened(), 1);
  });

  test("passes events on as they come (server-sent events)", async () => {
    let send: (text: string) => void = assert.fail;
    await using server = await nodeServer((_asked, answer) => {
      answer.writeHead(200, { "content-type": "text/event-stream" });
      send = (text) => void answer.write(text);
      send("data: 0\n\n");
    });
    using edge = edgeTo(application(server.url));
    const stream = edge.open();
    await stream.answered;
    let heard = "";
    let wake = (): void => {};
    stream.receive({
      data(octets) {
        heard += octets.toString();
        wake();
      },
      end: () => assert.fail("ended"),
      broken() {},
    });
    for (let count = 1; count < 5; count += 1) {
      while (!heard.endsWith(`data: ${count - 1}\n\n`))
        await new Promise<void>((done) => (wake = done));
      send(`data: ${count}\n\n`);
    }
    stream.abort("seen enough");
    while (server.connections.size > 0) await pause(10); // the application hears of it
  });

  test("who is gone takes the connection along", async () => {
    await using server = await nodeServer(() => {});
    using edge = edgeTo(application(server.url));
    const stream = edge.open();
    while (server.connections.size === 0) await pause(5);
    stream.abort("client left");
    while (server.connections.size > 0) await pause(5);
  });

  test("answers before the end of a body, and is not asked again there", async () => {
    await using server = await rawServer((socket) => {
      socket.once("data", () => {
        socket.write("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
        socket.on("data", () => {});
      });
    });
    using edge = edgeTo(application(server.url));
    const pieces = Array.from({ length: 20 }, () => Buffer.alloc(50_000));
    const got = await edge.ask({ method: "POST", body: 1_000_000 }, ...pieces);
    assert.deepEqual([statusOf(got), got.body.toString()], [413, "big"]);
    while (server.sockets.size > 0) await pause(5);
  });

  test("bounds its connections; what waits gets its turn", async () => {
    let open = 0;
    let most = 0;
    await using server = await nodeServer((_asked, answer) => {
      open += 1;
      most = Math.max(most, open);
      setTimeout(() => {
        open -= 1;
        answer.end("ok");
      }, 5);
    });
    using edge = edgeTo(application(server.url, { maxConnections: 4 }));
    const all = await Promise.all(Array.from({ length: 60 }, () => edge.ask()));
    assert.ok(all.every((one) => statusOf(one) === 200));
    assert.ok(most <= 4 && server.opened() <= 4, `${most} at once, ${server.opened()} opened`);
  });

  test("lets go of what is unused", async () => {
    await using server = await nodeServer(echo);
    using edge = edgeTo(application(server.url, { idleTimeoutMs: 1000 }));
    await edge.ask();
    assert.equal(server.connections.size, 1);
    while (server.connections.size > 0) await pause(50);
  });

  test("asks once more where a kept connection turns out to be closed", async () => {
    // Each connection answers once, then closes upon the next request without a word.
    await using server = await rawServer((socket) => {
      let count = 0;
      socket.on("data", () => {
        count += 1;
        if (count > 1) socket.destroy();
        else socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      });
    });
    using edge = edgeTo(application(server.url));
    for (let round = 0; round < 3; round += 1) assert.equal(statusOf(await edge.ask()), 200);
    // What changes something is never sent twice.
    assert.equal(statusOf(await edge.ask({ method: "POST" })), "unreachable");
    assert.equal(statusOf(await edge.ask({ method: "POST" })), 200);
    const put = () => edge.ask({ method: "PUT", body: 1 }, Buffer.from("x"));
    assert.equal(statusOf(await put()), "unreachable");
    assert.equal(statusOf(await put()), 200);
  });

  test("is unreachable when nobody answers, and the edge learns no address", async () => {
    using edge = edgeTo(application("http://127.0.0.1:1"));
    const { answer } = await edge.ask();
    assert.deepEqual(answer, { refused: "unreachable", why: "no-connection" });
    assert.match(edge.log.join(), /publish\.failed.*127\.0\.0\.1/);
  });

  test("is unreachable when its answer does not begin in time", async () => {
    await using server = await rawServer((socket) => void socket.on("data", () => {}));
    using edge = edgeTo(application(server.url, { answerTimeoutMs: 1000 }));
    assert.deepEqual((await edge.ask()).answer, { refused: "unreachable", why: "too-late" });
  });

  test("is waited for as long as a rule says (mobile sync)", async () => {
    const clock = fakeClock();
    let answer = (): void => {};
    await using server = await nodeServer((asked, answering) => {
      if (asked.url === "/sync") answer = () => void answering.end("news");
    });
    const rules = [{ path: "/sync", answerTimeoutMs: 3_600_000 }, {}];
    using edge = edgeTo(application(server.url, {}, rules), { clock });
    const pass = async (ms: number): Promise<void> => {
      await pause(100); // requests are on their way
      for (let at = 0; at < ms; at += 10_000) await clock.advance(10_000);
    };
    const [news, other] = [edge.ask({ target: "/sync" }), edge.ask({ target: "/other" })];
    await pass(59 * 60_000);
    assert.deepEqual((await other).answer, { refused: "unreachable", why: "too-late" });
    answer();
    assert.equal((await news).body.toString(), "news");
    const late = edge.ask({ target: "/sync" });
    await pass(61 * 60_000);
    assert.deepEqual((await late).answer, { refused: "unreachable", why: "too-late" });
  });
});

describe("who may ask", () => {
  const refusals: readonly (readonly [string, Parameters<Edge["ask"]>[0], string])[] = [
    ["nobody", { session: "unknown-0123456789abcdef" }, "session"],
    ["another application", { application: "other" }, "not-published"],
    ["another host", { host: "evil.example" }, "not-published"],
    ["a method that is not listed", { method: "DELETE" }, "not-published"],
    ["a path with dots", { target: "/a/%2e%2e/b" }, "not-published"],
    [
      "anonymous where the rule wants a session",
      { session: "x".repeat(20), anonymous: true },
      "session",
    ],
  ];
  for (const [name, asked, refused] of refusals) {
    test(`G4 an edge that is taken over gets nothing for ${name}`, async () => {
      await using server = await nodeServer(() => assert.fail("reached the application"));
      using edge = edgeTo(application(server.url));
      assert.equal(statusOf(await edge.ask(asked)), refused);
    });
  }

  test("who must enrol a second factor first is led there, and not to the login again", async () => {
    await using server = await nodeServer(() => assert.fail("reached the application"));
    const session = { account: "ana", publicComputer: false } as never;
    const sessions = {
      touch: () => undefined,
      peek: (asked: string, also?: "enrolling") =>
        asked === handle && also === "enrolling" ? session : undefined,
      signOn: () => undefined,
      revocations: () => 0,
    };
    using edge = edgeTo(application(server.url), { sessions });
    assert.equal(statusOf(await edge.ask()), "enrol");
    assert.equal(statusOf(await edge.ask({ session: "x".repeat(20) })), "session");
  });

  test("W7 a redirect to the application's own name stays on the published host", async () => {
    await using server = await nodeServer((asked, answer) => {
      answer.writeHead(302, { location: `http://${asked.headers.host}/next` }).end();
    });
    using edge = edgeTo(application(server.url, { hostHeader: "upstream" }));
    assert.equal(new Map(headersOf(await edge.ask())).get("location"), "/next");
  });

  test("a session is prolonged by people, not by what a page asks by itself", async () => {
    await using server = await nodeServer(echo);
    using edge = edgeTo(application(server.url));
    await edge.ask();
    await edge.ask({ target: "/poll?background=1" });
    assert.deepEqual(edge.touched, ["touch", "peek"]);
    edge.ended.add(handle);
    assert.equal(statusOf(await edge.ask()), "session");
  });

  test("programs sign in by Basic where the rule says so", async () => {
    await using server = await nodeServer(echo);
    using edge = edgeTo(application(server.url, { signOn: "basic" }, [{ login: "basic" }]));
    const basic = (password: string) => ({ basic: { name: "ana@example.org", password } });
    const got = await edge.ask({ ...basic("right"), method: "POST", body: 2 }, Buffer.from("hi"));
    assert.equal(said(got).body, "hi");
    assert.equal(said(got).headers["authorization"], `Basic ${btoa("ana@example.org:right")}`);
    assert.equal(statusOf(await edge.ask(basic("wrong"))), "credentials");
    assert.equal(statusOf(await edge.ask(basic("slow"))), "slow-down");
    assert.equal(statusOf(await edge.ask()), "credentials"); // a session does not stand for it
  });

  test("W8 what a program has open ends when all sessions of the person are ended", async () => {
    await using server = await nodeServer((_asked, answer) => {
      answer.write("news without end");
    });
    using edge = edgeTo(application(server.url, {}, [{ login: "basic" }]));
    const stream = edge.open({ basic: { name: "ana@example.org", password: "right" } });
    const over = new Promise((broken) =>
      stream.receive({ data() {}, end() {}, broken: () => broken(true) }),
    );
    await stream.answered;
    edge.ended.add(handle);
    assert.equal(await over, true);
  });

  test("W8 what a program has open ends when its app password is removed", async () => {
    await using server = await nodeServer((_asked, answer) => {
      answer.write("news without end");
    });
    const kept = new Set(["phone"]);
    const person = { id: "ana", address: "ana@example.org", displayName: "Ana" };
    using edge = edgeTo(application(server.url, {}, [{ login: "basic" }]), {
      basic: async () => ({ ok: true, person, appPassword: "phone" }),
      hasAppPassword: (_account, id) => kept.has(id),
    });
    const stream = edge.open({ basic: { name: "ana@example.org", password: "right" } });
    const over = new Promise((broken) =>
      stream.receive({ data() {}, end() {}, broken: () => broken(true) }),
    );
    await stream.answered;
    kept.delete("phone");
    assert.equal(await over, true);
  });

  test("an open rule asks for nobody", async () => {
    await using server = await nodeServer(echo);
    using edge = edgeTo(application(server.url, { signOn: "basic" }, [{ login: "none" }]));
    const got = await edge.ask({ headers: [["authorization", "Bearer own"]] });
    assert.equal(said(got).headers["authorization"], "Bearer own");
    assert.deepEqual(edge.touched, []);
  });

  test("without a kept password nobody is signed on by Basic", async () => {
    await using server = await nodeServer(() => assert.fail("reached the application"));
    const sessions = {
      touch: () => ({ account: "ana", publicComputer: false }) as never,
      peek: () => undefined,
      signOn: () => ({ name: "ana@example.org" }),
      revocations: () => 0,
    };
    using edge = edgeTo(application(server.url, { signOn: "basic" }), { sessions });
    assert.equal(statusOf(await edge.ask()), "not-allowed");
  });

  test("CAP-24 a public computer keeps nothing, and downloads only where they are allowed", async () => {
    await using server = await nodeServer((_asked, answer) => {
      answer.setHeader("content-disposition", 'attachment; filename="x"');
      answer.setHeader("cache-control", "max-age=600");
      answer.end("secret");
    });
    using lax = edgeTo(application(server.url));
    const open = await lax.ask({ session: publicHandle });
    assert.equal(new Map(headersOf(open)).get("cache-control"), "no-store");
    assert.equal(open.body.toString(), "secret");
    using strict = edgeTo(application(server.url, { publicDownloads: false }));
    const closed = await strict.ask({ session: publicHandle });
    assert.deepEqual([statusOf(closed), closed.body.length], ["not-allowed", 0]);
    assert.equal(statusOf(await strict.ask()), 200);
  });
});

/** Accepts, then sends back what frames hold: one short text or binary frame at a time. */
function webSocketServer(socket: Socket, early = ""): void {
  let head = "";
  const hear = (octets: Buffer): void => {
    head += octets.toString("latin1");
    const key = /sec-websocket-key: (\S+)/.exec(head)?.[1];
    if (!head.endsWith("\r\n\r\n") || key === undefined) return;
    socket.off("data", hear);
    const accept = createHash("sha1")
      .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Accept: ${accept}\r\n\r\n${early}`,
      "latin1",
    );
    socket.on("data", (frame: Buffer) => {
      const length = (frame[1] ?? 0) & 0x7f;
      const payload = frame
        .subarray(6, 6 + length)
        .map((octet, at) => octet ^ (frame[2 + (at & 3)] ?? 0));
      socket.write(Buffer.concat([Buffer.of(0x81, length), payload]));
    });
    socket.on("end", () => socket.end());
  };
  socket.on("data", hear);
}

const webSocketHeaders = [
  ["sec-websocket-version", "13"],
  ["sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="],
] as const;

describe("WebSocket", () => {
  const upgrade = { upgrade: "websocket", headers: webSocketHeaders } as const;

  test("W13 raw octets go both ways after 101 (RFC 6455 §4)", async () => {
    await using server = await rawServer((socket) => webSocketServer(socket, "\x81\x02hi"));
    using edge = edgeTo(application(server.url));
    const stream = edge.open(upgrade, false);
    const answer = (await stream.answered) as Extract<WebResponse, { status: number }>;
    assert.equal(answer.status, 101);
    const accept = new Map(answer.headers).get("sec-websocket-accept");
    assert.equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    const heard: Buffer[] = [];
    const over = Promise.withResolvers<void>();
    stream.receive({
      data: (octets) => void heard.push(octets),
      end: () => over.resolve(),
      broken: (why) => over.reject(new Error(why)),
    });
    const mask = [1, 2, 3, 4];
    const payload = Buffer.from("hello").map((octet, at) => octet ^ (mask[at & 3] ?? 0));
    stream.send(Buffer.concat([Buffer.of(0x81, 0x85, ...mask), payload]));
    const wanted = "\x81\x02hi\x81\x05hello";
    while (Buffer.concat(heard).toString("latin1") !== wanted) await pause(5);
    stream.end();
    await over.promise;
  });

  test("W13 the session's end ends it", async () => {
    await using server = await rawServer((socket) => webSocketServer(socket));
    using edge = edgeTo(application(server.url));
    const stream = edge.open(upgrade, false);
    await stream.answered;
    const broken = Promise.withResolvers<string>();
    stream.receive({ data() {}, end: () => broken.resolve("end"), broken: broken.resolve });
    edge.ended.add(handle);
    assert.match(await broken.promise, /cut-off/);
  });

  test("W13 nothing is said before 101, and a refusal is an answer like any other", async () => {
    let heard = 0;
    await using server = await rawServer((socket) => {
      socket.on("data", (octets: Buffer) => {
        heard += octets.length;
        if (heard > 400) return;
        socket.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
      });
    });
    using edge = edgeTo(application(server.url));
    const refused = await edge.ask(upgrade);
    assert.deepEqual([statusOf(refused), refused.body.toString()], [403, "no"]);
    const stream = edge.open(upgrade, false);
    stream.send(Buffer.from("GET /smuggled HTTP/1.1\r\n\r\n"));
    await assert.rejects(stream.answered);
  });

  test("W13 an application cannot switch where nobody asked, or to something else", async () => {
    for (const to of ["websocket", "h2c"]) {
      await using server = await rawServer((socket) => {
        socket.write(`HTTP/1.1 101 X\r\nUpgrade: ${to}\r\nConnection: upgrade\r\n\r\n`);
      });
      using edge = edgeTo(application(server.url));
      assert.equal(statusOf(await edge.ask(to === "h2c" ? upgrade : {})), "unreachable");
    }
  });
});
