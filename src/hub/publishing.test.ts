import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultsOf } from "#base/parameters";
import type { LoginOffer } from "#model/publishing";
import { compilePolicy, judgeRequest, ruleSetNames, ruleSets } from "#proxy";
import {
  checkPublishedHosts,
  completePublication,
  type Publication,
  publicationParameters,
  webPolicyOf,
} from "./publishing.ts";

const offer: LoginOffer = { passkeys: true };
const given = (change: Partial<Publication>): Publication => ({
  ...defaultsOf(publicationParameters),
  upstream: "https://inside.example",
  ...change,
});
const publish = (change: Partial<Publication>, name = "app") =>
  completePublication(name, given(change));

function policyOf(
  applications: ReturnType<typeof publish>[],
  hosts = ["mail.example", "app.example"],
) {
  return compilePolicy(webPolicyOf(hosts, applications, offer, 1), () => 443);
}

function reached(
  policy: ReturnType<typeof policyOf>,
  method: string,
  url: string,
  login?: string,
): string | number {
  const [, host = "", target = ""] = /^([^/]+)(\/.*)$/.exec(url) ?? [];
  const headers = [
    ["host", host],
    ["origin", `https://${host}`],
  ] as const;
  const head = { version: "1.1", method, target, headers, body: 0, serverName: host } as const;
  const judged = judgeRequest(head, policy, { headerMaxCount: 64, bodyMaxBytes: 1000 });
  if (!judged.ok) return judged.status;
  const { route } = judged.request;
  if (route.kind !== "application") return route.kind;
  if (login !== undefined) assert.equal(route.rule.login, login, url);
  return route.rule.application;
}

describe("CAP-21 an application is published by configuration alone", () => {
  test("below a path, on every name", () => {
    const policy = policyOf([publish({ path: "/app" })]);
    assert.equal(reached(policy, "GET", "mail.example/app/x"), "app");
    assert.equal(reached(policy, "DELETE", "app.example/app/x"), "app");
    assert.equal(reached(policy, "GET", "mail.example/apple"), 404);
    assert.equal(reached(policy, "GET", "mail.example/mail/"), "postern");
  });

  test("on a name of its own, which is Postern's no more but for the login", () => {
    const policy = policyOf([publish({ hosts: ["App.example"] })]);
    assert.equal(reached(policy, "GET", "app.example/"), "app");
    assert.equal(reached(policy, "GET", "app.example/mail/x"), "app");
    assert.equal(reached(policy, "GET", "app.example/login"), "login");
    assert.equal(reached(policy, "GET", "mail.example/mail/x"), "postern");
    assert.equal(reached(policy, "GET", "mail.example/x"), 404);
  });

  test("with its own login way, methods, sizes and WebSocket", () => {
    const [rule] = publish({
      path: "/app",
      login: "basic",
      methods: ["GET", "BREW"],
      webSocket: true,
      bodyMaxBytes: 5,
    }).rules;
    assert.deepEqual(rule, {
      application: "app",
      hosts: [],
      path: "/app",
      methods: ["GET", "BREW"],
      login: "basic",
      targets: "mail",
      webSocket: true,
      bodyMaxBytes: 5,
    });
  });
});

describe("CAP-22 the ready-made sets publish what their applications need", () => {
  const all = policyOf(
    [
      publish({ ruleSets: ["roundcube"] }, "roundcube"),
      publish({ ruleSets: ["sogo"] }, "sogo"),
      publish(
        { ruleSets: ruleSetNames.filter((name) => name.startsWith("exchange-")) },
        "exchange",
      ),
    ],
    ["mail.example"],
  );
  const cases: readonly (readonly [string, string, string | number, string?])[] = [
    ["GET", "/roundcube/?_task=mail", "roundcube", "form"],
    ["POST", "/roundcube/?_task=login", "roundcube", "form"],
    ["GET", "/roundcube", "roundcube", "form"],
    ["POST", "/roundcube/index.php", "roundcube", "form"],
    ["GET", "/roundcube/skins/elastic/styles/styles.min.css?s=1", "roundcube", "form"],
    ["GET", "/roundcube/program/js/app.min.js", "roundcube", "form"],
    ["GET", "/roundcube/static.php/program/js/app.min.js", "roundcube", "form"],
    ["POST", "/roundcube/plugins/x/run.php", 405],
    ["GET", "/roundcube/program/lib/Roundcube/bootstrap.php", 404],
    ["GET", "/roundcube/config/config.inc.php", 404],
    ["GET", "/roundcube/installer/", 404],
    ["GET", "/roundcube/.git/config", 404],
    ["GET", "/SOGo/so/ana/Mail/view", "sogo", "form"],
    ["POST", "/SOGo/connect", "sogo", "form"],
    ["GET", "/SOGo.woa/WebServerResources/css/styles.css", "sogo", "form"],
    ["GET", "/SOGo.woa/other", 404],
    ["PROPFIND", "/SOGo/dav/ana/Calendar/personal/", "sogo", "basic"],
    ["REPORT", "/SOGo/dav/ana@example.org/Contacts/", "sogo", "basic"],
    ["PROPFIND", "/.well-known/caldav", "sogo", "basic"],
    ["GET", "/.well-known/carddav", "sogo", "basic"],
    ["GET", "/owa/", "exchange", "form"],
    ["POST", "/OWA/service.svc", "exchange", "form"],
    ["GET", "/ecp/", "exchange", "form"],
    ["POST", "/EWS/Exchange.asmx", "exchange", "basic"],
    ["OPTIONS", "/Microsoft-Server-ActiveSync", "exchange", "basic"],
    ["POST", "/microsoft-server-activesync?Cmd=Ping", "exchange", "basic"],
    ["GET", "/Microsoft-Server-ActiveSync", 405],
    ["POST", "/mapi/emsmdb/?MailboxId=x", "exchange", "basic"],
    ["POST", "/Autodiscover/Autodiscover.xml", "exchange", "basic"],
    ["GET", "/autodiscover/autodiscover.json", "exchange", "basic"],
    ["GET", "/PowerShell/", 404],
    ["GET", "/mail/", "postern", "form"],
    ["GET", "/.well-known/autoconfig/mail/config-v1.1.xml", "postern", "none"],
  ];
  for (const [method, target, expected, login] of cases) {
    test(`${method} ${target}: ${expected}`, () => {
      assert.equal(reached(all, method, `mail.example${target}`, login), expected);
    });
  }

  test("Autodiscover is Postern's own where no Exchange is published", () => {
    const own = policyOf([], ["mail.example"]);
    assert.equal(
      reached(own, "POST", "mail.example/Autodiscover/autodiscover.xml", "none"),
      "postern",
    );
  });

  test("the reference names every set, and every set is one", () => {
    for (const name of ruleSetNames) {
      assert.ok(publicationParameters.ruleSets.doc.includes(name), name);
      assert.ok(
        ruleSets[name].rules("/x").every(({ path }) => path.startsWith("/")),
        name,
      );
    }
  });
});

describe("completePublication() says which key is wrong", () => {
  const cases: readonly (readonly [Partial<Publication>, RegExp])[] = [
    [{ ruleSets: ["roundcub"] }, /^publish\.app\.ruleSets .*did you mean "roundcube"\?$/],
    [{ ruleSets: [] }, /^publish\.app\.ruleSets /],
    [{ hosts: ["a b"] }, /^publish\.app\.hosts /],
    [{ hosts: ["https://x.example"] }, /^publish\.app\.hosts /],
    [{ path: "app" }, /^publish\.app\.path /],
    [{ path: "/a/../b" }, /^publish\.app\.path /],
    [{ path: "/a%20b" }, /^publish\.app\.path /],
    [{ path: "/a;b" }, /^publish\.app\.path /],
    [{ path: "/x", ruleSets: ["sogo"] }, /^publish\.app\.path /],
    [{ methods: ["get"] }, /^publish\.app\.methods /],
    [{ methods: ["TRACE"] }, /^publish\.app\.methods /],
    [{ methods: ["CONNECT"] }, /^publish\.app\.methods /],
    [{ upstream: "inside" }, /^publish\.app\.upstream /],
    [{ upstream: "http://inside.example" }, /^publish\.app\.upstream /],
  ];
  for (const [change, message] of cases) {
    test(JSON.stringify(change), () => {
      assert.throws(() => publish(change), { name: "Misconfigured", message });
    });
  }
  test("names of applications and hosts", () => {
    for (const name of ["postern", "A", "a b", "", "1x"]) {
      assert.throws(() => publish({}, name), { name: "Misconfigured" }, name);
    }
    const app = publish({ hosts: ["other.example"] });
    assert.throws(() => checkPublishedHosts(["mail.example"], [app]), /"other.example"/);
    assert.throws(() => checkPublishedHosts(["mail example"], []), /web\.hosts/);
    const [one, two] = ["one", "two"].map((name) => publish({ path: "/wiki" }, name));
    assert.ok(one !== undefined && two !== undefined);
    assert.throws(() => checkPublishedHosts([], [one, two]), {
      message: "publish.two.path /wiki is published by [publish.one] too",
    });
    const elsewhere = publish({ path: "/wiki", hosts: ["a.example"] }, "two");
    assert.deepEqual(checkPublishedHosts(["a.example"], [one, elsewhere]), ["a.example"]);
    assert.deepEqual(checkPublishedHosts(["Mail.example", "mail.example", "[::1]"], []), [
      "mail.example",
      "[::1]",
    ]);
  });
});

test("the policy says what the login page may offer, and which hosts there are", () => {
  const policy = webPolicyOf(["mail.example"], [], { passkeys: true, oidcLabel: "House" }, 7);
  assert.deepEqual(policy.login, { passkeys: true, oidcLabel: "House" });
  assert.deepEqual([policy.version, policy.hosts], [7, ["mail.example"]]);
});
