import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkHead, crossingHeaders, type RawHead } from "./request-rules.ts";

const limits = { headerMaxCount: 64, bodyMaxBytes: 1000 };
const published = (host: string): boolean =>
  host === "mail.example" || host === "mail.example:2443";

function check(change: Partial<RawHead>, more: readonly string[] = []) {
  const head: RawHead = {
    method: "GET",
    target: "/mail/",
    httpVersion: "1.1",
    rawHeaders: ["Host", "mail.example", ...more],
    serverName: "mail.example",
    ...change,
  };
  return checkHead(head, published, limits);
}

const faultOf = (change: Partial<RawHead>, more?: readonly string[]): string => {
  const checked = check(change, more);
  return checked.ok ? "accepted" : checked.fault;
};

describe("checkHead() refuses what Node's parser lets through", () => {
  const cases: readonly (readonly [string, string, Partial<RawHead>, string[]?])[] = [
    ["two Host fields", "repeated-header", {}, ["Host", "mail.example"]],
    ["absolute target", "not-origin-form", { target: "http://other.example/mail/" }],
    ["HTTP/0.9", "version", { httpVersion: "0.9" }],
    ["HTTP/1.0", "version", { httpVersion: "1.0" }],
    ["HTTP/2.0 in a request line", "version", { httpVersion: "2.0" }],
    ["chunked", "length-required", { method: "POST" }, ["Transfer-Encoding", "chunked"]],
    [
      "gzip, chunked",
      "length-required",
      { method: "POST" },
      ["Transfer-Encoding", "gzip, chunked"],
    ],
    ["GET with a body", "body-not-allowed", {}, ["Content-Length", "3"]],
    ["fragment in the target", "bad-character", { target: "/mail/#x" }],
    ["underscore in a name", "header-name", {}, ["Content_Length", "3"]],
    ["odd Expect", "expectation", { method: "POST" }, ["Expect", "200-ok"]],
    ["no length on POST", "length-required", { method: "POST" }],
    ["signed length", "bad-length", { method: "POST" }, ["Content-Length", "+3"]],
    ["length with leading zero", "bad-length", { method: "POST" }, ["Content-Length", "03"]],
    ["too large", "body-too-large", { method: "POST" }, ["Content-Length", "1001"]],
    ["unknown method", "method", { method: "PUT" }],
    ["TRACE", "method", { method: "TRACE" }],
  ];
  for (const [name, fault, change, more] of cases) {
    test(name, () => assert.equal(faultOf(change, more), fault));
  }
});

describe("checkHead() takes one host that is the handshake's name (W4)", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ["mail.example", "mail.example", "accepted"],
    ["MAIL.example", "mail.example", "accepted"],
    ["mail.example:2443", "mail.example", "accepted"],
    ["mail.example", "", "accepted"],
    ["mail.example", "other.example", "host"],
    ["other.example", "mail.example", "host"],
    ["mail.example:99", "mail.example", "host"],
    ["mail.example.", "mail.example", "host"],
    ["mail.example, other", "mail.example", "host"],
    ["x@mail.example", "mail.example", "host"],
    ["127.0.0.1", "", "host"],
    ["", "mail.example", "host"],
  ];
  for (const [host, serverName, expected] of cases) {
    test(`Host ${host || "(none)"} under ${serverName || "no name"}: ${expected}`, () => {
      assert.equal(faultOf({ rawHeaders: ["Host", host], serverName }), expected);
    });
  }
});

describe("checkHead() refuses hop-by-hop tricks and odd fields (W5)", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ["Connection", "close, Cookie", "hop-by-hop"],
    ["Connection", "Sec-Fetch-Site", "hop-by-hop"],
    ["Connection", "Upgrade", "hop-by-hop"],
    ["Keep-Alive", "timeout=5", "hop-by-hop"],
    ["TE", "trailers", "hop-by-hop"],
    ["Trailer", "Expires", "hop-by-hop"],
    ["Upgrade", "h2c", "hop-by-hop"],
    ["HTTP2-Settings", "AAMAAABkAAQAAP__", "hop-by-hop"],
    ["Proxy-Connection", "keep-alive", "hop-by-hop"],
    ["X_Forwarded_For", "1.2.3.4", "header-name"],
    ["Bad Name", "x", "header-name"],
    ["", "x", "header-name"],
    ["X-Odd", "a\u0000b", "header-value"],
    ["X-Odd", "a\rb", "header-value"],
  ];
  for (const [name, value, fault] of cases) {
    test(`${name}: ${JSON.stringify(value)}`, () =>
      assert.equal(faultOf({}, [name, value]), fault));
  }

  test("a repeated Cookie or Content-Length has no first and no last", () => {
    assert.equal(faultOf({}, ["Cookie", "a=1", "cookie", "a=2"]), "repeated-header");
    const twice = ["Content-Length", "1", "Content-Length", "1"];
    assert.equal(faultOf({ method: "POST" }, twice), "repeated-header");
  });

  test("more fields than allowed", () => {
    const many = Array.from({ length: 64 }, (_, index) => [`x-${index}`, "1"]).flat();
    assert.equal(faultOf({}, many), "header-count");
  });
});

test("crossingHeaders() keeps an allow-list: nothing that names a client or a credential", () => {
  const checked = check({}, [
    ...["Accept", "text/html", "Cookie", "a=1", "Authorization", "Basic eA==", "Origin", "null"],
    ...["X-Forwarded-For", "1.2.3.4", "Forwarded", "for=x", "X-Original-URL", "/admin"],
  ]);
  assert.ok(checked.ok);
  assert.deepEqual(crossingHeaders(checked.value.headers), { accept: "text/html" });
});
