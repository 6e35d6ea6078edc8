import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { ownHeaders, relayedHeaders } from "./answer-headers.ts";
import { readCookie, sessionCookie, setCookie } from "./cookies.ts";
import { parseForm } from "./form.ts";
import { isOwnAct, mayRead } from "./origin.ts";
import { errorPage, loginPage, pagePolicy } from "./pages.ts";
import { publishedHosts } from "./published.ts";
import { routeOf, safeReturnPath } from "./routes.ts";
import { parseTarget } from "./target.ts";

const fields = (pairs: Record<string, string>) => new Map(Object.entries(pairs));

describe("routeOf() publishes a list and nothing else", () => {
  const cases = [
    ["GET", "/login", "login"],
    ["POST", "/login", "login"],
    ["POST", "/logout", "logout"],
    ["GET", "/logout", 405],
    ["GET", "/mail/", "inside"],
    ["POST", "/mail/", 405],
    ["GET", "/mail/assets/index-abc.js", "inside"],
    ["POST", "/jmap/api", "inside"],
    ["GET", "/jmap/api", 405],
    ["GET", "/.well-known/jmap", "inside"],
    ["GET", "/jmap", 404],
    ["GET", "/jmap/other", 404],
    ["GET", "/mailx", 404],
    ["GET", "/MAIL/", 404],
    ["GET", "/console", 404],
    ["GET", "/.git/config", 404],
    ["GET", "/login/", 404],
  ] as const;
  for (const [method, path, expected] of cases) {
    test(`${method} ${path}: ${expected}`, () => {
      const target = parseTarget(path);
      assert.ok(target.ok);
      const routed = routeOf(method, target.value);
      assert.equal(routed.ok ? routed.route.kind : routed.status, expected);
    });
  }
});

describe("safeReturnPath() leads into the application only (W7)", () => {
  for (const good of ["/mail/", "/mail/inbox", "/mail/message/abc-1", "/mail/a/b/"]) {
    test(good, () => assert.equal(safeReturnPath(good), good));
  }
  const bad = [
    ...[
      "//evil.example",
      "/\\evil.example",
      "https://evil.example/mail/",
      "/mail/../login",
      "/mail",
    ],
    ...["/mail/%2e%2e", "/mail//evil", "javascript:alert(1)", "/mail/\r\nSet-Cookie:a=b", "", "/"],
    ...["/mail/?next=x", "/mail/#x", "\t/mail/", " /mail/", "/jmap/api", "/login", "/mail/a@b"],
    `/mail/${"a/".repeat(200)}`,
  ];
  for (const path of bad) {
    test(JSON.stringify(path.slice(0, 40)), () => assert.equal(safeReturnPath(path), "/mail/"));
  }
});

describe("isOwnAct() lets only our own pages change something (W9)", () => {
  const cases: readonly (readonly [Record<string, string>, boolean])[] = [
    [{ "sec-fetch-site": "same-origin", origin: "https://mail.example" }, true],
    [{ "sec-fetch-site": "same-origin" }, true],
    [{ origin: "https://mail.example" }, true],
    [{ "sec-fetch-site": "same-origin", origin: "https://evil.example" }, false],
    [{ "sec-fetch-site": "same-site", origin: "https://mail.example" }, false],
    [{ "sec-fetch-site": "cross-site", origin: "https://mail.example" }, false],
    [{ "sec-fetch-site": "none" }, false],
    [{ origin: "null" }, false],
    [{ "sec-fetch-site": "cross-site", origin: "null" }, false],
    [{ "sec-fetch-site": "same-origin", origin: "null" }, true],
    [{ origin: "http://mail.example" }, false],
    [{ origin: "https://mail.example.evil.example" }, false],
    [{ origin: "https://mail.example:8443" }, false],
    [{}, false],
  ];
  for (const [given, expected] of cases) {
    test(JSON.stringify(given), () => {
      assert.equal(isOwnAct(fields(given), "mail.example"), expected);
    });
  }

  test("mayRead() answers a link from elsewhere with a document only", () => {
    const from = (site: string, mode: string, dest: string) =>
      mayRead(fields({ "sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest }));
    assert.equal(from("cross-site", "navigate", "document"), true);
    assert.equal(from("cross-site", "navigate", "iframe"), false);
    assert.equal(from("cross-site", "no-cors", "image"), false);
    assert.equal(from("same-site", "cors", "empty"), false);
    assert.equal(from("same-origin", "cors", "empty"), true);
  });
});

describe("cookies", () => {
  const value = "abcdefghijklmnopqrstuvwxyz";
  test("readCookie() finds one, and none when there are two", () => {
    const one = `${sessionCookie}=${value}`;
    assert.equal(readCookie(`a=b; ${one}; c=d`, sessionCookie), value);
    assert.equal(readCookie(`${one}; ${one}`, sessionCookie), undefined);
    assert.equal(readCookie(`${sessionCookie}=../../x`, sessionCookie), undefined);
    assert.equal(readCookie(`x${one}`, sessionCookie), undefined);
    assert.equal(readCookie(undefined, sessionCookie), undefined);
  });

  test("setCookie() binds to host, TLS and HTTP (W8)", () => {
    const text = setCookie(sessionCookie, value, "Lax");
    for (const part of ["__Host-", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"]) {
      assert.ok(text.includes(part), part);
    }
    assert.ok(!/Domain|Max-Age/.test(text));
  });
});

describe("relayedHeaders()", () => {
  test("keeps ours over those from the inside, drops what is not listed", () => {
    const out = relayedHeaders({
      "Content-Type": "text/html",
      "set-cookie": "__Host-postern=stolen",
      "strict-transport-security": "max-age=0",
      "x-powered-by": "x",
      location: "//evil.example/",
      etag: 'a"\r\nx: y',
    });
    assert.equal(out["content-type"], "text/html");
    assert.match(out["strict-transport-security"] ?? "", /max-age=63072000/);
    for (const name of ["set-cookie", "x-powered-by", "location", "etag"]) {
      assert.equal(out[name], undefined, name);
    }
    assert.equal(out["cache-control"], "no-store");
    assert.match(out["content-security-policy"] ?? "", /default-src 'none'/);
  });

  test("every own answer carries the whole set", () => {
    const out = ownHeaders({});
    for (const name of [
      "strict-transport-security",
      "content-security-policy",
      "x-content-type-options",
      "referrer-policy",
      "cross-origin-opener-policy",
      "cross-origin-resource-policy",
      "permissions-policy",
      "cache-control",
    ]) {
      assert.ok(out[name], name);
    }
  });
});

describe("pages", () => {
  test("text that was typed comes back as text", () => {
    const page = loginPage({
      formToken: "t",
      returnPath: "/mail/",
      name: '"><script>alert(1)</script>',
    });
    assert.ok(!page.includes("<script"));
  });

  test("the policy allows exactly the style that is in the page", () => {
    for (const page of [loginPage({ formToken: "t", returnPath: "/mail/" }), errorPage(503)]) {
      const style = /<style>([\s\S]*?)<\/style>/.exec(page)?.[1] ?? "";
      const hash = createHash("sha256").update(style).digest("base64");
      assert.ok(pagePolicy.includes(`'sha256-${hash}'`));
      assert.ok(!/\sstyle=|<script|\son[a-z]+=/.test(page), "nothing the policy would refuse");
    }
  });
});

test("parseForm() takes each field once", () => {
  const read = parseForm("name=a%40b&password=x+y%26z");
  assert.ok(read.ok);
  assert.deepEqual(
    [...read.value],
    [
      ["name", "a@b"],
      ["password", "x y&z"],
    ],
  );
  assert.equal(parseForm("a=1&a=2").ok, false);
  assert.equal(parseForm("a=%zz").ok, false);
  assert.equal(parseForm("&".repeat(40)).ok, false);
});

test("publishedHosts() knows names with and without the listening port", () => {
  const fits = publishedHosts(["Mail.Example", "web.example:8443"], () => 2443);
  const known = ["mail.example", "mail.example:2443", "web.example:8443"];
  const unknown = ["mail.example:443", "web.example", "", "evil.example", "mail.example:2443:2443"];
  for (const host of known) assert.equal(fits(host), true, host);
  for (const host of unknown) assert.equal(fits(host), false, host);
});
