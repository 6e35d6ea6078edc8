/**
 * RFC 9113, rule by rule, of streams: what a broken frame must lead to. Each case has a connection of
 * its own; the codes are those that the RFC names, and closing at once is always allowed (§5.4.1).
 */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { after, describe, test } from "node:test";
import {
  acknowledges,
  endHeaders,
  endStream,
  type Fields,
  fieldBlock,
  frame,
  frameTypes as is,
  RawHttp2,
  setting,
  uint32,
} from "../../../tests/kit/http2-raw.ts";
import { answerPlainly, openHouse } from "./fixture.test.ts";

const house = await openHouse();
after(() => house[Symbol.asyncDispose]());

const [protocol, internal, flow, closedStream, size, refusedStream] = [1, 2, 3, 5, 6, 7];
const whole = endStream | endHeaders;
const [padded, prioritised] = [8, 32];
const ask = (method: string, more: Fields = []): Fields => [
  [":method", method],
  [":scheme", "https"],
  [":authority", "mail.example"],
  [":path", "/open/"],
  ...more,
];
const head = fieldBlock(ask("GET"));

/** Section, what is done, by which frames, and the codes of RST_STREAM or GOAWAY that may follow. */
type Case = readonly [string, string, (client: RawHttp2) => void, readonly number[]];

/** The same of one stream: a reset with one of the codes, a refusal, or the end of the connection. */
const ofAStream: readonly Case[] = [
  [
    "5.1",
    "half-closed: DATA",
    (one) => {
      one.request(1, ask("GET"));
      one.send(frame(is.data, endStream, 1, Buffer.from("x")));
    },
    [closedStream],
  ],
  [
    "5.1",
    "half-closed: HEADERS",
    (one) => {
      one.request(1, ask("GET"));
      one.request(1, ask("GET"));
    },
    [closedStream],
  ],
  [
    "5.3.1",
    "a stream that depends on itself",
    (one) =>
      one.send(
        frame(is.headers, whole | prioritised, 1, Buffer.concat([uint32(1), Buffer.of(255), head])),
      ),
    [protocol],
  ],
  [
    "6.3",
    "PRIORITY of 4 octets",
    (one) => {
      one.request(1, ask("POST"), endHeaders);
      one.send(frame(is.priority, 0, 1, Buffer.alloc(4)));
    },
    [size],
  ],
  [
    "6.9",
    "WINDOW_UPDATE of 0",
    (one) => {
      one.request(1, ask("POST"), endHeaders);
      one.send(frame(is.windowUpdate, 0, 1, uint32(0)));
    },
    [protocol],
  ],
  [
    "6.9.1",
    "a stream's window above 2^31-1",
    (one) => {
      one.request(1, ask("POST"), endHeaders);
      one.send(frame(is.windowUpdate, 0, 1, uint32(0x7fffffff)));
    },
    [flow],
  ],
  [
    "8.1",
    "a second head without the end",
    (one) => {
      one.request(1, ask("POST"), endHeaders);
      one.request(1, [["x-a", "b"]], endHeaders);
    },
    [protocol],
  ],
  [
    "8.1",
    "a pseudo-field in trailers",
    (one) => {
      one.request(1, ask("POST"), endHeaders);
      one.request(1, [[":method", "GET"]]);
    },
    [protocol],
  ],
  [
    "8.1.1",
    "a body that is not as long as it says",
    (one) => {
      one.request(1, ask("POST", [["content-length", "1"]]), endHeaders);
      one.send(frame(is.data, endStream, 1, Buffer.from("ab")));
    },
    [protocol, internal],
  ],
  ["8.2.1", "a capital in a name", (one) => one.request(1, ask("GET", [["X-A", "b"]])), [protocol]],
  [
    "8.2.2",
    "a field of a connection",
    (one) => one.request(1, ask("GET", [["connection", "keep-alive"]])),
    [protocol],
  ],
  [
    "8.2.2",
    "TE of anything but trailers",
    (one) => one.request(1, ask("GET", [["te", "trailers, deflate"]])),
    [protocol],
  ],
  [
    "8.3",
    "an unknown pseudo-field",
    (one) => one.request(1, [...ask("GET"), [":test", "x"]]),
    [protocol],
  ],
  [
    "8.3",
    "a pseudo-field behind a field",
    (one) => one.request(1, [["x-a", "b"], ...ask("GET")]),
    [protocol],
  ],
  [
    "8.3.1",
    ":path empty",
    (one) => one.request(1, [...ask("GET").slice(0, 3), [":path", ""]]),
    [protocol],
  ],
  ["8.3.1", ":method missing", (one) => one.request(1, ask("GET").slice(1)), [protocol]],
  ["8.3.1", ":path twice", (one) => one.request(1, [[":path", "/"], ...ask("GET")]), [protocol]],
];

describe("W2 RFC 9113 stream errors", () => {
  for (const [section, name, attack, codes] of ofAStream) {
    test(`§${section} ${name}`, async () => {
      // No answer may come before the reset.
      house.answerWeb = (stream) => stream.receive({ data() {}, end() {}, broken() {} });
      const client = await RawHttp2.connect(house.edge.endpoint.port, "mail.example");
      attack(client);
      const outcome = await client.outcome(1);
      const all = [...codes, refusedStream].join("|");
      assert.match(outcome, new RegExp(`^(closed|400|(reset|goaway) (${all}))$`));
      client.close();
    });
  }
});

describe("W2 RFC 9113 what must be taken", () => {
  const taken: readonly (readonly [string, string, (client: RawHttp2) => void])[] = [
    [
      "4.1",
      "frames of unknown kinds",
      (one) => {
        one.send(frame(0x4f, 0xff, 0, Buffer.alloc(8)));
        one.request(1, ask("GET"));
      },
    ],
    ["4.1", "flags without a meaning", (one) => one.request(1, ask("GET"), whole | 0x80)],
    [
      "5.1",
      "PRIORITY of an idle stream",
      (one) => {
        one.send(frame(is.priority, 0, 7, Buffer.alloc(5)));
        one.request(1, ask("GET"));
      },
    ],
    [
      "6.2",
      "HEADERS with padding and a priority",
      (one) =>
        one.send(
          frame(
            is.headers,
            whole | padded | prioritised,
            1,
            Buffer.concat([Buffer.of(4), uint32(0), Buffer.of(15), head, Buffer.alloc(4)]),
          ),
        ),
    ],
    [
      "6.5.2",
      "settings without a meaning",
      (one) => {
        one.send(frame(is.settings, 0, 0, setting(0x7f, 9)));
        one.request(1, ask("GET"));
      },
    ],
    [
      "6.10",
      "a head in pieces",
      (one) => {
        one.send(
          frame(is.headers, endStream, 1, head.subarray(0, 9)),
          frame(is.continuation, 0, 1, head.subarray(9, 12)),
          frame(is.continuation, endHeaders, 1, head.subarray(12)),
        );
      },
    ],
    [
      "8.1",
      "a body with trailers",
      (one) => {
        one.request(1, ask("POST"), endHeaders);
        one.send(frame(is.data, 0, 1, Buffer.from("x")));
        one.request(1, [["x-sum", "1"]]);
      },
    ],
    [
      "6.9.2",
      "a window that is opened later",
      (one) => {
        one.send(frame(is.settings, 0, 0, setting(4, 0)));
        one.request(1, ask("GET"));
        one.send(frame(is.windowUpdate, 0, 1, uint32(100)));
      },
    ],
  ];
  for (const [section, name, act] of taken) {
    test(`§${section} ${name}`, async () => {
      house.answerWeb = answerPlainly;
      const client = await RawHttp2.connect(house.edge.endpoint.port, "mail.example");
      act(client);
      assert.equal(await client.outcome(1), "200");
      client.close();
    });
  }

  test("§6.7 a PING is answered with its octets", async () => {
    const client = await RawHttp2.connect(house.edge.endpoint.port, "mail.example");
    const octets = Buffer.from("postern!");
    client.send(frame(is.ping, 0, 0, octets));
    const pong = await client.until(({ type }) => type === is.ping);
    assert.deepEqual([pong?.flags, pong?.payload], [acknowledges, octets]);
    client.close();
  });

  test("§6.7 an answer to no PING is not answered", async () => {
    const client = await RawHttp2.connect(house.edge.endpoint.port, "mail.example");
    client.send(frame(is.ping, acknowledges, 0, Buffer.alloc(8)));
    assert.equal(await client.until(({ type }) => type === is.ping, 200), undefined);
    client.close();
  });

  // Differs from RFC 9113 §6.3: nghttp2 looks at no priority, not even at its stream.
  test("§6.3 PRIORITY on stream 0 is left alone", async () => {
    const client = await RawHttp2.connect(house.edge.endpoint.port, "mail.example");
    client.send(frame(is.priority, 0, 0, Buffer.alloc(5)));
    client.request(1, ask("GET"));
    assert.equal(await client.outcome(1), "200");
    client.close();
  });
});
