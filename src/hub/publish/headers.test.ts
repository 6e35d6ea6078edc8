import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HeaderList, WebRequest } from "#contracts/web";
import { application } from "./fixture.test.ts";
import {
  answerHeaders,
  headerRules,
  isDownload,
  type SignedOn,
  upstreamHeaders,
} from "./headers.ts";

const asked: WebRequest = {
  application: "app",
  method: "GET",
  target: "/",
  headers: [],
  body: 0,
  clientAddress: "192.0.2.7",
  host: "mail.example.org",
};
const ana: SignedOn = { name: "ana@example.org", password: "pä:ss" };

function sent(
  headers: HeaderList,
  more: Parameters<typeof application>[1] = {},
  who: SignedOn | undefined = ana,
): Map<string, string[]> {
  const rules = headerRules(application("https://inside.example:8443", more));
  const fields = new Map<string, string[]>();
  for (const [name, value] of upstreamHeaders({ ...asked, headers }, rules, who, false)) {
    fields.set(name, [...(fields.get(name) ?? []), value]);
  }
  return fields;
}

describe("upstreamHeaders()", () => {
  test("W4 says who asked, for what host, by TLS, and nobody else says it", () => {
    const fields = sent([
      ["x-forwarded-for", "10.0.0.1"],
      ["x-forwarded-host", "evil.example"],
      ["x-forwarded-proto", "http"],
      ["x-forwarded-anything", "x"],
      ["forwarded", "for=10.0.0.1"],
      ["x-real-ip", "10.0.0.1"],
      ["via", "1.1 x"],
      ["host", "evil.example"],
    ]);
    assert.deepEqual(Object.fromEntries(fields), {
      host: ["mail.example.org"],
      "x-forwarded-for": ["192.0.2.7"],
      "x-forwarded-proto": ["https"],
      "x-forwarded-host": ["mail.example.org"],
      forwarded: ['for=192.0.2.7;host="mail.example.org";proto=https'],
    });
  });

  test("W4 quotes an IPv6 address (RFC 7239 §6)", () => {
    const rules = headerRules(application("https://inside.example"));
    const ask = { ...asked, clientAddress: "2001:db8::1" };
    const fields = new Map(upstreamHeaders(ask, rules, undefined, false));
    assert.match(fields.get("forwarded") ?? "", /^for="\[2001:db8::1\]";/);
    assert.equal(fields.get("x-forwarded-for"), "2001:db8::1");
  });

  test("W4 asks for the application's own name where that is set", () => {
    assert.deepEqual(sent([], { hostHeader: "upstream" }).get("host"), ["inside.example:8443"]);
  });

  const dropped = [
    ...["connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer"],
    ...["transfer-encoding", "upgrade", "expect", "content-length", "proxy", "x-original-url"],
    ...["x-rewrite-url", "x-http-method-override", "authorization", "x-remote-user"],
  ];
  for (const name of dropped) {
    test(`W5 drops ${name}`, () => {
      assert.equal(sent([[name, "chunked"]]).has(name), false);
    });
  }

  test("W5 Connection cannot name away what we set", () => {
    const fields = sent([["connection", "x-forwarded-for, authorization"]], { signOn: "basic" });
    assert.ok(fields.has("x-forwarded-for") && fields.has("authorization"));
  });

  const cookies = ["__Host-postern=x", "a=b; __host-POSTERN=x", "=__Host-postern=x"];
  for (const cookie of cookies) {
    test(`W5 a cookie of ours goes nowhere: ${cookie}`, () => {
      assert.equal(sent([["cookie", cookie]]).has("cookie"), false);
    });
  }

  test("keeps the application's own cookies and fields, in order", () => {
    const own: HeaderList = [
      ["cookie", "a=b"],
      ["x-requested-with", "X"],
      ["depth", "1"],
      ["accept", "a"],
      ["accept", "b"],
    ];
    const rules = headerRules(application("https://inside.example"));
    const fields = upstreamHeaders({ ...asked, headers: own }, rules, ana, false);
    assert.deepEqual(fields.slice(1, 6), own);
  });

  test("signs on by Basic in UTF-8, in place of what a client says (RFC 7617)", () => {
    const [value = "", ...more] =
      sent([["authorization", "Basic eDp5"]], { signOn: "basic" }).get("authorization") ?? [];
    assert.equal(Buffer.from(value.slice(6), "base64").toString(), "ana@example.org:pä:ss");
    assert.deepEqual(more, []);
  });

  test("signs on by header, whatever a client sends under its name", () => {
    const settings = { signOn: "header", signOnHeader: "X-Webmail-User" } as const;
    const forged: HeaderList = [["x-webmail-user", "ben@example.org"]];
    assert.deepEqual(sent(forged, settings).get("x-webmail-user"), ["ana@example.org"]);
    const rules = headerRules(application("https://inside.example", settings));
    const nobody = upstreamHeaders({ ...asked, headers: forged }, rules, undefined, true);
    assert.equal(new Map(nobody).has("x-webmail-user"), false);
  });

  test("leaves Authorization to an application that asks for it itself", () => {
    const rules = headerRules(application("https://inside.example"));
    const ask = { ...asked, headers: [["authorization", "Basic eDp5"]] as const };
    assert.ok(new Map(upstreamHeaders(ask, rules, undefined, true)).has("authorization"));
  });

  const framing = [
    [{}, {}],
    [{ method: "POST" }, { "content-length": "0" }],
    [{ method: "POST", body: 5 }, { "content-length": "5" }],
    [{ method: "PUT", body: "chunked" }, { "transfer-encoding": "chunked" }],
    [{ upgrade: "websocket" }, { connection: "upgrade", upgrade: "websocket" }],
  ] as const;
  for (const [more, expected] of framing) {
    test(`frames ${JSON.stringify(more)} (RFC 9112 §6)`, () => {
      const rules = headerRules(application("https://inside.example"));
      const fields = upstreamHeaders({ ...asked, ...more }, rules, undefined, false);
      const found = fields.filter(([name]) =>
        ["content-length", "transfer-encoding", "connection", "upgrade"].includes(name),
      );
      assert.deepEqual(Object.fromEntries(found), expected);
    });
  }
});

describe("answerHeaders()", () => {
  const head = {
    status: 200,
    body: 0,
    keepAlive: true,
    headers: [
      ["connection", "keep-alive, X-Hop"],
      ["keep-alive", "timeout=5"],
      ["x-hop", "1"],
      ["transfer-encoding", "chunked"],
      ["cache-control", "public, max-age=60"],
      ["expires", "x"],
      ["set-cookie", "a=b"],
      ["set-cookie", "c=d"],
    ],
  } as const;

  test("W5 drops what belongs to the connection (RFC 9110 §7.6.1)", () => {
    assert.deepEqual(answerHeaders(head, "inside.example", false), [
      ["cache-control", "public, max-age=60"],
      ["expires", "x"],
      ["set-cookie", "a=b"],
      ["set-cookie", "c=d"],
    ]);
  });

  test("CAP-24 leaves nothing on a public computer", () => {
    assert.deepEqual(answerHeaders(head, "inside.example", true), [
      ["set-cookie", "a=b"],
      ["set-cookie", "c=d"],
      ["cache-control", "no-store"],
    ]);
  });

  const places = [
    ["https://inside.example/owa/?x=1#y", "/owa/?x=1#y"],
    ["http://INSIDE.example/owa", "/owa"],
    ["https://inside.example:443/owa", "/owa"],
    ["//inside.example", "/"],
    ["/owa", "/owa"],
    ["https://mail.example.org/owa", "https://mail.example.org/owa"],
    ["https://inside.example.evil.example/", "https://inside.example.evil.example/"],
    ["https://inside.example//evil.example/", "https://inside.example//evil.example/"],
  ] as const;
  for (const [value, expected] of places) {
    test(`W7 Location ${value} becomes ${expected}`, () => {
      const headers: HeaderList = [
        ["location", value],
        ["content-location", value],
        ["link", value],
      ];
      assert.deepEqual(answerHeaders({ ...head, headers }, "inside.example", false), [
        ["location", expected],
        ["content-location", expected],
        ["link", value],
      ]);
    });
  }

  const dispositions = [
    ["attachment", true],
    ['Attachment; filename="x"', true],
    ["form-data", true],
    ["inlined", true],
    ["inline", false],
    ['INLINE ; filename="x"', false],
  ] as const;
  for (const [value, expected] of dispositions) {
    test(`CAP-24 ${value} is ${expected ? "" : "not "}a download (RFC 6266 §4.2)`, () => {
      assert.equal(isDownload([["content-disposition", value]]), expected);
    });
  }
});
