import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compilePolicy } from "./compiled-policy.ts";
import { safeReturnPath } from "./return-path.ts";
import { posternRules, ruleSets } from "./rule-sets.ts";

const named = (application: string, hosts: readonly string[], path: string) =>
  ruleSets.web.rules(path).map((shape) => ({ application, hosts, ...shape }));
const policy = compilePolicy(
  {
    version: 1,
    hosts: ["mail.example", "wiki.example"],
    rules: [
      ...named("wiki", ["wiki.example"], "/"),
      ...named("shop", ["mail.example"], "/shop"),
      ...ruleSets["exchange-owa"].rules("").map((shape) => {
        return { application: "owa", hosts: ["mail.example"], ...shape };
      }),
      ...ruleSets["exchange-ews"].rules("").map((shape) => {
        return { application: "ews", hosts: ["mail.example"], ...shape };
      }),
      ...posternRules(["mail.example"]),
    ],
    login: { passkeys: true },
  },
  () => 443,
);
const back = (text: string | null | undefined, host = "mail.example"): string =>
  safeReturnPath(text, { policy, host });

describe("W7 safeReturnPath() leads into what is published here", () => {
  const good = [
    "/mail/",
    "/mail/inbox",
    "/mail/message/abc-1",
    "/mail/a/b/",
    "/shop",
    "/shop/a?b=c",
  ];
  for (const path of [...good, "/shop/x?y=https%3A%2F%2Fevil.example", "/owa/", "/OWA/?ae=Item"]) {
    test(path, () => assert.equal(back(path), path));
  }

  const bad: readonly (string | null | undefined)[] = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example/mail/",
    "https:/mail/",
    "javascript:alert(1)",
    "/mail/../login",
    "/mail/%2e%2e/shop",
    "/mail//evil",
    "/mail/\r\nSet-Cookie:a=b",
    "/mail/%0d%0aSet-Cookie:a=b",
    "/mail/#x",
    "/mail/a@b",
    "/mail",
    "\t/mail/",
    " /mail/",
    "/shop/..//evil.example",
    "/shop/%2f%2fevil.example",
    "/shop/%5cevil.example",
    "/shopping",
    "/owa/a.",
    "/EWS/exchange.asmx",
    "/jmap/api",
    "/jmap/session",
    "/autodiscover/autodiscover.xml",
    "/.well-known/change-password",
    "/login",
    "/login/x",
    "/logout",
    "/nowhere",
    "",
    "/",
    null,
    undefined,
    `/mail/${"a/".repeat(2000)}`,
  ];
  for (const path of bad) {
    test(JSON.stringify(path?.slice(0, 40) ?? path), () => assert.equal(back(path), "/mail/"));
  }

  test("a query of our own application is left out", () => {
    assert.equal(back("/mail/inbox?next=https://evil.example"), "/mail/inbox");
  });

  test("home is the application where it has the host to itself", () => {
    assert.equal(back("//evil.example", "wiki.example"), "/");
    assert.equal(back("/page?x=1", "wiki.example"), "/page?x=1");
    assert.equal(back("/logout", "wiki.example"), "/");
    assert.equal(back("/mail/", "wiki.example"), "/mail/");
  });
});
