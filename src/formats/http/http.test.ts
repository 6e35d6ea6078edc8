import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import {
  ChunkedReader,
  chunkEnd,
  chunkHead,
  findHeadEnd,
  lastChunk,
  type RequestHead,
  readRequestHead,
  readResponseHead,
  requestHead,
  responseHead,
  statusText,
} from "#formats/http";

const limits = { headerMaxCount: 20 };

function request(text: string): RequestHead | string {
  const read = readRequestHead(Buffer.from(text, "latin1"), limits);
  return read.ok ? read.value : read.fault;
}

function response(text: string, method = "GET"): unknown {
  const read = readResponseHead(Buffer.from(text, "latin1"), { method }, limits);
  return read.ok ? read.value : read.fault;
}

/** All data, or the fault; "more" when the body has no end. */
function unchunked(text: string, stepBytes = text.length): string {
  const reader = new ChunkedReader();
  const octets = Buffer.from(text, "latin1");
  let data = "";
  for (let at = 0; at < octets.length; at += stepBytes) {
    const outcome = reader.push(octets.subarray(at, at + stepBytes), (part) => {
      data += part.toString("latin1");
    });
    if (outcome === "fault") return "fault";
    if (outcome !== "more") return `${data}|${outcome.rest.toString("latin1")}`;
  }
  return "more";
}

describe("readRequestHead()", () => {
  test("reads line, fields and framing (RFC 9112 §3, §5, §6)", () => {
    const read = request(
      "POST /a?b=%20 HTTP/1.1\r\nHost: mail.example.org\r\nX-Two:\t one \t\r\nContent-Length: 12\r\n\r\n",
    );
    assert.deepEqual(read, {
      method: "POST",
      target: "/a?b=%20",
      version: "1.1",
      headers: [
        ["host", "mail.example.org"],
        ["x-two", "one"],
        ["content-length", "12"],
      ],
      body: 12,
      keepAlive: true,
      expectsContinue: false,
    });
  });

  const persistence = [
    ["1.1", "", true],
    ["1.1", "Connection: close\r\n", false],
    ["1.1", "Connection: Keep-Alive, CLOSE\r\n", false],
    ["1.1", "Connection: keep-alive\r\nConnection:  close \r\n", false],
    ["1.0", "", false],
    ["1.0", "Connection: keep-alive\r\n", true],
  ] as const;
  for (const [version, field, expected] of persistence) {
    test(`keeps a connection of ${version} with "${field.trim()}": ${expected} (RFC 9112 §9.3)`, () => {
      const read = request(`GET / HTTP/${version}\r\nHost: a\r\n${field}\r\n`);
      assert.equal(typeof read === "object" && read.keepAlive, expected);
    });
  }

  test("tells of an upgrade only in 1.1, named by Connection, without a body (RFC 9110 §7.8)", () => {
    const fields = "Host: a\r\nUpgrade: WebSocket\r\n";
    const upgradeOf = (text: string): unknown => {
      const read = request(text);
      return typeof read === "object" ? read.upgrade : read;
    };
    const named = `${fields}Connection: keep-alive, Upgrade\r\n`;
    assert.equal(upgradeOf(`GET / HTTP/1.1\r\n${named}\r\n`), "websocket");
    assert.equal(upgradeOf(`GET / HTTP/1.1\r\n${fields}\r\n`), undefined);
    assert.equal(upgradeOf(`GET / HTTP/1.0\r\n${named}\r\n`), undefined);
    assert.equal(upgradeOf(`GET / HTTP/1.1\r\n${named}Content-Length: 3\r\n\r\n`), undefined);
    assert.equal(upgradeOf(`GET / HTTP/1.1\r\n${named}Upgrade: h2c\r\n\r\n`), "websocket, h2c");
  });

  test("tells of 100-continue where a body follows, and refuses other expectations", () => {
    const read = request(
      "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n",
    );
    assert.equal(typeof read === "object" && read.expectsContinue, true);
    const without = request("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
    assert.equal(typeof without === "object" && without.expectsContinue, false);
    assert.equal(request("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n"), "bad-expectation");
  });

  test("bounds the number of fields", () => {
    const fields = (count: number): string => "X: y\r\n".repeat(count);
    assert.equal(typeof request(`GET / HTTP/1.1\r\nHost: a\r\n${fields(19)}\r\n`), "object");
    assert.equal(request(`GET / HTTP/1.1\r\nHost: a\r\n${fields(20)}\r\n`), "too-many-headers");
  });
});

describe("readResponseHead()", () => {
  const cases = [
    ["GET", "200 OK", "Content-Length: 5\r\n", 5, true],
    ["GET", "200 OK", "Transfer-Encoding: chunked\r\n", "chunked", true],
    ["GET", "200 OK", "", "until-close", false],
    ["HEAD", "200 OK", "Content-Length: 5\r\n", 0, true],
    ["HEAD", "200 OK", "Transfer-Encoding: chunked\r\n", 0, true],
    ["GET", "304 Not Modified", "Content-Length: 5\r\n", 0, true],
    ["GET", "204 No Content", "", 0, true],
    ["GET", "204 No Content", "Content-Length: 0\r\n", 0, true],
    ["GET", "204 No Content", "Content-Length: 5\r\n", 0, false],
    ["GET", "204 No Content", "Transfer-Encoding: chunked\r\n", 0, false],
    ["GET", "103 Early Hints", "", 0, true],
    ["GET", "200 ", "Connection: close\r\nContent-Length: 0\r\n", 0, false],
    ["GET", "200", "Content-Length: 0\r\n", 0, true],
    ["GET", "200 \xe9t\xe9", "Content-Length: 0\r\n", 0, true],
  ] as const;
  for (const [method, line, fields, body, keepAlive] of cases) {
    test(`${method}: ${line} ${fields.trim()} has ${body} (RFC 9112 §6.3)`, () => {
      const read = response(`HTTP/1.1 ${line}\r\n${fields}\r\n`, method) as Record<string, unknown>;
      assert.deepEqual([read["body"], read["keepAlive"]], [body, keepAlive]);
    });
  }

  const refused = [
    [
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
      "length-and-coding",
    ],
    ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "bad-length"],
    ["HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", "bad-length"],
    ["HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "bad-coding"],
    ["HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "bad-coding"],
    ["HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n", "bad-line-end"],
    ["HTTP/1.1 200 O\rK\r\n\r\n", "bad-line-end"],
    ["HTTP/1.1  200 OK\r\n\r\n", "bad-start-line"],
    ["HTTP/1.1 2000 OK\r\n\r\n", "bad-start-line"],
    ["HTTP/1.1 099 OK\r\n\r\n", "bad-start-line"],
    ["HTTP/1.1 600 OK\r\n\r\n", "bad-start-line"],
    ["HTTP/1.1 +20 OK\r\n\r\n", "bad-start-line"],
    ["HTTP/2 200 OK\r\n\r\n", "bad-version"],
    ["ICY 200 OK\r\n\r\n", "bad-version"],
    ["\r\nHTTP/1.1 200 OK\r\n\r\n", "bad-version"],
    ["HTTP/1.1 200 OK\r\n X: y\r\n\r\n", "folded"],
    ["HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", "folded"],
    ["HTTP/1.1 200 OK\r\nX : y\r\n\r\n", "bad-name"],
    ["HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", "bad-value"],
    ["HTTP/1.1 200 OK\r\nX: y\n\r\n\r\n", "bad-line-end"],
    ["HTTP/1.1 200 OK\r\nX: y\r\n", "bad-line-end"],
    ["", "bad-version"],
  ] as const;
  for (const [text, fault] of refused) {
    test(`refuses ${JSON.stringify(text)}`, () => assert.equal(response(text), fault));
  }

  test("names the protocol of a 101 alone", () => {
    const fields = "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    const upgradeOf = (status: number): unknown =>
      (response(`HTTP/1.1 ${status} X\r\n${fields}`) as { upgrade?: string }).upgrade;
    assert.equal(upgradeOf(101), "websocket");
    assert.equal(upgradeOf(200), undefined);
  });
});

describe("ChunkedReader", () => {
  const good = [
    ["5\r\nhello\r\n0\r\n\r\n", "hello|"],
    ["5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET /", "hello!|GET /"],
    ["A\r\n0123456789\r\n0\r\n\r\n", "0123456789|"],
    ["05\r\nhello\r\n000\r\n\r\n", "hello|"],
    ["5;a=b\r\nhello\r\n0;last\r\n\r\n", "hello|"],
    ["0\r\nX-Sum: 1\r\nY: 2\r\n\r\nrest", "|rest"],
  ] as const;
  for (const [text, expected] of good) {
    test(`reads ${JSON.stringify(text)}, however it is cut (RFC 9112 §7.1)`, () => {
      assert.equal(unchunked(text), expected);
      const [data] = expected.split("|");
      assert.equal(unchunked(text, 1).split("|")[0], data);
      assert.equal(unchunked(text, 3).split("|")[0], data);
    });
  }

  test("stays at fault", () => {
    const reader = new ChunkedReader();
    assert.equal(
      reader.push(Buffer.from("x"), () => {}),
      "fault",
    );
    assert.equal(
      reader.push(Buffer.from("0\r\n\r\n"), () => {}),
      "fault",
    );
  });
});

describe("writing", () => {
  test("requestHead() and responseHead() write what their readers read", () => {
    const headers = [
      ["host", "a.example"],
      ["x-obs", "caf\xe9"],
      ["x-empty", ""],
    ] as const;
    const asked = request(requestHead("GET", "/x?y=1", headers));
    assert.deepEqual(typeof asked === "object" && asked.headers, headers);
    const answered = response(responseHead(404, headers)) as { headers: unknown; status: number };
    assert.deepEqual([answered.status, answered.headers], [404, headers]);
    assert.equal(responseHead(299, []), "HTTP/1.1 299 \r\n\r\n");
    assert.equal(statusText(421), "Misdirected Request");
  });

  const injections = [
    () => requestHead("GET /\r\n", "/", []),
    () => requestHead("", "/", []),
    () => requestHead("GET", "http://other/", []),
    () => requestHead("GET", "/ HTTP/1.1\r\nX: y", []),
    () => requestHead("GET", "/a b", []),
    () => requestHead("GET", "/\u0120", []),
    () => requestHead("GET", "/", [["x", "a\r\ny: z"]]),
    () => requestHead("GET", "/", [["x", "a\ny: z"]]),
    () => requestHead("GET", "/", [["x", "a\ry"]]),
    () => requestHead("GET", "/", [["x", "\0"]]),
    () => requestHead("GET", "/", [["x", "\u010a"]]), // its low octet is LF
    () => requestHead("GET", "/", [["x: y\r\nz", ""]]),
    () => requestHead("GET", "/", [["", "y"]]),
    () => responseHead(200, [["x y", "z"]]),
    () => responseHead(1000, []),
    () => responseHead(NaN, []),
    () => chunkHead(0),
    () => chunkHead(-1),
  ];
  for (const inject of injections) {
    test(`W5 cannot be made to write ${inject.toString().slice(6)}`, () => {
      assert.throws(inject, { code: "ERR_ASSERTION" });
    });
  }

  test("chunks come back as they were", () => {
    const text = ["one", "x".repeat(300)]
      .map((part) => `${chunkHead(part.length)}${part}${chunkEnd}`)
      .join("");
    assert.equal(unchunked(text + lastChunk), `one${"x".repeat(300)}|`);
  });
});

describe("findHeadEnd()", () => {
  test("finds the blank line behind an index, and nothing else", () => {
    assert.equal(findHeadEnd(Buffer.from("GET / HTTP/1.1\r\n\r\nrest"), 0), 18);
    assert.equal(findHeadEnd(Buffer.from("a\r\n\r\nb\r\n\r\n"), 5), 10);
    assert.equal(findHeadEnd(Buffer.from("a\r\n\r\n"), -3), 5);
    assert.equal(findHeadEnd(Buffer.from("a\n\n\r\r\n\n"), 0), -1);
  });
});
