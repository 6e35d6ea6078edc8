import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { after, beforeEach, describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import type { LinkStream } from "#contracts/link";
import type { WebRequest } from "#contracts/web";
import { answerPlainly, openHouse } from "./fixture.test.ts";

const house = await openHouse();
after(() => house[Symbol.asyncDispose]());

const host = "Host: mail.example\r\n";
/** Would be answered, if anything took what stands behind a refused request for another one. */
const smuggled = `GET /open/smuggled HTTP/1.1\r\n${host}\r\n`;

/** Heads and bodies that two readers could frame differently; PATH is filled in. */
const probes: readonly (readonly [string, string])[] = [
  ["head of bare LF", "GET PATH HTTP/1.1\nHost: mail.example\n\n"],
  ["bare LF after a field", "GET PATH HTTP/1.1\r\nHost: mail.example\nX: 1\r\n\r\n"],
  ["length and chunked", post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")],
  ["TE twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n")],
  ["xchunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")],
  ["space before colon", `GET PATH HTTP/1.1\r\n${host}X : 1\r\n\r\n`],
  ["equal lengths", post("Content-Length: 1\r\nContent-Length: 1\r\n", "a")],
  ["different lengths", post("Content-Length: 1\r\nContent-Length: 2\r\n", "ab")],
  ["signed length", post("Content-Length: +0\r\n")],
  ["hexadecimal length", post("Content-Length: 0x0\r\n")],
  ["list of lengths", post("Content-Length: 0, 0\r\n")],
  ["chunk size ended by LF", post("Transfer-Encoding: chunked\r\n", "1\na\r\n0\r\n\r\n")],
  ["LF in chunk extension", post("Transfer-Encoding: chunked\r\n", "1;a\nb\r\na\r\n0\r\n\r\n")],
  ["chunk without its end", post("Transfer-Encoding: chunked\r\n", "1\r\na0\r\n\r\n")],
  ["chunk size 0x1", post("Transfer-Encoding: chunked\r\n", "0x1\r\na\r\n0\r\n\r\n")],
  ["huge chunk size", post("Transfer-Encoding: chunked\r\n", `${"F".repeat(17)}\r\na\r\n`)],
  ["folded field", `GET PATH HTTP/1.1\r\n${host}X: 1\r\n 2\r\n\r\n`],
  ["NUL in a value", `GET PATH HTTP/1.1\r\n${host}X: a\0b\r\n\r\n`],
  ["CR in a value", `GET PATH HTTP/1.1\r\n${host}X: a\rb\r\n\r\n`],
  ["no Host", "GET PATH HTTP/1.1\r\nX: 1\r\n\r\n"],
  ["HTTP/1.9", `GET PATH HTTP/1.9\r\n${host}\r\n`],
  ["VT before chunked", post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n")],
  ["space in the target", `GET PATH gin HTTP/1.1\r\n${host}\r\n`],
  ["0xFF in the target", `GET PATH\xff HTTP/1.1\r\n${host}\r\n`],
  ["length as trailer", post("Transfer-Encoding: chunked\r\n", "0\r\nContent-Length: 5\r\n\r\n")],
  ["two Hosts", `GET PATH HTTP/1.1\r\n${host}Host: other.example\r\n\r\n`],
  ["absolute target", `GET http://other.example/login HTTP/1.1\r\n${host}\r\n`],
  ["HTTP/0.9", "GET PATH\r\n\r\n"],
  ["HTTP/2.0", `GET PATH HTTP/2.0\r\n${host}\r\n`],
  ["1.0 and chunked", `POST PATH HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ["gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")],
  ["chunked, then blanks and a line", post("Transfer-Encoding: chunked \r\n x\r\n", "0\r\n\r\n")],
  ["GET with a body", `GET PATH HTTP/1.1\r\n${host}Content-Length: 3\r\n\r\nabc`],
  ["fragment", `GET PATH#x HTTP/1.1\r\n${host}\r\n`],
  ["Content_Length", `POST PATH HTTP/1.1\r\n${host}Content_Length: 3\r\n\r\nabc`],
  ["odd Expect", post("Expect: 900-maybe\r\nContent-Length: 1\r\n", "a")],
  ["tab behind the target", `GET PATH\tHTTP/1.1\r\n${host}\r\n`],
  ["two empty lines first", `\r\n\r\nGET PATH HTTP/1.1\r\n${host}\r\n`],
  [
    "h2c (a tunnel past every rule)",
    `GET PATH HTTP/1.1\r\n${host}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n`,
  ],
];
test("W1 the probes are as many as promised", () => assert.equal(probes.length, 39));

function post(fields: string, body = ""): string {
  return `POST PATH HTTP/1.1\r\n${host}${fields}\r\n${body}`;
}

for (const path of ["/login", "/open/"]) {
  describe(`W1 CAP-18 the desync probes at ${path}: one refusal, then nothing`, () => {
    beforeEach(() => {
      house.seen.length = 0;
    });
    for (const [name, text] of probes) {
      test(name, async () => {
        const got = await house.exchange(text.replace("PATH", path) + smuggled);
        const statuses = got.text.match(/^HTTP\/1\.1 \d{3}/gm) ?? [];
        assert.equal(statuses.length, 1, got.text.slice(0, 300));
        assert.match(got.text, /^HTTP\/1\.1 [45]\d\d/);
        assert.match(got.text, /^connection: close\r$/m);
        assert.equal(got.endedByServer, true, "the connection is closed");
        assert.ok(house.seen.every(({ header }) => !String(targetOf(header)).includes("smuggled")));
      });
    }
  });
}

function targetOf(header: unknown): string {
  return (header as Partial<WebRequest>).target ?? "";
}

describe("W1 what is odd and has one meaning", () => {
  beforeEach(() => {
    house.seen.length = 0;
  });

  test("an empty line first is skipped (RFC 9112 §2.2), and nothing of it crosses", async () => {
    const got = await house.raw(`\r\nGET /login HTTP/1.1\r\n${host}Connection: close\r\n\r\n`);
    assert.equal(got.match(/^HTTP\/1\.1 /gm)?.length, 1);
    assert.match(got, /^HTTP\/1\.1 200/);
  });

  test("lower-case methods are other methods", async () => {
    const got = await house.raw(`get /login HTTP/1.1\r\n${host}\r\n`);
    assert.match(got, /^HTTP\/1\.1 405/);
  });

  const framed: readonly (readonly [string, string, number | "chunked"])[] = [
    [
      "a chunk extension",
      "Transfer-Encoding: chunked\r\n\r\n4;x=y\r\nbody\r\n0\r\n\r\n",
      "chunked",
    ],
    ["a trailer", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-A: b\r\n\r\n", "chunked"],
    [
      "a tab before chunked",
      "Transfer-Encoding:\tchunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
      "chunked",
    ],
    ["small letters", "transfer-encoding: CHUNKED\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "chunked"],
    ["blanks around a length", "Content-Length:  4 \r\n\r\nbody", 4],
  ];
  for (const [name, text, body] of framed) {
    test(`${name}: read once, framed anew, and the next request is the next`, async () => {
      const bodies: string[] = [];
      house.answerWeb = (stream) => keepBody(stream, bodies);
      const next = `GET /open/next HTTP/1.1\r\n${host}Connection: close\r\n\r\n`;
      const got = await house.raw(`POST /open/ HTTP/1.1\r\n${host}${text}${next}`);
      assert.equal(got.match(/^HTTP\/1\.1 200/gm)?.length, 2, got);
      const [first, second] = house.seen.map(({ header }) => header as WebRequest);
      assert.deepEqual([first?.body, second?.target, bodies], [body, "/open/next", ["body", ""]]);
      const names = first?.headers.map(([field]) => field) ?? [];
      assert.ok(!names.some((field) => /length|encoding|trailer|x-a/.test(field)), "no framing");
    });
  }
});

describe("W1 an answer before its body: what comes late is no request", () => {
  beforeEach(() => {
    house.seen.length = 0;
    house.answerWeb = answerPlainly;
  });
  const early = [
    ["a path that is not there", "/nothing"],
    ["a login form that is none", "/login"],
    ["an application that answers at once", "/open/"],
    ["no session", "/wiki/"],
  ] as const;
  for (const [name, path] of early) {
    test(name, async () => {
      const length = Buffer.byteLength(smuggled);
      const fields = `Origin: https://mail.example\r\nContent-Length: ${length}\r\n`;
      const got = await house.late(`POST ${path} HTTP/1.1\r\n${host}${fields}\r\n`, smuggled);
      assert.equal(got.text.match(/^HTTP\/1\.1 \d{3}/gm)?.length ?? 0, 1, got.text);
      assert.ok(house.seen.every(({ header }) => !String(targetOf(header)).includes("smuggled")));
    });
  }
});

test("W1 wherever the octets are cut, the same requests are read", async () => {
  const random = seededRandom(20261122);
  const bodies: string[] = [];
  house.answerWeb = (stream) => keepBody(stream, bodies);
  const kinds = [
    `GET /open/ HTTP/1.1\r\n${host}\r\n`,
    `\r\nPOST /open/ HTTP/1.1\r\n${host}Content-Length: 9\r\n\r\n\r\n\r\nGET /`,
    `POST /open/ HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n3;a=b\r\n\r\n0\r\n6\r\n\r\n\r\n\r\n\r\n0\r\nX: y\r\n\r\n`,
  ];
  const expected = ["", "\r\n\r\nGET /", "\r\n0\r\n\r\n\r\n"];
  for (let run = 0; run < 20; run += 1) {
    bodies.length = 0;
    const order = Array.from({ length: 30 }, () => pick(random, kinds.length));
    const last = `GET /open/ HTTP/1.1\r\n${host}Connection: close\r\n\r\n`;
    const octets = order.map((kind) => kinds[kind]).join("") + last;
    const pieces: string[] = [];
    for (let at = 0; at < octets.length; ) {
      const size = 1 + pick(random, 40);
      pieces.push(octets.slice(at, at + size));
      at += size;
    }
    const got = await house.exchange(pieces);
    assert.equal(got.text.match(/^HTTP\/1\.1 200/gm)?.length, 31);
    assert.deepEqual(bodies, [...order.map((kind) => expected[kind]), ""]);
  }
});

test("W1 octets changed at random make one request at most, and never an end of the edge", async () => {
  const random = seededRandom(20261123);
  const whole = `POST /open/ HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`;
  const runs = Array.from({ length: 300 }, () => {
    const octets = Buffer.from(whole, "latin1");
    for (let count = 1 + pick(random, 3); count > 0; count -= 1) {
      octets[pick(random, octets.length)] = pick(random, 256);
    }
    return octets.toString("latin1");
  });
  house.seen.length = 0;
  for (let at = 0; at < runs.length; at += 30) {
    const all = await Promise.all(runs.slice(at, at + 30).map((text) => house.exchange(text)));
    for (const { text } of all) {
      // A field of framing whose name changed frames nothing: what follows is no request.
      const statuses = [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => status);
      assert.ok(
        statuses.slice(1).every((status) => /^[45]/.test(status ?? "")),
        text,
      );
    }
  }
  assert.ok(house.seen.length <= runs.length);
  assert.equal((await house.ask("/robots.txt")).status, 200);
});

/** Answers once the whole body is there. */
function keepBody(stream: LinkStream, bodies: string[]): void {
  let got = "";
  stream.receive({
    data: (chunk) => void (got += chunk.toString()),
    end() {
      bodies.push(got);
      stream.answer({ status: 200, headers: [], bodyBytes: 0 });
      stream.end();
    },
    broken() {},
  });
}
