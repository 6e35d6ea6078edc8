import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HeaderList } from "#contracts/web";
import type { LoginWay, PublishingRule } from "#model/publishing";
import { ownHeaders, relayedHeaders } from "./answer-headers.ts";
import { readBasic } from "./basic.ts";
import { compilePolicy } from "./compiled-policy.ts";
import { foreignCookie, readCookie, sessionCookie, setCookie } from "./cookies.ts";
import { crossingHeaders } from "./crossing-headers.ts";
import { type CheckedRequest, judgeRequest } from "./judge.ts";
import { ownLocation } from "./location.ts";
import { isNavigation } from "./origin.ts";
import { posternRules } from "./rule-sets.ts";

const app = (
  path: string,
  login: LoginWay,
  more: Partial<PublishingRule> = {},
): PublishingRule => ({
  application: path.slice(1),
  hosts: [],
  path,
  methods: ["GET", "POST"],
  login,
  targets: "mail",
  ...more,
});
const rules = [
  app("/app", "form"),
  app("/basic", "basic"),
  app("/none", "none"),
  app("/open", "form", { crossOrigin: true }),
  ...posternRules([]),
];
const policy = compilePolicy(
  { version: 1, hosts: ["mail.example"], rules, login: { passkeys: false } },
  () => 443,
);

function request(
  target: string,
  headers: HeaderList = [],
  version: "1.1" | "2" = "1.1",
): CheckedRequest {
  const all: HeaderList = [["host", "mail.example"], ...headers];
  const head = { version, method: "GET", target, headers: all, body: 0, serverName: "" } as const;
  const judged = judgeRequest(head, policy, { headerMaxCount: 64, bodyMaxBytes: 100 });
  assert.ok(judged.ok, judged.ok ? "" : judged.why);
  return judged.request;
}

const crossing = (target: string, headers: HeaderList): HeaderList =>
  crossingHeaders(request(target, headers));
const relayed = (target: string, headers: HeaderList): HeaderList =>
  relayedHeaders(headers, request(target));
const valuesOf = (headers: HeaderList, wanted: string): readonly string[] =>
  headers.filter(([name]) => name === wanted).map(([, value]) => value);

describe("W4 W5 crossingHeaders(): nobody outside says who the client is, or what is asked", () => {
  const stripped: readonly string[] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-user",
    "x-forwarded-prefix",
    "forwarded",
    "x-webobjects-remote-user",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "via",
    "x-original-url",
    "x-rewrite-url",
    "x-original-host",
    "x-host",
    "proxy",
    "x-http-method-override",
    "x-method-override",
    "remote-user",
    "x-remote-user",
    "x-webauth-user",
    "x-webauth-role",
    "x-remote-group",
    "remote-email",
    "x-auth-request-groups",
    "front-end-https",
    "ssl-client-cert",
  ];
  for (const name of stripped) {
    test(name, () => {
      assert.deepEqual(
        crossing("/app", [
          [name, "x"],
          ["x-kept", "y"],
        ]),
        [["x-kept", "y"]],
      );
    });
  }

  test("Postern's own application gets a short list", () => {
    const kept = crossing("/mail/", [
      ["accept", "text/html"],
      ["cookie", "a=1"],
      ["authorization", "Basic eA=="],
      ["origin", "https://mail.example"],
      ["user-agent", "x"],
    ]);
    assert.deepEqual(kept, [["accept", "text/html"]]);
  });

  test("cookies of ours end at the edge, those of the application go on", () => {
    const cookie = `a=1; ${sessionCookie}=abcdefghijklmnop; __Host-postern-form=x; b=2`;
    assert.deepEqual(crossing("/app", [["cookie", cookie]]), [["cookie", "a=1; b=2"]]);
    assert.deepEqual(crossing("/app", [["cookie", `${sessionCookie}=abcdefghijklmnop`]]), []);
    assert.deepEqual(crossing("/app", [["cookie", "=__HOST-postern=x; c=3"]]), [["cookie", "c=3"]]);
    assert.deepEqual(crossing("/none", [["cookie", cookie]]), [["cookie", "a=1; b=2"]]);
  });

  test("credentials cross only where we ask for none", () => {
    const headers: HeaderList = [["authorization", "Bearer x"]];
    assert.deepEqual(crossing("/app", headers), []);
    assert.deepEqual(crossing("/basic", headers), []);
    assert.deepEqual(crossing("/none", headers), headers);
  });

  test("framing and hop-by-hop fields stay with the hop", () => {
    const headers: HeaderList = [
      ["content-length", "0"],
      ["connection", "keep-alive"],
      ["expect", "100-continue"],
    ];
    assert.deepEqual(crossing("/app", headers), []);
    assert.deepEqual(crossingHeaders(request("/app", [["te", "trailers"]], "2")), []);
  });
});

describe("W5 relayedHeaders(): what an application may not bring out", () => {
  const dropped: readonly (readonly [string, string])[] = [
    ["www-authenticate", 'Basic realm="inside"'],
    ["www-authenticate", "NTLM"],
    ["proxy-authenticate", "Basic"],
    ["transfer-encoding", "chunked"],
    ["content-length", "5"],
    ["connection", "close"],
    ["upgrade", "h2c"],
    ["trailer", "x"],
    ["alt-svc", 'h2="evil.example:443"'],
    ["clear-site-data", '"cookies"'],
    ["service-worker-allowed", "/"],
    ["refresh", "0;url=https://evil.example/"],
    ["public-key-pins", "x"],
    ["server", "Inside/1.0"],
    ["x-powered-by", "PHP/8"],
    ["x-sendfile", "/etc/passwd"],
    ["x-feserver", "EX01"],
    ["access-control-allow-origin", "*"],
    ["access-control-allow-credentials", "true"],
    ["location", "https://evil.example/"],
    ["location", "//evil.example/"],
    ["x-odd", "a\r\nset-cookie: b=c"],
    ["bad name", "x"],
  ];
  for (const [name, value] of dropped) {
    test(`${name}: ${JSON.stringify(value)}`, () => {
      assert.deepEqual(valuesOf(relayed("/app", [[name, value]]), name), []);
    });
  }

  test("what Connection names goes no further (RFC 9110 §7.6.1)", () => {
    const out = relayed("/app", [
      ["connection", "close, X-Hop"],
      ["x-hop", "1"],
      ["x-kept", "2"],
    ]);
    assert.deepEqual(valuesOf(out, "x-hop"), []);
    assert.deepEqual(valuesOf(out, "x-kept"), ["2"]);
  });

  test("ours stand over the application's", () => {
    const out = relayed("/app", [
      ["strict-transport-security", "max-age=0"],
      ["x-content-type-options", "none"],
      ["x-frame-options", "ALLOWALL"],
      ["content-security-policy", "frame-ancestors *"],
    ]);
    assert.match(valuesOf(out, "strict-transport-security").join(), /^max-age=63072000/);
    assert.deepEqual(valuesOf(out, "x-content-type-options"), ["nosniff"]);
    assert.deepEqual(valuesOf(out, "x-frame-options"), ["SAMEORIGIN"]);
    assert.deepEqual(valuesOf(out, "content-security-policy"), [
      "frame-ancestors *",
      "frame-ancestors 'self'",
    ]);
  });

  test("Postern's own answers keep a short list", () => {
    const out = relayed("/mail/", [
      ["content-type", "text/html"],
      ["set-cookie", "__Host-postern=stolen"],
      ["strict-transport-security", "max-age=0"],
      ["x-powered-by", "x"],
      ["location", "//evil.example/"],
      ["etag", 'a"\r\nx: y'],
    ]);
    assert.deepEqual(valuesOf(out, "content-type"), ["text/html"]);
    for (const name of ["set-cookie", "x-powered-by", "location", "etag"]) {
      assert.deepEqual(valuesOf(out, name), [], name);
    }
    assert.match(valuesOf(out, "strict-transport-security").join(), /max-age=63072000/);
    assert.match(valuesOf(out, "content-security-policy").join(), /default-src 'none'/);
  });

  test("every own answer carries the whole set, and takes what is given instead", () => {
    const out = ownHeaders([
      ["cache-control", "public"],
      ["location", "/mail/"],
    ]);
    for (const name of [
      "strict-transport-security",
      "content-security-policy",
      "x-content-type-options",
      "referrer-policy",
      "cross-origin-opener-policy",
      "cross-origin-resource-policy",
      "permissions-policy",
    ]) {
      assert.equal(valuesOf(out, name).length, 1, name);
    }
    assert.deepEqual(valuesOf(out, "cache-control"), ["public"]);
  });
});

describe("W12 nothing personal is stored between, nor without leave", () => {
  const cases: readonly (readonly [string, string | undefined, string])[] = [
    ["/mail/", undefined, "no-store"],
    ["/mail/", "private, max-age=60", "private, max-age=60"],
    ["/app", undefined, "no-store"],
    ["/app", "no-store", "no-store"],
    ["/app", "no-cache, no-store, must-revalidate", "no-store"],
    ["/app", "public, max-age=3600", "private, max-age=3600"],
    ["/app", "max-age=3600", "private, max-age=3600"],
    ["/app", "s-maxage=3600", "private"],
    ["/app", "PUBLIC, S-MaxAge=9, immutable", "private, immutable"],
    ["/app", "private", "private"],
    ["/app", "", "private"],
    ["/basic", "public", "private"],
    ["/none", undefined, "no-store"],
    ["/open", "public, max-age=60", "public, max-age=60"],
  ];
  for (const [target, given, expected] of cases) {
    test(`${target} with ${given ?? "nothing"}: ${expected}`, () => {
      const headers: HeaderList = given === undefined ? [] : [["cache-control", given]];
      assert.deepEqual(valuesOf(relayed(target, headers), "cache-control"), [expected]);
    });
  }
  test("other caches are told nothing of their own", () => {
    const out = relayed("/app", [
      ["surrogate-control", "max-age=9"],
      ["cdn-cache-control", "x"],
      ["age", "5"],
    ]);
    for (const name of ["surrogate-control", "cdn-cache-control", "age"]) {
      assert.deepEqual(valuesOf(out, name), []);
    }
  });
});

describe("cookies of applications", () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["a=1", "a=1; Secure; SameSite=Lax"],
    ["a=1; Path=/app; HttpOnly", "a=1; Path=/app; HttpOnly; Secure; SameSite=Lax"],
    ["a=1; Domain=.example; Path=/", "a=1; Path=/; Secure; SameSite=Lax"],
    ["a=1; DOMAIN = example ;secure", "a=1; Secure; SameSite=Lax"],
    ["a=1; SameSite=None", "a=1; Secure; SameSite=Lax"],
    ["a=1; SameSite=Strict", "a=1; Secure; SameSite=Strict"],
    ["a=; Max-Age=0", "a=; Max-Age=0; Secure; SameSite=Lax"],
    ["__Host-postern=stolen; Path=/", undefined],
    ["__host-POSTERN=stolen", undefined],
    [" __Host-postern =stolen", undefined],
    ["__Host-postern-form=x", undefined],
    ["__Host-posternx=x", undefined],
    ["=__Host-postern=stolen", undefined],
    ["__Host-postern", undefined],
    ["=x", undefined],
    ["", undefined],
    ["a=1\r\nx: y", undefined],
    ["a=\u0000", undefined],
    [`a=${"x".repeat(9000)}`, undefined],
  ];
  for (const [given, expected] of cases) {
    test(JSON.stringify(given.slice(0, 50)), () =>
      assert.equal(foreignCookie(given, false), expected),
    );
  }

  test("readCookie() finds one, and none when there are two", () => {
    const value = "abcdefghijklmnopqrstuvwxyz";
    const one = `${sessionCookie}=${value}`;
    assert.equal(readCookie(`a=b; ${one}; c=d`, sessionCookie), value);
    assert.equal(readCookie(`${one}; ${one}`, sessionCookie), undefined);
    assert.equal(readCookie(`${sessionCookie}=../../x`, sessionCookie), undefined);
    assert.equal(readCookie(`x${one}`, sessionCookie), undefined);
    assert.equal(readCookie(undefined, sessionCookie), undefined);
  });

  test("W8 setCookie() binds to host, TLS and HTTP", () => {
    const text = setCookie(sessionCookie, "abcdefghijklmnop", "Lax");
    for (const part of ["__Host-", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"]) {
      assert.ok(text.includes(part), part);
    }
    assert.ok(!/Domain|Max-Age/.test(text));
  });
});

test("W7 ownLocation() stays on the host (RFC 9110 §10.2.2)", () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["/app/x?y#z", "/app/x?y#z"],
    ["x/y", "x/y"],
    ["?_task=mail", "?_task=mail"],
    ["./x:y", "./x:y"],
    ["https://mail.example/app", "/app"],
    ["http://MAIL.example/app", "/app"],
    ["https://mail.example", "/"],
    ["https://mail.example?x", "/?x"],
    ["//mail.example/app", "/app"],
    // Exchange writes the port that goes without saying.
    ["https://mail.example:443/owa/", "/owa/"],
    ["http://mail.example:80/owa/", "/owa/"],
    ["http://mail.example:443/", undefined],
    ["https://mail.example:4430/", undefined],
    ["https://evil.example/", undefined],
    ["//evil.example/", undefined],
    ["https://mail.example@evil.example/", undefined],
    ["https://mail.example.evil.example/", undefined],
    ["https://mail.example:444/", undefined],
    ["https://mail.example//evil.example/", undefined],
    ["https:/evil.example/", undefined],
    ["https:evil.example", undefined],
    ["javascript:alert(1)", undefined],
    ["data:text/html,x", undefined],
    ["/\\evil.example/", undefined],
    ["\\\\evil.example", undefined],
    ["/\t/evil.example", undefined],
    [" //evil.example", undefined],
    ["/x\r\ny: z", undefined],
    ["", undefined],
  ];
  for (const [given, expected] of cases) {
    assert.equal(ownLocation(given, "mail.example"), expected, JSON.stringify(given));
  }
});

test("readBasic() reads a name and a password, and nothing else (RFC 7617)", () => {
  const of = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;
  assert.deepEqual(readBasic(of("ana@example.org:p:q")), {
    name: "ana@example.org",
    password: "p:q",
  });
  assert.deepEqual(readBasic(of("DOMAIN\\ana:grün")), { name: "DOMAIN\\ana", password: "grün" });
  for (const bad of ["ana", ":p", "a\u0000b:p", "ana:p\n", ""])
    assert.equal(readBasic(of(bad)), undefined, bad);
  for (const bad of [
    undefined,
    "",
    "Basic",
    "Basic !!",
    "Bearer eA==",
    `Basic ${"QUFB".repeat(600)}`,
  ]) {
    assert.equal(readBasic(bad), undefined, bad ?? "none");
  }
  assert.equal(readBasic(`Basic ${Buffer.of(0xff, 0x3a, 0x41).toString("base64")}`), undefined);
});

test("isNavigation() tells people from programs", () => {
  assert.equal(isNavigation({ headers: [["sec-fetch-mode", "navigate"]] }), true);
  assert.equal(
    isNavigation({
      headers: [
        ["sec-fetch-mode", "cors"],
        ["accept", "text/html"],
      ],
    }),
    false,
  );
  assert.equal(isNavigation({ headers: [["accept", "text/html,*/*"]] }), true);
  assert.equal(isNavigation({ headers: [] }), false);
});
