import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { after, describe, test } from "node:test";
import type { WebRequest } from "#contracts/web";
import { fakeClock, settle } from "../../../tests/kit/fake-clock.ts";
import {
  endHeaders,
  endStream,
  type Fields,
  fieldBlock,
  frame,
  frameTypes,
  prefixed,
  RawHttp2,
  setting,
  uint32,
} from "../../../tests/kit/http2-raw.ts";
import { answerPlainly, openHouse } from "./fixture.test.ts";

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

async function dial(settings?: Uint8Array): Promise<RawHttp2> {
  return RawHttp2.connect(house.edge.endpoint.port, "mail.example", settings);
}

/** Whatever an attack did to its own connection, everybody else is served. */
async function stillServes(): Promise<void> {
  const other = await dial();
  other.request(1, get());
  assert.equal(await other.outcome(1), "200");
  other.close();
}

describe("W2 floods end the connection and reach little of the inside", () => {
  const floods: readonly (readonly [string, (client: RawHttp2) => void, RegExp])[] = [
    [
      "settings",
      (client) => {
        for (let at = 0; at < 2000; at += 1) client.send(frame(frameTypes.settings, 0, 0, empty));
      },
      /^(goaway 11|closed)$/,
    ],
    [
      "pings",
      (client) => {
        for (let at = 0; at < 2000; at += 1) {
          client.send(frame(frameTypes.ping, 0, 0, Buffer.alloc(8)));
        }
      },
      /^(goaway 11|closed)$/,
    ],
    [
      "pings, a few at a time",
      (client) => {
        for (let round = 0; round < 20; round += 1) {
          setTimeout(() => {
            for (let at = 0; at < 10; at += 1) {
              client.send(frame(frameTypes.ping, 0, 0, Buffer.alloc(8)));
            }
          }, round * 20);
        }
      },
      /^(goaway 11|closed)$/,
    ],
    [
      "continuations without end",
      (client) => {
        client.request(1, get(), endStream);
        for (let at = 0; at < 5000; at += 1) {
          const block = fieldBlock([[`x-${at}`, "a"]]);
          client.send(frame(frameTypes.continuation, 0, 1, block));
        }
      },
      /^(goaway \d+|closed)$/,
    ],
    [
      "empty continuations",
      (client) => {
        client.request(1, get(), endStream);
        for (let at = 0; at < 5000; at += 1) {
          client.send(frame(frameTypes.continuation, 0, 1, empty));
        }
      },
      /^(goaway \d+|closed)$/,
    ],
    [
      "empty data",
      (client) => {
        client.request(1, post(), endHeaders);
        for (let at = 0; at < 5000; at += 1) client.send(frame(frameTypes.data, 0, 1, empty));
      },
      /^(goaway \d+|closed)$/,
    ],
    [
      "streams that break the rules",
      (client) => {
        for (let at = 0; at < 500; at += 1) {
          client.request(2 * at + 1, get("/open/", [["Upper", "1"]]));
        }
      },
      /^(goaway \d+|closed)$/,
    ],
    [
      "settings that are all different",
      (client) => {
        for (let at = 0; at < 2000; at += 1) {
          client.send(frame(frameTypes.settings, 0, 0, setting(4, 1000 + at)));
        }
      },
      /^(goaway 11|closed)$/,
    ],
  ];
  for (const [name, attack, expected] of floods) {
    test(name, async () => {
      const client = await dial();
      attack(client);
      assert.match(await client.ending(), expected);
      client.close();
      await stillServes();
    });
  }

  test("requests taken back at once (CVE-2023-44487)", async () => {
    house.seen.length = 0;
    const client = await dial();
    for (let at = 0; at < 2000; at += 1) {
      client.request(2 * at + 1, get());
      client.send(frame(frameTypes.rstStream, 0, 2 * at + 1, uint32(8)));
    }
    assert.match(await client.ending(), /^(goaway 11|closed)$/);
    assert.ok(house.seen.length <= 200, `${house.seen.length} crossed`);
    client.close();
    await stillServes();
  });

  test("requests that the server is made to reset (CVE-2025-8671)", async () => {
    house.seen.length = 0;
    const client = await dial();
    for (let at = 0; at < 1000; at += 1) {
      client.request(2 * at + 1, post(), endHeaders);
      client.send(frame(frameTypes.windowUpdate, 0, 2 * at + 1, uint32(0)));
    }
    assert.match(await client.ending(), /^(goaway \d+|closed)$/);
    assert.ok(house.seen.length <= 200, `${house.seen.length} crossed`);
    client.close();
    await stillServes();
  });

  test("answers asked for octet by octet (CVE-2019-9511) hold little and end", async () => {
    const clock = fakeClock();
    await using slow = await openHouse({ clock });
    slow.answerWeb = (stream) => {
      stream.receive({ data() {}, end() {}, broken() {} });
      stream.answer({ status: 200, headers: [] });
      stream.send(Buffer.alloc(200_000));
      stream.end();
    };
    const { port } = slow.edge.endpoint;
    const client = await RawHttp2.connect(port, "mail.example", setting(4, 0));
    for (let at = 0; at < 50; at += 1) client.request(2 * at + 1, get());
    assert.equal(await client.outcome(1), "200");
    // An octet for each stream now and then keeps them in motion, and is not worth a place.
    for (let round = 0; round < 650 && !client.isClosed; round += 1) {
      if (round % 60 === 0) {
        for (let at = 0; at < 50; at += 1) {
          client.send(frame(frameTypes.windowUpdate, 0, 2 * at + 1, uint32(1)));
        }
      }
      await clock.advance(500);
      if (round % 60 === 0) await settle(20);
    }
    const ended = await client.until(({ type }) => type === frameTypes.rstStream, 500);
    assert.ok(ended !== undefined || client.isClosed, "still open after five minutes");
    client.close();
  });

  test("priorities without end (CVE-2019-9513) cost nobody else anything", async () => {
    const client = await dial();
    const startedMs = performance.now();
    for (let round = 0; round < 20; round += 1) {
      const all = Array.from({ length: 1000 }, (_, at) =>
        frame(frameTypes.priority, 0, 2 * at + 1, Buffer.concat([uint32(0), Buffer.of(at & 255)])),
      );
      client.send(Buffer.concat(all));
    }
    await stillServes();
    assert.ok(performance.now() - startedMs < 5000);
    client.close();
  });

  test("heads with empty names (CVE-2019-9516)", async () => {
    house.seen.length = 0;
    const client = await dial();
    const empties = Array.from({ length: 2000 }, () => ["", ""] as const);
    client.request(1, get("/open/", empties));
    // Fields without a name are taken out before anybody keeps them.
    assert.match(await client.outcome(1), /^(200|reset \d+|goaway \d+|4\d\d|closed)$/);
    assert.ok(house.seen.every(({ header }) => (header as WebRequest).headers.length === 0));
    client.close();
    await stillServes();
  });

  test("a connection cut in the middle of a header block (CVE-2024-27983)", async () => {
    for (let round = 0; round < 50; round += 1) {
      const client = await dial();
      client.request(1, get(), endStream);
      client.send(frame(frameTypes.continuation, 0, 1, fieldBlock([["x-a", "b"]])));
      client.socket.destroy();
    }
    await stillServes();
  });

  test("header blocks that cannot be unpacked (CVE-2025-59465)", async () => {
    for (const block of [
      Buffer.alloc(64, 0xff),
      Buffer.alloc(16_000, 0x7f),
      Buffer.of(0x3f, 0xff),
    ]) {
      const client = await dial();
      client.send(frame(frameTypes.headers, endStream | endHeaders, 1, block));
      assert.match(await client.ending(), /^(goaway [1-9]\d*|closed)$/);
      client.close();
    }
    await stillServes();
  });

  test("more requests at once than allowed are refused, those allowed are answered", async () => {
    house.answerWeb = (stream) =>
      void setTimeout(() => answerPlainly(stream, {} as WebRequest), 200);
    const client = await dial();
    for (let at = 0; at < 110; at += 1) client.request(2 * at + 1, get());
    assert.equal(await client.outcome(1), "200");
    assert.match(await client.outcome(2 * 109 + 1), /^(reset 7|goaway 1)$/);
    house.answerWeb = answerPlainly;
    client.close();
  });
});

describe("W2 heads that no honest client sends", () => {
  const refused: readonly (readonly [string, Fields])[] = [
    ["upper case in a name", get("/open/", [["X-A", "b"]])],
    ["connection", get("/open/", [["connection", "close"]])],
    ["keep-alive", get("/open/", [["keep-alive", "timeout=5"]])],
    ["proxy-connection", get("/open/", [["proxy-connection", "keep-alive"]])],
    ["transfer-encoding", post([["transfer-encoding", "chunked"]])],
    ["upgrade", get("/open/", [["upgrade", "websocket"]])],
    ["te: gzip", get("/open/", [["te", "gzip"]])],
    ["no method", get().slice(1)],
    ["no scheme", get().filter(([name]) => name !== ":scheme")],
    ["no path", get().slice(0, 3)],
    ["empty path", get("")],
    ["path twice", get("/open/", [[":path", "/mail/"]])],
    ["method twice", [[":method", "POST"], ...get()]],
    ["pseudo-field behind a field", [["x-a", "b"], ...get()]],
    ["unknown pseudo-field", [[":what", "b"], ...get()]],
    ["pseudo-field of a response", [[":status", "200"], ...get()]],
    ["authority and another host", get("/open/", [["host", "other.example"]])],
    [
      "two hosts",
      get("/open/", [
        ["host", "mail.example"],
        ["host", "mail.example"],
      ]),
    ],
    ["extended CONNECT", [[":method", "CONNECT"], [":protocol", "websocket"], ...get().slice(1)]],
    [
      "CONNECT",
      [
        [":method", "CONNECT"],
        [":authority", "mail.example:443"],
      ],
    ],
    ["CR and LF in the path", get("/open/\r\nx-a: b")],
    ["blank in the path", get("/open/ HTTP/1.1")],
    ["blank in the method", [[":method", "GET /x"], ...get().slice(1)]],
    ["absolute path", get("https://mail.example/open/")],
    ["asterisk", get("*")],
    [
      "another authority",
      [...get().slice(0, 2), [":authority", "other.example"], [":path", "/open/"]],
    ],
    [
      "user in the authority",
      [...get().slice(0, 2), [":authority", "a@mail.example"], [":path", "/open/"]],
    ],
    ["no authority", get().filter(([name]) => name !== ":authority")],
    ["length and END_STREAM", post([["content-length", "5"]])],
    [
      "two lengths",
      post([
        ["content-length", "0"],
        ["content-length", "1"],
      ]),
    ],
    ["signed length", post([["content-length", "+0"]])],
    ["underscore in a name", get("/open/", [["x_forwarded_for", "1.2.3.4"]])],
  ];
  for (const [name, fields] of refused) {
    test(name, async () => {
      house.seen.length = 0;
      const client = await dial();
      client.request(1, fields);
      assert.match(await client.outcome(1), /^(reset \d+|goaway [1-9]\d*|4\d\d|closed)$/);
      assert.equal(house.seen.length, 0, "nothing crossed");
      client.close();
    });
  }

  const dropped: readonly (readonly [string, Fields])[] = [
    ["CR and LF in a value", get("/open/", [["x-a", "b\r\nx-c: d"]])],
    ["LF in a value", get("/open/", [["x-a", "b\nc"]])],
    ["NUL in a value", get("/open/", [["x-a", "b\0c"]])],
    ["colon in a name", get("/open/", [["x:a", "b"]])],
    ["blank in a name", get("/open/", [["x a", "b"]])],
    ["CR and LF in a name", get("/open/", [["x-a\r\nhost", "b"]])],
    ["empty name", get("/open/", [["", "b"]])],
  ];
  for (const [name, fields] of dropped) {
    // nghttp2 takes such a field out before anybody sees it (differs from RFC 9113 §8.2.1).
    test(`${name}: nothing of the field crosses`, async () => {
      house.seen.length = 0;
      const client = await dial();
      client.request(1, fields);
      assert.match(await client.outcome(1), /^(200|reset \d+|goaway [1-9]\d*|4\d\d|closed)$/);
      assert.ok(house.seen.length <= 1);
      for (const { header } of house.seen) {
        assert.deepEqual((header as WebRequest).headers, []);
        assert.equal((header as WebRequest).target, "/open/");
      }
      client.close();
    });
  }

  test("a header list above the limit", async () => {
    const client = await dial();
    const long = Array.from({ length: 40 }, (_, at) => [`x-${at}`, "a".repeat(1000)] as const);
    client.request(1, get("/open/", long.slice(0, 15)));
    for (let at = 0; at < 3; at += 1) {
      const block = fieldBlock([...get("/open/"), ...long.slice(0, 15)]);
      client.send(frame(frameTypes.headers, endStream, 3, block));
      client.send(frame(frameTypes.continuation, endHeaders, 3, fieldBlock(long.slice(15))));
    }
    assert.match(await client.outcome(3), /^(reset \d+|goaway \d+|431|closed)$/);
    client.close();
    await stillServes();
  });

  test("a small block that unfolds to a large list (HPACK bomb)", async () => {
    const client = await dial(setting(1, 4096));
    const big = "a".repeat(3000);
    const name = Buffer.from("x-a");
    const value = Buffer.from(big);
    // Literal with incremental indexing (RFC 7541 §6.2.1), then the same entry by its index.
    const entry = Buffer.concat([
      Buffer.of(0x40),
      ...[prefixed(name.length, 7, 0), name, prefixed(value.length, 7, 0), value],
    ]);
    const again = Buffer.alloc(500, 0x80 | 62);
    const block = Buffer.concat([fieldBlock(get()), entry, again]);
    client.send(frame(frameTypes.headers, endStream | endHeaders, 1, block));
    assert.match(await client.outcome(1), /^(reset \d+|goaway \d+|431|closed)$/);
    client.close();
    await stillServes();
  });

  test("too many fields", async () => {
    const client = await dial();
    const many = Array.from({ length: 300 }, (_, at) => [`x-${at}`, "a"] as const);
    client.request(1, get("/open/", many));
    assert.match(await client.outcome(1), /^(reset \d+|goaway \d+|431|closed)$/);
    client.close();
  });
});
