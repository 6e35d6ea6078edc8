/**
 * RFC 9113 and RFC 7541, rule by rule: what a broken frame must lead to. Each case has a connection of
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
import { openHouse } from "./fixture.test.ts";

const house = await openHouse();
after(() => house[Symbol.asyncDispose]());

const [protocol, flow, closedStream, size, compression] = [1, 3, 5, 6, 9];
const whole = endStream | endHeaders;
const padded = 8;
const empty = Buffer.alloc(0);
const ask = (method: string, more: Fields = []): Fields => [
  [":method", method],
  [":scheme", "https"],
  [":authority", "mail.example"],
  [":path", "/open/"],
  ...more,
];
const head = fieldBlock(ask("GET"));

/** Section, what is done, by which frames, and the codes of GOAWAY that may follow. */
type Case = readonly [string, string, (client: RawHttp2) => void, readonly number[]];

const ofTheConnection: readonly Case[] = [
  [
    "4.2",
    "DATA above the largest frame",
    (one) => one.send(frame(is.data, 0, 1, Buffer.alloc(16_385))),
    [size, protocol],
  ],
  [
    "4.2",
    "HEADERS above the largest frame",
    (one) => one.send(frame(is.headers, whole, 1, Buffer.alloc(16_385))),
    [size],
  ],
  [
    "4.3",
    "a header block that cannot be unpacked",
    (one) => one.send(frame(is.headers, whole, 1, Buffer.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff))),
    [compression],
  ],
  [
    "4.3",
    "PRIORITY inside a header block",
    (one) => {
      one.request(1, ask("GET"), endStream);
      one.send(frame(is.priority, 0, 1, Buffer.alloc(5)));
    },
    [protocol],
  ],
  [
    "4.3",
    "HEADERS of another stream inside a header block",
    (one) => {
      one.request(1, ask("GET"), endStream);
      one.request(3, ask("GET"));
    },
    [protocol],
  ],
  [
    "4.3",
    "an unknown frame inside a header block",
    (one) => {
      one.request(1, ask("GET"), endStream);
      one.send(frame(0x4f, 0, 1, empty));
    },
    [protocol],
  ],
  [
    "5.1",
    "idle: DATA",
    (one) => one.send(frame(is.data, endStream, 1, Buffer.from("x"))),
    [protocol, closedStream],
  ],
  ["5.1", "idle: RST_STREAM", (one) => one.send(frame(is.rstStream, 0, 1, uint32(8))), [protocol]],
  [
    "5.1",
    "idle: WINDOW_UPDATE",
    (one) => one.send(frame(is.windowUpdate, 0, 1, uint32(100))),
    [protocol],
  ],
  [
    "5.1",
    "idle: CONTINUATION",
    (one) => one.send(frame(is.continuation, endHeaders, 1, head)),
    [protocol],
  ],
  ["5.1.1", "an even stream of a client", (one) => one.request(2, ask("GET")), [protocol]],
  [
    "6.1",
    "DATA on stream 0",
    (one) => one.send(frame(is.data, 0, 0, Buffer.from("x"))),
    [protocol],
  ],
  [
    "6.1",
    "padding as long as DATA",
    (one) => {
      one.request(1, ask("POST"), endHeaders);
      one.send(frame(is.data, padded | endStream, 1, Buffer.of(5, 1, 2, 3)));
    },
    [protocol],
  ],
  ["6.2", "HEADERS on stream 0", (one) => one.send(frame(is.headers, whole, 0, head)), [protocol]],
  [
    "6.2",
    "padding as long as HEADERS",
    (one) => one.send(frame(is.headers, whole | padded, 1, Buffer.concat([Buffer.of(255), head]))),
    [protocol],
  ],
  [
    "6.4",
    "RST_STREAM on stream 0",
    (one) => one.send(frame(is.rstStream, 0, 0, uint32(8))),
    [protocol],
  ],
  [
    "6.4",
    "RST_STREAM of 3 octets",
    (one) => {
      one.request(1, ask("POST"), endHeaders);
      one.send(frame(is.rstStream, 0, 1, Buffer.alloc(3)));
    },
    [size],
  ],
  [
    "6.5",
    "SETTINGS acknowledged with a payload",
    (one) => one.send(frame(is.settings, acknowledges, 0, setting(3, 1))),
    [size],
  ],
  [
    "6.5",
    "SETTINGS on a stream",
    (one) => one.send(frame(is.settings, 0, 1, setting(3, 1))),
    [protocol],
  ],
  [
    "6.5",
    "SETTINGS of 5 octets",
    (one) => one.send(frame(is.settings, 0, 0, Buffer.alloc(5))),
    [size],
  ],
  [
    "6.5.2",
    "ENABLE_PUSH of 2",
    (one) => one.send(frame(is.settings, 0, 0, setting(2, 2))),
    [protocol],
  ],
  [
    "6.5.2",
    "INITIAL_WINDOW_SIZE above 2^31-1",
    (one) => one.send(frame(is.settings, 0, 0, setting(4, 0x80000000))),
    [flow],
  ],
  [
    "6.5.2",
    "MAX_FRAME_SIZE below 16384",
    (one) => one.send(frame(is.settings, 0, 0, setting(5, 16_383))),
    [protocol],
  ],
  [
    "6.5.2",
    "MAX_FRAME_SIZE above 2^24-1",
    (one) => one.send(frame(is.settings, 0, 0, setting(5, 2 ** 24))),
    [protocol],
  ],
  [
    "6.6",
    "PUSH_PROMISE of a client",
    (one) => one.send(frame(is.pushPromise, endHeaders, 1, Buffer.concat([uint32(2), head]))),
    [protocol],
  ],
  ["6.7", "PING on a stream", (one) => one.send(frame(is.ping, 0, 1, Buffer.alloc(8))), [protocol]],
  ["6.7", "PING of 6 octets", (one) => one.send(frame(is.ping, 0, 0, Buffer.alloc(6))), [size]],
  [
    "6.8",
    "GOAWAY on a stream",
    (one) => one.send(frame(is.goaway, 0, 1, Buffer.alloc(8))),
    [protocol],
  ],
  [
    "6.9",
    "WINDOW_UPDATE of 0 on the connection",
    (one) => one.send(frame(is.windowUpdate, 0, 0, uint32(0))),
    [protocol],
  ],
  [
    "6.9",
    "WINDOW_UPDATE of 3 octets",
    (one) => one.send(frame(is.windowUpdate, 0, 0, Buffer.alloc(3))),
    [size],
  ],
  [
    "6.9.1",
    "a connection's window above 2^31-1",
    (one) =>
      one.send(
        frame(is.windowUpdate, 0, 0, uint32(0x7fffffff)),
        frame(is.windowUpdate, 0, 0, uint32(0x7fffffff)),
      ),
    [flow],
  ],
  [
    "6.10",
    "CONTINUATION on stream 0",
    (one) => one.send(frame(is.continuation, endHeaders, 0, head)),
    [protocol],
  ],
  [
    "6.10",
    "CONTINUATION behind the end of a block",
    (one) => {
      one.request(1, ask("POST"), endHeaders);
      one.send(frame(is.continuation, endHeaders, 1, head));
    },
    [protocol],
  ],
  [
    "RFC 7541 2.3.3",
    "an index that is in no table",
    (one) => one.send(frame(is.headers, whole, 1, Buffer.concat([head, Buffer.of(0xff, 0x20)]))),
    [compression],
  ],
  [
    "RFC 7541 4.2",
    "a table size update at the end of a block",
    (one) => one.send(frame(is.headers, whole, 1, Buffer.concat([head, Buffer.of(0x20)]))),
    [compression],
  ],
  [
    "RFC 7541 5.2",
    "Huffman padding of more than 7 bits",
    (one) =>
      one.send(
        frame(is.headers, whole, 1, Buffer.concat([head, Buffer.of(0, 1, 0x78, 0x82, 0x1f, 0xff)])),
      ),
    [compression],
  ],
  [
    "RFC 7541 6.1",
    "index 0",
    (one) => one.send(frame(is.headers, whole, 1, Buffer.concat([head, Buffer.of(0x80)]))),
    [compression],
  ],
  [
    "RFC 7541 6.3",
    "a table size above ours",
    (one) =>
      one.send(frame(is.headers, whole, 1, Buffer.concat([Buffer.of(0x3f, 0xe2, 0x7f), head]))),
    [compression],
  ],
];

describe("W2 RFC 9113 connection errors", () => {
  for (const [section, name, attack, codes] of ofTheConnection) {
    test(`§${section} ${name}`, async () => {
      const client = await RawHttp2.connect(house.edge.endpoint.port, "mail.example");
      attack(client);
      const ending = await client.ending();
      assert.match(ending, new RegExp(`^(closed|goaway (${codes.join("|")}))$`));
      client.close();
    });
  }
});
