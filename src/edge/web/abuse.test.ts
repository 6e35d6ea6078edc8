import assert from "node:assert/strict";
import { after, beforeEach, describe, test } from "node:test";
import type { WebRequest } from "#contracts/web";
import { type Fields, RawHttp2 } from "../../../tests/kit/http2-raw.ts";
import { answerPlainly, cookie, openHouse, own } from "./fixture.test.ts";

const house = await openHouse();
after(() => house[Symbol.asyncDispose]());
beforeEach(() => {
  house.seen.length = 0;
  house.answerWeb = answerPlainly;
});

function crossed(): WebRequest {
  const [first] = house.seen;
  assert.ok(first);
  return first.header as WebRequest;
}

const host = "Host: mail.example\r\n";
const last = "Connection: close\r\n";
const statusIn = (text: string): string => /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? "none";

/** Spellings of ways out of /open/, which everybody may ask for; what stands behind is not theirs. */
const tricks = [
  ...["/open/../wiki/", "/open/..", "/open/./x", "/open//x", "//open/", "/open/%2e%2e/wiki/"],
  ...["/open/%2E%2E/wiki/", "/open/.%2e/wiki/", "/open/%2e./wiki/", "/open/..%2fwiki/"],
  ...["/open/..%2Fwiki", "/open%2fx", "/open/%5c..%5cwiki", "/open/..%5cwiki", "/open\\..\\wiki"],
  ...["/open/%252e%252e/wiki/", "/open/%252fwiki", "/open/%25252e%25252e/", "/open/%255c.."],
  ...["/open/%c0%ae%c0%ae/wiki/", "/open/%c0%af..", "/open/%e0%80%ae./", "/open/%f0%80%80%ae"],
  ...["/open/%ff", "/open/%80", "/open/%c3", "/open/%ed%a0%80", "/open/x;/../wiki", "/open;x=y/"],
  ...["/open/..;/wiki/", "/open/%3b/../wiki", "/open/a%00.css", "/open/%0d%0aX-A:b", "/open/%0a"],
  ...["/open/%7f", "/open/%", "/open/%2", "/open/%zz", "/open/%u002e%u002e/", "/open/%u2215"],
  ...["/open/.../x", "/open/.%20./", "/open/x#y", "/open/?x#y", "/open/\u00e9", "/open/<x>"],
  ...['/open/"x"', "/open/`x`", "/open/{x}", "/open/|x", "/open/^x", "/open/x\ty", "/open/x y"],
  ...["http://mail.example/open/", "https://mail.example/open/", "http:/open/", "open/", "*"],
  ...["mail.example:443", "/%6fpen/../wiki/", "/open/?a=%0d%0a", "/open/?%", "/%2fopen/"],
];

describe("W3 path tricks on the wire", () => {
  test(`${tricks.length} spellings are refused by both versions of HTTP, and nothing crosses`, async () => {
    assert.ok(tricks.length >= 60);
    for (const path of tricks) {
      const text = await house.raw(`GET ${path} HTTP/1.1\r\n${host}${last}\r\n`);
      assert.match(statusIn(text), /^(4\d\d|505)$/, JSON.stringify(path));
      const client = await RawHttp2.connect(house.edge.endpoint.port, "mail.example");
      client.request(1, [
        [":method", "GET"],
        [":scheme", "https"],
        [":authority", "mail.example"],
        [":path", path],
      ] satisfies Fields);
      assert.match(await client.outcome(1), /^(4\d\d|reset \d+)$/, JSON.stringify(path));
      client.close();
    }
    assert.deepEqual(house.seen, []);
  });

  test("what only looks like one goes on, in one spelling", async () => {
    const names: readonly (readonly [string, string])[] = [
      ["/open/%61%2Db", "/open/a-b"],
      ["/open/100%25%20sure%20%26%20ready%20..%20%f0%9f%8e%89", ""],
      ["/open/a..b/..c/d...", ""],
      ["/open/?q=../..//%2e%2e%2f%252e", "/open/?q=../..//%2e%2e%2f%252e"],
    ];
    for (const [asked, expected] of names) {
      house.seen.length = 0;
      const text = await house.raw(`GET ${asked} HTTP/1.1\r\n${host}${last}\r\n`);
      assert.equal(statusIn(text), "200", asked);
      if (expected !== "") assert.equal(crossed().target, expected);
    }
  });
});

describe("W4 on the wire", () => {
  test("a host that is not published, and none of the names that others go by", async () => {
    const others = [
      ...[
        "Host: other.example\r\n",
        "Host: \r\n",
        "Host: mail.example.\r\n",
        "Host: 127.0.0.1\r\n",
      ],
      ...["Host: mail.example:1\r\n", "Host: mail.example@evil.example\r\n", ""],
      ...["Host: mail.example\r\nHost: mail.example\r\n", "Host: mail.example, evil.example\r\n"],
      ...["Host: other.example\r\nX-Forwarded-Host: mail.example\r\n"],
      ...["Host: other.example\r\nForwarded: host=mail.example\r\n", "Host: mail.example/x\r\n"],
    ];
    for (const fields of others) {
      const text = await house.raw(`GET /open/ HTTP/1.1\r\n${fields}${last}\r\n`);
      assert.match(statusIn(text), /^4(00|21)$/, fields);
      assert.doesNotMatch(text, /evil\.example|other\.example/, "nothing of it comes back");
    }
    assert.deepEqual(house.seen, []);
  });

  test("nobody says for us who the client is", async () => {
    const lies =
      "X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1;host=evil.example\r\n" +
      "X-Real-IP: 10.0.0.1\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: http\r\n" +
      "True-Client-IP: 10.0.0.1\r\nVia: 1.1 evil\r\nX-Original-URL: /wiki/\r\nX-Kept: y\r\n";
    await house.raw(`GET /open/ HTTP/1.1\r\n${host}${lies}${last}\r\n`);
    const { headers, clientAddress, host: asked } = crossed();
    assert.deepEqual(headers, [["x-kept", "y"]]);
    assert.deepEqual([clientAddress, asked], ["127.0.0.1", "mail.example"]);
  });
});

describe("W9 what a page elsewhere could do", () => {
  const navigating = { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };

  test("frames: no page of ours stands in one of another site", async () => {
    for (const path of ["/login", "/nothing"]) {
      const { headers } = await house.ask(path, { headers: navigating });
      assert.match(String(headers["content-security-policy"]), /frame-ancestors 'none'/, path);
      assert.ok(headers["x-frame-options"], path);
    }
    const framed = { ...cookie, "sec-fetch-site": "cross-site", "sec-fetch-dest": "iframe" };
    const inside = await house.ask("/wiki/", { headers: { ...navigating, ...framed } });
    assert.equal(inside.status, 403);
  });

  test("no answer lets another origin read it, and a preflight goes nowhere", async () => {
    const origin = "https://evil.example";
    const asking = { origin, "access-control-request-method": "POST" };
    for (const path of ["/login", "/jmap/api", "/wiki/", "/session", "/account"]) {
      const answer = await house.ask(path, {
        method: "OPTIONS",
        headers: { ...asking, ...cookie },
      });
      assert.ok([403, 405].includes(answer.status), `${path}: ${answer.status}`);
      const got = await house.ask(path, { headers: { origin, ...cookie } });
      for (const { headers } of [answer, got]) {
        assert.deepEqual(
          Object.keys(headers).filter((name) => name.startsWith("access-control-")),
          [],
        );
      }
    }
  });

  test("nothing of ours changes by a request of another origin, whatever its type", async () => {
    const types = ["application/json", "text/plain", "application/x-www-form-urlencoded"];
    for (const path of ["/jmap/api", "/session/extend", "/account/sessions/end-all", "/wiki/x"]) {
      for (const type of types) {
        for (const from of [{ origin: "https://evil.example" }, { origin: "null" }, {}]) {
          const headers = {
            ...cookie,
            ...from,
            "content-type": type,
            "sec-fetch-site": "cross-site",
          };
          const answer = await house.ask(path, { method: "POST", headers, body: "{}" });
          assert.equal(answer.status, 403, `${path} ${type}`);
        }
      }
    }
    assert.deepEqual(house.seen, []);
  });
});

describe("W12 no cache on the way keeps what is somebody's", () => {
  test("every answer of ours says so", async () => {
    const navigating = { "sec-fetch-mode": "navigate" };
    const answers = [
      await house.ask("/login"),
      await house.ask("/login/passkey.js"),
      await house.ask("/mail/", { headers: navigating }),
      await house.ask("/wiki/"),
      await house.ask("/nothing"),
      await house.ask("/"),
      await house.ask("/logout", { method: "POST", headers: { ...cookie, ...own } }),
      await house.logIn({ password: "right" }),
      await house.logIn({ password: "wrong" }),
      await house.ask("/mail/inbox", { headers: cookie }),
    ];
    for (const { status, headers } of answers) {
      assert.equal(headers["cache-control"], "no-store", String(status));
    }
  });

  test("a name that looks like a file is no reason to keep a page (cache deception)", async () => {
    house.answerWeb = (stream) => {
      stream.receive({ data() {}, end() {}, broken() {} });
      const headers = [["cache-control", "public, max-age=600"]];
      stream.answer({ status: 200, headers, bodyBytes: 0 });
      stream.end();
    };
    for (const path of ["/wiki/me.css", "/wiki/me/x.js", "/wiki/a.png?x", "/wiki/robots.txt"]) {
      const { headers } = await house.ask(path, { headers: cookie });
      assert.equal(headers["cache-control"], "private, max-age=600", path);
    }
  });

  test("what no cache looks at changes nothing of an answer (cache poisoning)", async () => {
    const plain = await house.raw(`GET /login HTTP/1.1\r\n${host}${last}\r\n`);
    const without = (text: string): string =>
      text.replace(/(token" value="|__Host-postern-form=|date: )[^";\r]*/g, "$1");
    for (const field of [
      ...["X-Forwarded-Host: evil.example", "X-Forwarded-Scheme: http", "X-Host: evil.example"],
      ...["X-Original-URL: /wiki/", "X-Forwarded-Prefix: //evil.example", "Accept-Language: xx"],
      ...["X-HTTP-Method-Override: POST", "Forwarded: host=evil.example", "Origin: https://e.x"],
    ]) {
      const got = await house.raw(`GET /login HTTP/1.1\r\n${host}${field}\r\n${last}\r\n`);
      assert.equal(without(got), without(plain), field);
    }
  });
});
