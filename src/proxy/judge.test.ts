import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import type { HeaderList } from "#contracts/web";
import type { PublishingRule } from "#model/publishing";
import { compilePolicy } from "./compiled-policy.ts";
import { type Judged, judgeRequest, type RequestHead } from "./judge.ts";
import { posternRules, ruleSets } from "./rule-sets.ts";

const limits = { headerMaxCount: 64, bodyMaxBytes: 1000 };

const wiki: PublishingRule = {
  application: "wiki",
  hosts: ["wiki.example"],
  path: "/",
  methods: ["GET", "HEAD", "POST"],
  login: "form",
  targets: "mail",
  webSocket: true,
};
const shop: PublishingRule = { ...wiki, application: "shop", path: "/shop", hosts: [] };
const sync: PublishingRule = {
  ...wiki,
  application: "sync",
  path: "/Sync",
  hosts: [],
  login: "basic",
};

const policy = compilePolicy(
  {
    version: 1,
    hosts: ["mail.example", "wiki.example", "web.example:8443"],
    rules: [
      wiki,
      { ...shop, webSocket: false },
      { ...sync, ignoreCase: true, methods: ["OPTIONS", "POST"] },
      { ...shop, application: "open", path: "/open", crossOrigin: true },
      { ...shop, application: "found", path: "/.well-known/found", login: "none", exact: true },
      ...ruleSets.sogo.rules("").map((shape) => ({ application: "sogo", hosts: [], ...shape })),
      ...posternRules(["mail.example", "web.example:8443"]),
    ],
    login: { passkeys: true },
  },
  () => 2443,
);

interface Change extends Partial<Omit<RequestHead, "headers">> {
  readonly host?: string;
  readonly headers?: HeaderList;
}

function judge({ host = "mail.example", headers = [], ...change }: Change): Judged {
  const named: HeaderList = host === "" ? headers : [["host", host], ...headers];
  const serverName = host.replace(/:\d+$/, "").toLowerCase();
  const head = { version: "1.1", method: "GET", target: "/mail/", body: 0, serverName } as const;
  return judgeRequest({ ...head, ...change, headers: named }, policy, limits);
}

function outcome(change: Change): string | number {
  const judged = judge(change);
  if (!judged.ok) return judged.status;
  const { route } = judged.request;
  return route.kind === "application" ? route.rule.application : route.kind;
}

const why = (change: Change): string => {
  const judged = judge(change);
  return judged.ok ? "accepted" : judged.why;
};

describe("CAP-19 default deny: listed paths and methods, and nothing else", () => {
  const cases: readonly (readonly [string, string, string | number, string?])[] = [
    ["GET", "/", "home"],
    ["GET", "/mail", "home"],
    ["GET", "/login", "login"],
    ["GET", "/login/passkey", "login"],
    ["PUT", "/login", 405],
    ["GET", "/logout", "logout"],
    ["PUT", "/logout", 405],
    ["GET", "/favicon.ico", "icon"],
    ["GET", "/robots.txt", "robots"],
    ["GET", "/mail/", "postern"],
    ["HEAD", "/mail/assets/index-abc.js", "postern"],
    ["POST", "/mail/", 405],
    ["GET", "/jmap/api", 405],
    ["GET", "/jmap/events", "postern"],
    ["GET", "/jmap/events/x", 404],
    ["GET", "/.well-known/jmap", "postern"],
    ["GET", "/.well-known/change-password", "postern"],
    ["GET", "/.well-known/autoconfig/mail/config-v1.1.xml", "postern"],
    ["GET", "/session", "postern"],
    ["GET", "/account", "postern"],
    ["GET", "/account/factors", "postern"],
    ["GET", "/jmap", 404],
    ["GET", "/jmap/other", 404],
    ["GET", "/mailx", 404],
    ["GET", "/MAIL/", 404],
    ["GET", "/console", 404],
    ["GET", "/.git/config", 404],
    ["GET", "/shop", "shop"],
    ["GET", "/shop/basket", "shop"],
    ["GET", "/shopping", 404],
    ["DELETE", "/shop/basket", 405],
    ["TRACE", "/shop", 405],
    ["CONNECT", "/shop", 405],
    ["get", "/shop", 405],
    ["OPTIONS", "/sync", "sync"],
    ["OPTIONS", "/SYNC/x", "sync"],
    ["GET", "/SYNC", 405],
    ["PROPFIND", "/SOGo/dav/ana/Calendar/", "sogo"],
    ["PROPFIND", "/SOGo/so/ana", 405],
    ["REPORT", "/sogo/dav/ana", 404],
    ["PROPFIND", "/.well-known/caldav", "sogo"],
    ["GET", "/.well-known/caldav/x", 404],
    ["GET", "/", "wiki", "wiki.example"],
    ["GET", "/anything/at/all", "wiki", "wiki.example"],
    ["GET", "/login", "login", "wiki.example"],
    ["GET", "/mail/", "wiki", "wiki.example"],
    ["GET", "/robots.txt", "wiki", "wiki.example"],
    ["GET", "/shop", "shop", "wiki.example"],
  ];
  for (const [method, target, expected, host = "mail.example"] of cases) {
    test(`${method} ${host}${target}: ${expected}`, () => {
      assert.equal(outcome({ method, target, host }), expected);
    });
  }

  test("a refused method is told which ones there are (RFC 9110 §15.5.6)", () => {
    const judged = judge({ method: "DELETE", target: "/shop" });
    assert.equal(!judged.ok && judged.allow, "GET, HEAD, POST");
  });

  test("without a policy a known host waits, and an unknown one is not served", () => {
    const none = compilePolicy(
      { version: 0, hosts: ["mail.example"], rules: [], login: { passkeys: false } },
      () => 443,
    );
    const head = { version: "1.1", method: "GET", target: "/", body: 0, serverName: "" } as const;
    const of = (host: string): Judged =>
      judgeRequest({ ...head, headers: [["host", host]] }, none, limits);
    assert.deepEqual(of("mail.example"), { ok: false, status: 503, why: "no-policy" });
    assert.deepEqual(of("other.example"), { ok: false, status: 421, why: "host" });
    const unknown = judgeRequest({ ...head, headers: [["host", "x"]] }, undefined, limits);
    assert.equal(!unknown.ok && unknown.status, 503);
  });
});

describe("W4 CAP-17 one published host, and it is the handshake's name", () => {
  const cases: readonly (readonly [string, string, string | number])[] = [
    ["mail.example", "mail.example", "postern"],
    ["MAIL.example", "Mail.Example", "postern"],
    ["mail.example:2443", "mail.example", "postern"],
    ["mail.example", "", "postern"],
    ["web.example:8443", "web.example", "postern"],
    ["wiki.example", "wiki.example", "wiki"],
    ["wiki.example", "mail.example", 421],
    ["mail.example", "other.example", 421],
    ["other.example", "mail.example", 421],
    ["other.example", "", 421],
    ["mail.example:99", "mail.example", 421],
    ["web.example", "web.example", 421],
    ["mail.example.", "mail.example", 421],
    ["mail.example, wiki.example", "mail.example", 421],
    ["x@mail.example", "mail.example", 421],
    ["mail.example/", "mail.example", 421],
    ["mail.example:2443:2443", "mail.example", 421],
    ["127.0.0.1", "", 421],
    [" ", "mail.example", 421],
    ["", "mail.example", 421],
  ];
  for (const [host, serverName, expected] of cases) {
    test(`Host ${JSON.stringify(host)} under ${serverName || "no name"}: ${expected}`, () => {
      assert.equal(outcome({ host, serverName }), expected);
    });
  }
  test("two Host fields are no host", () => {
    assert.equal(why({ headers: [["host", "mail.example"]] }), "repeated-header");
  });
  test("no other field names the host", () => {
    const headers: HeaderList = [
      ["x-forwarded-host", "wiki.example"],
      ["forwarded", "host=wiki.example"],
    ];
    assert.equal(outcome({ headers, host: "other.example" }), 421);
    assert.equal(outcome({ headers }), "postern");
  });
});

describe("W5 hop-by-hop tricks and odd fields are refused", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ["connection", "close, cookie", "hop-by-hop"],
    ["connection", "sec-fetch-site", "hop-by-hop"],
    ["connection", "keep-alive, authorization", "hop-by-hop"],
    ["connection", "host", "hop-by-hop"],
    ["connection", "upgrade", "upgrade"],
    ["keep-alive", "timeout=5", "hop-by-hop"],
    ["te", "trailers", "hop-by-hop"],
    ["trailer", "expires", "hop-by-hop"],
    ["upgrade", "h2c", "upgrade"],
    ["upgrade", "websocket", "upgrade"],
    ["http2-settings", "AAMAAABkAAQAAP__", "hop-by-hop"],
    ["proxy-connection", "keep-alive", "hop-by-hop"],
    ["proxy-authorization", "Basic eA==", "hop-by-hop"],
    ["x_forwarded_for", "1.2.3.4", "header-name"],
    ["content_length", "3", "header-name"],
    ["x.remote.user", "root", "header-name"],
    ["x~remote-user", "root", "header-name"],
    ["bad name", "x", "header-name"],
    ["X-Upper", "x", "header-name"],
    [":path", "/x", "header-name"],
    ["", "x", "header-name"],
    ["x-odd", "a\u0000b", "header-value"],
    ["x-odd", "a\rb", "header-value"],
    ["x-odd", "a\nb", "header-value"],
    ["expect", "200-ok", "expectation"],
  ];
  for (const [name, value, fault] of cases) {
    test(`${name}: ${JSON.stringify(value)}`, () => {
      assert.equal(why({ headers: [[name, value]] }), fault);
    });
  }

  test("what comes twice has no first and no last", () => {
    for (const name of ["cookie", "content-type", "origin", "sec-fetch-site", "authorization"]) {
      assert.equal(
        why({
          headers: [
            [name, "a=1"],
            [name, "a=2"],
          ],
        }),
        "repeated-header",
        name,
      );
    }
    assert.equal(
      why({
        headers: [
          ["accept", "a/b"],
          ["accept", "c/d"],
        ],
      }),
      "accepted",
    );
  });

  test("HTTP/2 may split a cookie and say that it takes trailers (RFC 9113 §8.2)", () => {
    const headers: HeaderList = [
      ["cookie", "a=1"],
      ["te", "trailers"],
      ["cookie", "b=2"],
    ];
    const judged = judge({ version: "2", headers });
    assert.equal(judged.ok && judged.request.header("cookie"), "a=1; b=2");
    assert.equal(why({ version: "2", headers: [["connection", "close"]] }), "hop-by-hop");
    assert.equal(why({ version: "2", headers: [["te", "gzip"]] }), "hop-by-hop");
  });

  test("more fields than allowed", () => {
    const headers = Array.from({ length: 64 }, (_, at) => [`x-${at}`, "1"] as const);
    assert.equal(outcome({ headers }), 431);
  });

  test("a body where none belongs, and one too large", () => {
    const own: HeaderList = [["origin", "https://mail.example"]];
    assert.equal(why({ body: 3 }), "body-not-allowed");
    assert.equal(why({ body: "chunked" }), "body-not-allowed");
    const post = { method: "POST", target: "/jmap/upload/a", headers: own };
    assert.equal(outcome({ ...post, body: 1001 }), 413);
    assert.equal(outcome({ ...post, body: "chunked" }), "postern");
  });
});

describe("W9 what a foreign page causes is refused", () => {
  const own = "https://mail.example";
  const post = (fields: Record<string, string>, target = "/shop", host = "mail.example") =>
    outcome({ method: "POST", target, host, headers: Object.entries(fields) });
  const posts: readonly (readonly [Record<string, string>, string | number])[] = [
    [{ "sec-fetch-site": "same-origin", origin: own }, "shop"],
    [{ "sec-fetch-site": "same-origin" }, "shop"],
    [{ origin: own }, "shop"],
    [{ "sec-fetch-site": "same-origin", origin: "null" }, "shop"],
    [{ "sec-fetch-site": "same-origin", origin: "https://evil.example" }, 403],
    [{ "sec-fetch-site": "same-site", origin: own }, 403],
    [{ "sec-fetch-site": "cross-site", origin: own }, 403],
    [{ "sec-fetch-site": "cross-site", origin: "null" }, 403],
    [{ "sec-fetch-site": "none" }, 403],
    [{ origin: "null" }, 403],
    [{ origin: "http://mail.example" }, 403],
    [{ origin: "https://mail.example.evil.example" }, 403],
    [{ origin: "https://mail.example:8443" }, 403],
    [{}, 403],
  ];
  for (const [fields, expected] of posts) {
    test(`POST with ${JSON.stringify(fields)}: ${expected}`, () => {
      assert.equal(post(fields), expected);
    });
  }

  test("login and logout forms are ours alone (login CSRF)", () => {
    for (const target of ["/login", "/login/code", "/logout"]) {
      assert.equal(
        post({ "sec-fetch-site": "cross-site", origin: "https://evil.example" }, target),
        403,
      );
    }
    assert.equal(post({ origin: own }, "/login"), "login");
  });

  test("a link elsewhere opens a document, not a frame, an image or a script", () => {
    const from = (site: string, mode: string, dest: string) => {
      const fields = { "sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest };
      return outcome({ headers: Object.entries(fields) });
    };
    assert.equal(from("cross-site", "navigate", "document"), "postern");
    assert.equal(from("cross-site", "navigate", "iframe"), 403);
    assert.equal(from("cross-site", "no-cors", "image"), 403);
    assert.equal(from("same-site", "cors", "empty"), 403);
    assert.equal(from("same-origin", "cors", "empty"), "postern");
  });

  test("Basic credentials that a browser remembers are no way round", () => {
    assert.equal(post({}, "/sync"), "sync");
    assert.equal(post({ origin: "https://evil.example" }, "/sync"), 403);
    assert.equal(post({ "sec-fetch-site": "cross-site" }, "/sync"), 403);
    assert.equal(post({ "sec-fetch-site": "same-origin", origin: own }, "/sync"), "sync");
  });

  test("a rule may be open to other origins, and asks nobody then", () => {
    const elsewhere = { "sec-fetch-site": "cross-site", origin: "https://evil.example" };
    assert.equal(post(elsewhere, "/open"), "open");
    assert.equal(post(elsewhere, "/.well-known/found"), "found");
  });

  test("JSON is what no form can send", () => {
    const api = (type: string) =>
      why({
        method: "POST",
        target: "/jmap/api",
        headers: [
          ["origin", own],
          ["content-type", type],
        ],
      });
    assert.equal(api("application/json"), "accepted");
    assert.equal(api("application/json; charset=utf-8"), "accepted");
    assert.equal(api("text/plain"), "not-json");
    assert.equal(api("application/x-www-form-urlencoded"), "not-json");
    assert.equal(api("application/jsonx"), "not-json");
  });
});

describe("W13 WebSocket where a rule allows it, for pages of this host (RFC 6455 §4.2.1)", () => {
  const good: Readonly<Record<string, string>> = {
    connection: "keep-alive, Upgrade",
    upgrade: "websocket",
    origin: "https://wiki.example",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
  };
  const ask = (change: Record<string, string | undefined>, more: Change = {}) => {
    const fields = Object.entries({ ...good, ...change }).filter(
      ([, value]) => value !== undefined,
    );
    return why({
      host: "wiki.example",
      headers: fields as [string, string][],
      target: "/ws",
      ...more,
    });
  };
  const refused: readonly (readonly [string, Record<string, string | undefined>, Change?])[] = [
    ["no Origin", { origin: undefined }],
    ["foreign Origin", { origin: "https://evil.example" }],
    ["Origin null", { origin: "null" }],
    ["Origin in the clear", { origin: "http://wiki.example" }],
    ["another port", { origin: "https://wiki.example:8443" }],
    ["cross-site by the browser's word", { "sec-fetch-site": "cross-site" }],
    ["no key", { "sec-websocket-key": undefined }],
    ["short key", { "sec-websocket-key": "dGhl" }],
    ["key of 17 octets", { "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZTE=" }],
    ["no version", { "sec-websocket-version": undefined }],
    ["version 8", { "sec-websocket-version": "8" }],
    ["h2c", { upgrade: "h2c" }],
    ["two protocols", { upgrade: "websocket, h2c" }],
    ["no Upgrade", { upgrade: undefined }],
    ["no Connection", { connection: undefined }],
    ["Connection names more", { connection: "upgrade, cookie" }],
    ["POST", {}, { method: "POST" }],
    ["a body", {}, { body: 5 }],
    ["HTTP/2", {}, { version: "2" }],
    [
      "a rule without WebSocket",
      { origin: "https://mail.example" },
      { host: "mail.example", target: "/shop" },
    ],
    [
      "a page of the front",
      { origin: "https://mail.example" },
      { host: "mail.example", target: "/login" },
    ],
  ];
  for (const [name, change, more] of refused) {
    test(name, () => assert.notEqual(ask(change, more), "accepted"));
  }
  test("the real thing passes", () => {
    assert.equal(ask({}), "accepted");
    assert.equal(
      ask({ "sec-fetch-site": "same-origin", "sec-fetch-mode": "websocket" }),
      "accepted",
    );
  });
});

describe("COPY and MOVE lead to the same application (RFC 4918 §10.3)", () => {
  const move = (destination: string) =>
    outcome({ method: "MOVE", target: "/SOGo/dav/ana/a", headers: [["destination", destination]] });
  test("on this host", () => {
    assert.equal(move("https://mail.example/SOGo/dav/ana/b"), "sogo");
    assert.equal(move("/SOGo/dav/ana/b"), "sogo");
  });
  test("and nowhere else", () => {
    assert.equal(move("https://evil.example/SOGo/dav/ana/b"), 400);
    assert.equal(move("https://mail.example/shop/b"), 403);
    assert.equal(move("https://mail.example/SOGo/dav/../../shop"), 400);
    assert.equal(move("/nowhere"), 403);
  });
});

test("Windows applications: a name that ends with a dot or a blank is another name", () => {
  assert.equal(why({ method: "POST", target: "/sync/a." }), "dot-segment");
  assert.equal(why({ method: "POST", target: "/sync/a%20" }), "dot-segment");
  assert.equal(why({ target: "/shop/a." }), "accepted");
});

test("judgeRequest() never throws, and lets nothing in but what a rule lists (fuzz)", () => {
  const random = seededRandom(20261122);
  const of = <Value>(list: readonly Value[]): Value => list[pick(random, list.length)] as Value;
  const words = ["host", "connection", "upgrade", "te", "cookie", "origin", "sec-fetch-site"];
  const values = [
    "mail.example",
    "wiki.example",
    "close",
    "websocket",
    "https://mail.example",
    "a=b",
  ];
  const names = [...words, "expect", "x_y", "x-forwarded-for", "content-type", "", "\u0000", "é"];
  const pieces = [
    "/",
    "mail",
    "shop",
    "SOGo",
    "dav",
    "..",
    "%2e",
    "%2f",
    "?",
    "a=b",
    ";",
    "\r\n",
    "%25",
  ];
  let accepted = 0;
  for (let run = 0; run < 50_000; run += 1) {
    let target = "/";
    for (let at = pick(random, 6); at > 0; at -= 1) target += of(pieces);
    const headers = Array.from({ length: pick(random, 4) }, () => [of(names), of(values)] as const);
    const judged = judge({
      method: of(["GET", "POST", "PROPFIND", "BREW", "", "\n"]),
      target,
      host: of(["mail.example", "wiki.example", "x", ""]),
      version: of(["1.1", "2"]),
      body: of([0, 0, 5, "chunked", Number.NaN, -1]),
      headers,
    });
    if (!judged.ok) {
      assert.ok(judged.status >= 400 && judged.status < 600 && judged.why !== "");
      continue;
    }
    accepted += 1;
    const { route, method, target: checked } = judged.request;
    if (route.kind !== "application") continue;
    assert.ok(route.rule.methods.includes(method));
    const [path, below] = [checked.path.toLowerCase(), route.rule.path.toLowerCase()];
    assert.ok(path === below || path.startsWith(below.endsWith("/") ? below : `${below}/`), path);
  }
  assert.ok(accepted > 100, String(accepted));
});
