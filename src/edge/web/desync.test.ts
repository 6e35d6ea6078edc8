import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { openHouse } from "./fixture.test.ts";

const house = await openHouse();
after(() => house[Symbol.asyncDispose]());

describe("the 39 desync probes are refused or cannot be read in two ways (W1)", () => {
  const host = "Host: mail.example\r\n";
  const post = (fields: string, body = ""): string =>
    `POST /login HTTP/1.1\r\n${host}${fields}\r\n${body}`;
  const probes: readonly (readonly [string, string])[] = [
    ["head of bare LF", "GET /login HTTP/1.1\nHost: mail.example\n\n"],
    ["bare LF after a field", `GET /login HTTP/1.1\r\nHost: mail.example\nX: 1\r\n\r\n`],
    [
      "length and chunked",
      post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ],
    [
      "TE twice",
      post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
    ],
    ["xchunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")],
    ["space before colon", `GET /login HTTP/1.1\r\n${host}X : 1\r\n\r\n`],
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
    ["folded field", `GET /login HTTP/1.1\r\n${host}X: 1\r\n 2\r\n\r\n`],
    ["NUL in a value", `GET /login HTTP/1.1\r\n${host}X: a\0b\r\n\r\n`],
    ["CR in a value", `GET /login HTTP/1.1\r\n${host}X: a\rb\r\n\r\n`],
    ["no Host", "GET /login HTTP/1.1\r\nX: 1\r\n\r\n"],
    ["HTTP/1.9", `GET /login HTTP/1.9\r\n${host}\r\n`],
    ["method in lower case", `get /login HTTP/1.1\r\n${host}\r\n`],
    ["VT before chunked", post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n")],
    ["space in the target", `GET /lo gin HTTP/1.1\r\n${host}\r\n`],
    ["0xFF in the target", `GET /login\xff HTTP/1.1\r\n${host}\r\n`],
    ["length as trailer", post("Transfer-Encoding: chunked\r\n", "0\r\nContent-Length: 5\r\n\r\n")],
    ["two Hosts", `GET /login HTTP/1.1\r\n${host}Host: other.example\r\n\r\n`],
    ["absolute target", `GET http://other.example/login HTTP/1.1\r\n${host}\r\n`],
    ["HTTP/0.9", "GET /login\r\n\r\n"],
    ["HTTP/2.0", `GET /login HTTP/2.0\r\n${host}\r\n`],
    [
      "1.0 and chunked",
      `POST /login HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    ["gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")],
    ["chunk extension", post("Transfer-Encoding: chunked\r\n", "1;x=y\r\na\r\n0\r\n\r\n")],
    ["GET with a body", `GET /login HTTP/1.1\r\n${host}Content-Length: 3\r\n\r\nabc`],
    ["fragment", `GET /login#x HTTP/1.1\r\n${host}\r\n`],
    ["Content_Length", `POST /login HTTP/1.1\r\n${host}Content_Length: 3\r\n\r\nabc`],
    ["tab before chunked", post("Transfer-Encoding:\tchunked\r\n", "0\r\n\r\n")],
    ["odd Expect", post("Expect: 900-maybe\r\nContent-Length: 1\r\n", "a")],
  ];
  for (const [name, text] of probes) {
    test(name, async () => {
      const got = await house.raw(text);
      assert.ok(!/^HTTP\/1\.1 (1|2|3)\d\d/m.test(got), got.slice(0, 60));
    });
  }

  test("an empty line first is skipped, as RFC 9112 §2.2 says, and nothing of it crosses", async () => {
    const got = await house.raw(`\r\nGET /login HTTP/1.1\r\n${host}Connection: close\r\n\r\n`);
    assert.equal(got.match(/^HTTP\/1\.1 /gm)?.length, 1);
    assert.match(got, /^HTTP\/1\.1 200/);
  });

  test("what stands behind a refused request is not read as another one", async () => {
    const smuggled = `GET /login HTTP/1.1\r\n${host}\r\n`;
    const got = await house.raw(
      `POST /login HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    );
    assert.ok(!/^HTTP\/1\.1 200/m.test(got), got.slice(0, 200));
  });
});
