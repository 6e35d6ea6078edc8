import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import type { WebRequest } from "#contracts/web";
import type { PublishingRule } from "#model/publishing";
import { compilePolicy } from "#proxy";
import { readWebRequest } from "./request.ts";
import { ruleFor } from "./rules.ts";

const good = {
  application: "app",
  method: "GET",
  target: "/a?b=c",
  headers: [["accept", "*/*"]],
  body: 0,
  session: "0123456789abcdef",
  clientAddress: "2001:db8::1",
  host: "mail.example.org:8443",
};

describe("readWebRequest()", () => {
  test("takes what an edge of ours says, and nothing besides", () => {
    assert.deepEqual(readWebRequest({ ...good, more: 1 }), good);
    const websocket = { ...good, upgrade: "websocket", basic: { name: "a", password: "b" } };
    assert.deepEqual(readWebRequest(websocket), websocket);
    assert.deepEqual(readWebRequest({ ...good, anonymous: true })?.anonymous, true);
  });

  const bad: readonly (readonly [name: string, more: object])[] = [
    ["no application", { application: undefined }],
    ["a path for an application", { application: "../x" }],
    ["a method in small letters", { method: "get" }],
    ["a method with a line end", { method: "GET /\r\n" }],
    ["CONNECT", { method: "CONNECT" }],
    ["TRACE", { method: "TRACE" }],
    ["an absolute target", { target: "http://10.0.0.1/" }],
    ["an asterisk", { target: "*" }],
    ["a line end in the target", { target: "/ HTTP/1.1\r\nX: y\r\n\r\n" }],
    ["a blank in the target", { target: "/a b" }],
    ["a high character in the target", { target: "/\u0120" }],
    ["an endless target", { target: `/${"a".repeat(9000)}` }],
    ["headers as an object", { headers: { accept: "*/*" } }],
    ["a header of three", { headers: [["a", "b", "c"]] }],
    ["a header that is no text", { headers: [["a", 1]] }],
    ["an array as a name", { headers: [[["a"], "b"]] }],
    ["W5 a line end in a value", { headers: [["a", "b\r\nhost: c"]] }],
    ["W5 a bare LF in a value", { headers: [["a", "b\nc"]] }],
    ["W5 NUL in a value", { headers: [["a", "\0"]] }],
    ["W5 a character whose low octet is LF", { headers: [["a", "\u010a"]] }],
    ["W5 a line end in a name", { headers: [["a\r\nb", "c"]] }],
    ["W5 a colon in a name", { headers: [["a:b", "c"]] }],
    ["W5 an empty name", { headers: [["", "c"]] }],
    ["W5 a capital in a name", { headers: [["Host", "c"]] }],
    ["W5 an underscore in a name", { headers: [["x_remote_user", "c"]] }],
    ["W5 a dot in a name", { headers: [["x.remote.user", "c"]] }],
    ["too many headers", { headers: Array.from({ length: 300 }, () => ["a", "b"]) }],
    ["too long headers", { headers: [["a", "b".repeat(70_000)]] }],
    ["a negative body", { body: -1 }],
    ["a broken body", { body: 1.5 }],
    ["an endless body", { body: 2 ** 60 }],
    ["a body in words", { body: "gzip" }],
    ["a short handle", { session: "x" }],
    ["a handle that is no text", { session: ["0123456789abcdef"] }],
    ["a client without address", { clientAddress: "localhost" }],
    ["W4 an address with more", { clientAddress: "192.0.2.1, 10.0.0.1" }],
    ["W4 a host with a path", { host: "mail.example.org/x" }],
    ["W4 a host with a line end", { host: "mail.example.org\r\nx: y" }],
    ["W4 no host", { host: "" }],
    ["credentials without password", { basic: { name: "a" } }],
    ["credentials beyond measure", { basic: { name: "a", password: "b".repeat(2000) } }],
    ["an anonymous that is text", { anonymous: "yes" }],
    ["an upgrade to something else", { upgrade: "h2c" }],
    ["an upgrade of POST", { upgrade: "websocket", method: "POST" }],
    ["an upgrade with a body", { upgrade: "websocket", body: 5 }],
  ];
  for (const [name, more] of bad) {
    test(`refuses ${name}`, () => assert.equal(readWebRequest({ ...good, ...more }), undefined));
  }

  test("never throws (seed 3)", () => {
    const random = seededRandom(3);
    const values = [null, undefined, 0, -1, "", "/", "chunked", [], {}, [[]], [["a", "b"]], true];
    const keys = [...Object.keys(good), "basic", "upgrade", "anonymous"];
    assert.equal(readWebRequest(undefined), undefined);
    for (let round = 0; round < 20_000; round += 1) {
      const asked: Record<string, unknown> = { ...good };
      for (let count = 1 + pick(random, 3); count > 0; count -= 1) {
        asked[keys[pick(random, keys.length)] ?? ""] = values[pick(random, values.length)];
      }
      const read = readWebRequest(asked);
      if (read !== undefined) assert.equal(typeof read.host, "string");
    }
  });
});

describe("ruleFor()", () => {
  const rule: PublishingRule = {
    application: "app",
    hosts: [],
    path: "/app",
    methods: ["GET"],
    login: "form",
    targets: "mail",
  };
  const rules: readonly PublishingRule[] = [
    rule,
    { ...rule, path: "/app/open", login: "none" },
    { ...rule, path: "/app/open", methods: ["POST"], login: "basic" },
    { ...rule, path: "/App/Sync", ignoreCase: true, login: "basic" },
    { ...rule, path: "/app/only", exact: true, login: "none", hosts: ["one.example"] },
    { ...rule, path: "/app/socket", webSocket: true },
    { ...rule, path: "/plain", targets: "plain" },
  ];
  const hosts = ["mail.example.org", "one.example"];
  const policy = compilePolicy({ version: 1, hosts, rules, login: { passkeys: false } }, () => 0);
  const cases: readonly (readonly [asked: Partial<WebRequest>, login: string | undefined])[] = [
    [{ target: "/app" }, "form"],
    [{ target: "/app/x?y=1" }, "form"],
    [{ target: "/app/open/x" }, "none"],
    [{ target: "/app/open/x", method: "POST" }, "basic"],
    [{ target: "/app/x", method: "POST" }, undefined],
    [{ target: "/aPP/SYNC/x" }, "basic"],
    [{ target: "/app/only", host: "one.example:443" }, "none"],
    [{ target: "/app/only" }, "form"],
    [{ target: "/app/only/x", host: "one.example" }, "form"],
    [{ target: "/application" }, undefined],
    [{ target: "/" }, undefined],
    [{ target: "/app/open/../x" }, undefined],
    [{ target: "/app/open/%2e%2e/x" }, undefined],
    [{ target: "/app/open/..%2fx" }, undefined],
    [{ target: "/app//x" }, undefined],
    [{ target: "/app/%61" }, undefined], // not in normal form
    [{ target: "/app/x", upgrade: "websocket" }, undefined],
    [{ target: "/app/socket", upgrade: "websocket" }, "form"],
    [{ target: "/plain/a" }, "form"],
    [{ target: "/plain/%25" }, undefined],
    [{ target: "/app/100%25" }, "form"],
    [{ target: "/app/sync/x." }, undefined], // Windows reads it as "x"
    [{ target: "/app/x", host: "evil.example" }, undefined],
  ];
  for (const [asked, login] of cases) {
    test(`W3 ${asked.method ?? "GET"} ${asked.target}: ${login}`, () => {
      const found = ruleFor(
        { ...(good as unknown as WebRequest), host: "mail.example.org", ...asked },
        policy,
      );
      assert.equal(found?.login, login);
    });
  }
});
