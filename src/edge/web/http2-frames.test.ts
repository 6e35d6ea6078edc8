import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { after, describe, test } from "node:test";
import type { LinkStream } from "#contracts/link";
import type { WebRequest } from "#contracts/web";
import { fakeClock, settle } from "../../../tests/kit/fake-clock.ts";
import {
  acknowledges,
  endHeaders,
  endStream,
  type Fields,
  frame,
  frameTypes,
  RawHttp2,
  setting,
  uint32,
} from "../../../tests/kit/http2-raw.ts";
import { cookie, type House, openHouse, own } from "./fixture.test.ts";

const house = await openHouse();
after(() => house[Symbol.asyncDispose]());

const empty = Buffer.alloc(0);
const get = (path = "/open/", more: Fields = []): Fields => [
  [":method", "GET"],
  [":scheme", "https"],
  [":authority", "mail.example"],
  [":path", path],
  ...more,
];
const post = (more: Fields = []): Fields => [
  [":method", "POST"],
  [":scheme", "https"],
  [":authority", "mail.example"],
  [":path", "/open/"],
  ...more,
];

async function dial(settings?: Uint8Array, of: House = house): Promise<RawHttp2> {
  return RawHttp2.connect(of.edge.endpoint.port, "mail.example", settings);
}

const calm = 11;

describe("W2 frames out of place", () => {
  const cases: readonly (readonly [string, (client: RawHttp2) => void])[] = [
    ["data on an idle stream", (one) => one.send(frame(frameTypes.data, 0, 1, Buffer.alloc(4)))],
    ["headers on an even stream", (one) => one.request(2, get())],
    [
      "a window above 2^31-1",
      (one) => one.send(frame(frameTypes.windowUpdate, 0, 0, uint32(0x7fffffff))),
    ],
    ["a window update of 0", (one) => one.send(frame(frameTypes.windowUpdate, 0, 0, uint32(0)))],
    ["a frame above 16384", (one) => one.send(frame(frameTypes.data, 0, 1, Buffer.alloc(16_385)))],
    ["a ping of 7 octets", (one) => one.send(frame(frameTypes.ping, 0, 0, Buffer.alloc(7)))],
    ["settings on a stream", (one) => one.send(frame(frameTypes.settings, 0, 1, empty))],
    [
      "settings acknowledged with a payload",
      (one) => one.send(frame(frameTypes.settings, acknowledges, 0, setting(4, 1))),
    ],
    [
      "a window setting above 2^31-1",
      (one) => one.send(frame(frameTypes.settings, 0, 0, setting(4, 0x80000000))),
    ],
    [
      "a push from the client",
      (one) => one.send(frame(frameTypes.pushPromise, endHeaders, 1, uint32(2))),
    ],
    [
      "a continuation of nothing",
      (one) => one.send(frame(frameTypes.continuation, endHeaders, 1, empty)),
    ],
    [
      "another frame inside a header block",
      (one) => {
        one.request(1, get(), endStream);
        one.send(frame(frameTypes.ping, 0, 0, Buffer.alloc(8)));
      },
    ],
    [
      "broken header compression",
      (one) =>
        one.send(frame(frameTypes.headers, endStream | endHeaders, 1, Buffer.alloc(8, 0xff))),
    ],
    [
      "padding longer than the frame",
      (one) => one.send(frame(frameTypes.data, 8, 1, Buffer.of(200, 1))),
    ],
  ];
  for (const [name, attack] of cases) {
    test(name, async () => {
      const client = await dial();
      attack(client);
      assert.match(await client.ending(), /^(goaway [1-9]\d*|closed)$/);
      client.close();
    });
  }

  test("a stream number that was passed by is never answered (RFC 9113 §5.1.1)", async () => {
    house.seen.length = 0;
    const client = await dial();
    client.request(5, get());
    client.request(3, get());
    assert.equal(await client.outcome(5), "200");
    client.send(frame(frameTypes.ping, 0, 0, Buffer.alloc(8)));
    await client.until(({ type }) => type === frameTypes.ping || type === frameTypes.goaway);
    assert.ok(!client.frames.some(({ stream }) => stream === 3));
    assert.equal(house.seen.length, 1);
    client.close();
  });

  test("no preface, but a request of HTTP/1.1", async () => {
    const client = await RawHttp2.connect(house.edge.endpoint.port, "mail.example", undefined);
    client.socket.write("GET /open/ HTTP/1.1\r\nHost: mail.example\r\n\r\n");
    assert.match(await client.ending(), /^(goaway \d+|closed)$/);
    client.close();
  });

  test("a body longer or shorter than its length says", async () => {
    const client = await dial();
    client.request(1, post([["content-length", "3"]]), endHeaders);
    client.send(frame(frameTypes.data, endStream, 1, Buffer.from("four")));
    assert.match(await client.outcome(1), /^(reset 1|goaway \d+)$/);
    client.close();
    const other = await dial();
    other.request(1, post([["content-length", "5"]]), endHeaders);
    other.send(frame(frameTypes.data, endStream, 1, Buffer.from("four")));
    assert.match(await other.outcome(1), /^(reset 1|goaway \d+)$/);
    other.close();
  });
});

describe("W2 W14 time on HTTP/2", () => {
  test("who asks and reads nothing loses its streams; who is idle, its connection", async () => {
    const clock = fakeClock();
    await using slow = await openHouse({ clock });
    slow.answerWeb = (stream) => {
      stream.receive({ data() {}, end() {}, broken() {} });
      stream.answer({ status: 200, headers: [] });
      stream.send(Buffer.alloc(100_000));
      stream.end();
    };
    const client = await dial(setting(4, 0), slow); // no window: nothing can be sent
    for (let at = 0; at < 20; at += 1) client.request(2 * at + 1, get());
    assert.equal(await client.outcome(1), "200");
    for (let at = 0; at < 200; at += 1) await clock.advance(500);
    const reset = await client.until(({ type }) => type === frameTypes.rstStream);
    assert.equal(reset?.payload.readUInt32BE(0), calm);
    for (let at = 0; at < 80; at += 1) await clock.advance(500);
    await settle(20);
    assert.notEqual(await client.ending(), "open");
    client.close();
  });

  test("a rule may say how long an answer is waited for (mobile sync)", async () => {
    const clock = fakeClock();
    await using slow = await openHouse({ clock });
    const asked: LinkStream[] = [];
    slow.answerWeb = (stream) => void asked.push(stream);
    const client = await dial(undefined, slow);
    const ping: Fields = [...post().slice(0, 3), [":path", "/sync/ping"]];
    client.request(1, ping);
    client.request(3, post());
    await settle(50);
    for (let at = 0; at < 7080; at += 1) await clock.advance(500);
    assert.equal(await client.outcome(3), "504", "other rules wait no longer than before");
    asked[0]?.receive({ data() {}, end() {}, broken() {} });
    asked[0]?.answer({ status: 200, headers: [] });
    assert.equal(await client.outcome(1), "200");
    client.close();
  });

  test("a head that never ends, and a body of one octet a second", async () => {
    const clock = fakeClock();
    await using slow = await openHouse({ clock, limits: { answerTimeoutMs: 600_000 } });
    slow.answerWeb = (stream) => stream.receive({ data() {}, end() {}, broken() {} });
    const client = await dial(undefined, slow);
    client.request(1, get(), endStream);
    for (let at = 0; at < 80; at += 1) await clock.advance(500);
    assert.notEqual(await client.ending(), "open");
    client.close();
    const other = await dial(undefined, slow);
    other.request(1, post([["content-length", "100000"]]), endHeaders);
    await settle(20);
    for (let at = 0; at < 70; at += 1) {
      other.send(frame(frameTypes.data, 0, 1, Buffer.of(1)));
      await clock.advance(500);
    }
    assert.match(await other.outcome(1), /^reset 8$/);
    other.close();
  });
});

describe("HTTP/2 in peace", () => {
  test("cookies in pieces are one field (RFC 9113 §8.2.3)", async () => {
    house.seen.length = 0;
    const client = await dial();
    const crumbs: Fields = [
      ["cookie", "a=1"],
      ["cookie", cookie.cookie],
      ["cookie", "b=2"],
    ];
    client.request(1, get("/wiki/", [...crumbs, ["accept", "*/*"]]));
    assert.equal(await client.outcome(1), "200");
    const crossed = house.seen[0]?.header as WebRequest;
    assert.deepEqual(crossed.headers, [
      ["accept", "*/*"],
      ["cookie", "a=1; b=2"],
    ]);
    client.close();
  });

  test("a body without a length goes to applications and not to our own pages", async () => {
    house.seen.length = 0;
    const client = await dial();
    client.request(1, post(), endHeaders);
    client.send(frame(frameTypes.data, endStream, 1, Buffer.from("body")));
    assert.equal(await client.outcome(1), "200");
    assert.equal((house.seen[0]?.header as WebRequest | undefined)?.body, "chunked");
    const headers = Object.entries({ ...cookie, ...own, "content-type": "application/json" });
    const upload: Fields = [...post().slice(0, 3), [":path", "/jmap/upload/a"], ...headers];
    client.request(3, upload, endHeaders);
    client.send(frame(frameTypes.data, endStream, 3, Buffer.from("body")));
    assert.equal(await client.outcome(3), "411");
    client.close();
  });

  test("te: trailers and priorities are allowed", async () => {
    const client = await dial();
    client.send(frame(frameTypes.priority, 0, 1, Buffer.alloc(5, 0).fill(3, 3, 4)));
    client.request(1, get("/open/", [["te", "trailers"]]));
    assert.equal(await client.outcome(1), "200");
    client.close();
  });
});
