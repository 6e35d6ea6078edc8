import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { WebLogin } from "#contracts/web";
import { openHouse, own, session } from "./fixture.test.ts";

const house = await openHouse();
after(() => house[Symbol.asyncDispose]());

describe("the login form", () => {
  test("answers without any link, with no script and the whole set of headers", async () => {
    house.isUp = false;
    const page = await house.ask("/login");
    house.isUp = true;
    assert.equal(page.status, 200);
    assert.ok(!page.body.includes("<script"));
    assert.match(String(page.headers["strict-transport-security"]), /max-age/);
    assert.equal(page.headers["cache-control"], "no-store");
    assert.match(String(page.headers["content-security-policy"]), /frame-ancestors 'none'/);
  });

  test("takes a right password once over the link and sets a bound, hidden cookie (W8)", async () => {
    house.seen.length = 0;
    const answer = await house.logIn({ password: "right", computer: "public", return: "/mail/x" });
    assert.equal(answer.status, 303);
    assert.equal(answer.headers["location"], "/mail/x");
    const [set] = answer.headers["set-cookie"] as string[];
    assert.equal(set, `__Host-postern=${session}; Path=/; Secure; HttpOnly; SameSite=Lax`);
    assert.equal(house.seen.length, 1);
    const header = house.seen[0]?.header as WebLogin;
    assert.deepEqual([header.name, header.publicComputer], ["ana@example", true]);
  });

  test("keeps the cookie on a private computer as long as the inside says", async () => {
    const answer = await house.logIn({ password: "right", computer: "private" });
    assert.match(String(answer.headers["set-cookie"]), /Max-Age=28800/);
  });

  test("says the same for every wrong pair and never asks by a browser's own box", async () => {
    const one = await house.logIn({ password: "wrong" });
    const other = await house.logIn({ password: "wrong", name: "nobody@example" });
    assert.deepEqual([one.status, other.status], [403, 403]);
    assert.match(one.body, /do not fit together/);
    assert.equal(one.headers["www-authenticate"], undefined);
    assert.equal(one.headers["set-cookie"]?.toString().includes("__Host-postern="), false);
  });

  test("refuses a form that another site sent, or whose token is not the cookie's (W9)", async () => {
    const evil = { origin: "https://evil.example", "sec-fetch-site": "cross-site" };
    assert.equal((await house.logIn({ password: "right" }, evil)).status, 403);
    assert.equal((await house.logIn({ password: "right", token: "other" })).status, 403);
    const bare = await house.ask("/login", {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded", ...own },
      body: "name=a&password=right&token=",
    });
    assert.equal(bare.status, 403);
    assert.match(bare.body, /too old/);
  });

  test("leads nowhere else afterwards (W7)", async () => {
    const answer = await house.logIn({ password: "right", return: "//evil.example/" });
    assert.equal(answer.headers["location"], "/mail/");
  });

  test("says that the inside is out of reach while no link is up", async () => {
    house.isUp = false;
    const answer = await house.logIn({ password: "right" });
    house.isUp = true;
    assert.equal(answer.status, 503);
  });
});
