import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Script } from "node:vm";
import type { WebLogin } from "#contracts/web";
import {
  fromElsewhere,
  navigating,
  openDoor,
  own,
  pending,
  session,
  signedIn,
} from "./login-fixture.test.ts";

const right = { name: "ana@example", password: "right", step: "password" };

describe("the login form", () => {
  test("answers without any link, with no script, never stored, never framed", async () => {
    using house = openDoor();
    house.isUp = false;
    const page = await house.ask("/login", { headers: navigating });
    assert.equal(page.status, 200);
    assert.ok(!page.body.includes("<script"));
    assert.match(page.body, /<title>Sign in · mail\.example · Postern<\/title>/);
    assert.equal(page.header("cache-control"), "no-store");
    const policy = page.header("content-security-policy") ?? "";
    assert.match(policy, /frame-ancestors 'none'/);
    assert.match(policy, /form-action 'self'/);
    assert.ok(!policy.includes("script-src"));
    assert.match(page.header("strict-transport-security") ?? "", /max-age/);
  });

  test("says why it is shown, and nothing that a link brings along", async () => {
    using house = openDoor();
    const ended = await house.ask("/login?why=ended&return=%2Fowa%2Finbox");
    assert.match(ended.body, /role="status".*Your session has ended/);
    assert.match(ended.body, /name="return" value="\/owa\/inbox"/);
    const other = await house.ask("/login?why=%3Cb%3Ehello&name=%3Cb%3E");
    assert.ok(!other.body.includes("hello"));
    assert.ok(!other.body.includes("<b>"));
  });

  test("offers what the policy offers, and its script only with a passkey", async () => {
    using house = openDoor();
    house.offer = { passkeys: true, oidcLabel: 'Sign in at "Work" <&>' };
    const page = await house.ask("/login");
    assert.match(page.body, /Use a passkey/);
    assert.match(page.body, /Sign in at &quot;Work&quot; &lt;&amp;&gt;/);
    const policy = page.header("content-security-policy") ?? "";
    assert.match(policy, /script-src https:\/\/mail\.example\/login\/passkey\.js;/);
    assert.match(policy, /connect-src https:\/\/mail\.example\/login;/);
    const script = await house.ask("/login/passkey.js");
    assert.equal(script.status, 200);
    assert.match(script.header("content-type") ?? "", /^text\/javascript/);
    assert.equal(script.header("cache-control"), "no-store");
    assert.doesNotThrow(() => new Script(script.body)); // it parses
  });

  test("nothing else lies below it", async () => {
    using house = openDoor();
    assert.equal((await house.ask("/login/other")).status, 404);
    const posted = await house.ask("/login/oidc", { method: "POST", headers: own, body: "a=b" });
    assert.equal(posted.status, 405);
  });

  test("what is no form, too large or no step is refused before the inside is asked", async () => {
    using house = openDoor();
    const type = { "content-type": "application/x-www-form-urlencoded", ...own };
    const bad = [
      { headers: { ...own, "content-type": "text/plain" }, body: "name=a" },
      { headers: type, body: `name=${"a".repeat(20_000)}` },
      { headers: type, body: "name=a&name=b" },
      { headers: type, body: "name=%zz" },
      { headers: type, body: Array.from({ length: 30 }, (_, one) => `f${one}=1`).join("&") },
    ];
    for (const one of bad) {
      assert.equal((await house.ask("/login", { method: "POST", ...one })).status, 400);
    }
    assert.equal((await house.send({ step: "other" })).status, 400);
    assert.equal((await house.send({ step: "code", code: "123456" })).status, 400);
    assert.equal((await house.send({ step: "code", code: "1", pending: "a;b" })).status, 400);
    assert.equal(house.seen.length, 0);
  });
});

describe("a password", () => {
  test("W8 a right one gets a bound, hidden cookie, for as long as the inside says", async () => {
    using house = openDoor();
    const answer = await house.send({ ...right, computer: "private", return: "/mail/x" });
    assert.equal(answer.status, 303);
    assert.equal(answer.header("location"), "/mail/x");
    assert.equal(
      answer.cookies.get("__Host-postern"),
      `__Host-postern=${session}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=28800`,
    );
    const login = house.seen[0]?.header as Extract<WebLogin, { step: "password" }>;
    assert.deepEqual(
      [login.name, login.publicComputer, login.clientAddress, login.host],
      ["ana@example", false, "192.0.2.7", "mail.example"],
    );
  });

  test("W8 CAP-24 on a public computer the cookie is never written down", async () => {
    using house = openDoor();
    house.answer = () => ({ ...signedIn, publicComputer: true });
    const answer = await house.send({ ...right });
    assert.doesNotMatch(answer.cookies.get("__Host-postern") ?? "", /Max-Age/);
    const login = house.seen[0]?.header as Extract<WebLogin, { step: "password" }>;
    assert.equal(login.publicComputer, true, "public unless somebody says otherwise");
    house.answer = () => ({ ok: true, session, idleSeconds: 1, absoluteSeconds: 1 });
    const silent = await house.send({ ...right, computer: "private" });
    assert.doesNotMatch(silent.cookies.get("__Host-postern") ?? "", /Max-Age/);
  });

  test("W8 a session that was there before is ended, and its handle never taken over", async () => {
    using house = openDoor();
    const planted = "planted-handle-0123456789";
    const answer = await house.send(right, { cookies: { "__Host-postern": planted } });
    assert.match(answer.cookies.get("__Host-postern") ?? "", new RegExp(session));
    await turn();
    assert.deepEqual(house.seen[1], { kind: "logout", header: { session: planted } });
  });

  test("W11 every wrong pair gets the same octets, and never a browser's own box", async () => {
    using house = openDoor();
    house.answer = () => ({ ok: false, reason: "refused" });
    const one = await house.send({ ...right, password: "wrong" });
    const other = await house.send({ ...right, name: "bob@example", password: "wrong" });
    assert.deepEqual([one.status, other.status], [403, 403]);
    assert.match(one.body, /role="alert".*do not fit together/);
    assert.equal(one.body, other.body.replaceAll("bob@example", "ana@example"));
    assert.equal(one.header("www-authenticate"), undefined);
    assert.equal(one.cookies.has("__Host-postern"), false);
  });

  test("W10 each network is slowed down by itself", async () => {
    using house = openDoor(3);
    house.answer = () => ({ ok: false, reason: "refused" });
    const from = async (clientAddress: string): Promise<number> =>
      (await house.send({ ...right, password: "wrong" }, { clientAddress })).status;
    for (let tried = 0; tried < 3; tried += 1) assert.equal(await from("2001:db8::1"), 403);
    const slowed = await house.send(right, { clientAddress: "2001:db8::2" });
    assert.equal(slowed.status, 429);
    assert.equal(slowed.header("retry-after"), "60");
    assert.equal(await from("2001:db8:0:1::1"), 403);
    assert.equal(house.seen.length, 4);
  });

  test("what the inside says otherwise has its own status and words", async () => {
    using house = openDoor();
    house.answer = () => ({ ok: false, reason: "slow-down" });
    assert.equal((await house.send(right)).status, 429);
    house.answer = () => ({ ok: false, reason: "busy" });
    assert.equal((await house.send(right)).status, 503);
    house.isUp = false;
    const down = await house.send(right);
    assert.equal(down.status, 503);
    assert.match(down.body, /Out of reach/);
  });

  test("an answer of the inside that is none opens nothing", async () => {
    using house = openDoor();
    const strange: object[] = [
      {},
      { ok: true },
      { ok: true, session: "short", idleSeconds: 1, absoluteSeconds: 1 },
      { ok: true, session: `${session}; Domain=evil`, idleSeconds: 1, absoluteSeconds: 1 },
      { ok: true, session, idleSeconds: 1, absoluteSeconds: Number.NaN },
      { ok: false, reason: "second-factor", pending: "x", factors: ["code"] },
      { ok: false, reason: "second-factor", pending, factors: [] },
      { ok: false, reason: "challenge", pending, options: "{}" },
      { ok: false, reason: "redirect", pending, location: "https://op.example/" },
    ];
    for (const one of strange) {
      house.answer = () => one;
      const answer = await house.send(right);
      assert.equal(answer.status, 503, JSON.stringify(one));
      assert.equal(answer.cookies.has("__Host-postern"), false);
    }
  });
});

describe("leaving", () => {
  test("W8 signing out ends the session inside and clears what the browser kept", async () => {
    using house = openDoor();
    const answer = await house.logout({ "__Host-postern": session });
    await turn();
    assert.deepEqual(house.seen, [{ kind: "logout", header: { session } }]);
    assert.equal(answer.header("location"), "/login?why=signed-out");
    assert.equal(answer.header("clear-site-data"), '"cache", "storage"');
    assert.match(answer.cookies.get("__Host-postern") ?? "", /Max-Age=0/);
    house.isUp = false;
    assert.equal((await house.logout({ "__Host-postern": session })).status, 303);
  });

  test("W9 a link to sign out asks first: applications lead there when somebody leaves them", async () => {
    using house = openDoor();
    const asked = await house.logout({ "__Host-postern": session }, "GET");
    await turn();
    assert.equal(asked.status, 200);
    assert.ok(asked.body.includes('<form method="post" action="/logout">'));
    assert.deepEqual(house.seen, [], "nothing has ended");
    assert.equal(asked.header("clear-site-data"), undefined);
    const gone = await house.logout({}, "GET");
    assert.equal(gone.header("location"), "/login?why=signed-out");
    assert.equal(gone.header("clear-site-data"), undefined);
  });

  test("CAP-23 an ended session leads to the form, says so, and comes back", async () => {
    using house = openDoor();
    const answer = await house.askFor("/owa/inbox?sort=date", true);
    assert.equal(answer.status, 303);
    assert.equal(answer.header("location"), "/login?return=%2Fowa%2Finbox%3Fsort%3Ddate&why=ended");
    assert.match(answer.cookies.get("__Host-postern") ?? "", /Max-Age=0/);
    const fresh = await house.askFor("/mail/", false);
    assert.equal(fresh.header("location"), "/login?return=%2Fmail%2F");
    assert.equal(fresh.cookies.size, 0);
  });

  test("CAP-20 a way back with escapes survives the way to the form and through it", async () => {
    using house = openDoor();
    const path = "/owa/M%C3%BCll/50%25%20%26%20more?subject=%F0%9F%93%AC..%26";
    const led = (await house.askFor(path, false)).header("location") ?? "";
    const form = await house.ask(led, { headers: navigating });
    assert.equal(form.status, 200);
    const back = /name="return" value="([^"]*)"/.exec(form.body)?.[1]?.replaceAll("&amp;", "&");
    assert.equal((await house.send({ ...right, return: back ?? "" })).header("location"), path);
  });

  test("CAP-23 a program is told 401 and never offered Basic", async () => {
    using house = openDoor();
    const answer = await house.askFor("/mail/", true, { headers: { "sec-fetch-mode": "cors" } });
    assert.equal(answer.status, 401);
    assert.equal(answer.header("www-authenticate"), undefined);
    assert.match(answer.cookies.get("__Host-postern") ?? "", /Max-Age=0/);
  });

  test("a form that was sent without a session comes back to the start, not to its own path", async () => {
    using house = openDoor();
    const given = { method: "POST", headers: { ...own, ...navigating } };
    const answer = await house.askFor("/owa/send", true, given);
    assert.equal(answer.header("location"), "/login?return=%2Fmail%2F&why=ended");
  });
});

describe("W7 where a login leads", () => {
  const nowhere = [
    ...["//evil.example/", "https://evil.example/", "/\\evil.example", "\\\\evil.example"],
    ...["/%2Fevil.example", "/%5Cevil.example", "/mail/..//evil.example", "/mail/%2e%2e/admin"],
    ...["javascript:alert(1)", "/mail/\r\nSet-Cookie: a=b", "/mail/%0d%0aSet-Cookie:a", "/admin"],
    ...["/mailevil", "mail/", "", "/login?return=/mail/", "/logout", "/other/x", "/sync/x"],
    ...[" /mail/", "/mail/\u0000", `/owa/${"a".repeat(4000)}`, "///", "/owa/..;/x", "/owa//x"],
  ];
  test(`${nowhere.length} foreign or odd paths lead to the start page of this host`, async () => {
    using house = openDoor();
    for (const path of nowhere) {
      const answer = await house.send({ ...right, return: path });
      assert.equal(answer.header("location"), "/mail/", JSON.stringify(path));
      if (path.length > 2000) continue; // the front takes no such address
      const query = new URLSearchParams({ back: Buffer.from(path).toString("base64url") });
      const form = await house.ask(`/login?${query}`, { headers: navigating });
      assert.match(form.body, /name="return" value="\/mail\/"/, JSON.stringify(path));
    }
  });

  test("published paths of this host are kept", async () => {
    using house = openDoor();
    for (const path of ["/mail/", "/mail/message", "/owa/", "/owa/x/y?ae=Item&t=IPM.Note"]) {
      assert.equal((await house.send({ ...right, return: path })).header("location"), path);
    }
  });
});

describe("W9 whose form it is", () => {
  test("a form of another site, or without our token, signs nobody in", async () => {
    using house = openDoor();
    const evil = { origin: "https://evil.example", "sec-fetch-site": "cross-site" };
    const sent = [
      await house.send(right, { headers: evil }),
      await house.send(right, { headers: { origin: "null", "sec-fetch-site": "cross-site" } }),
      await house.send(right, { headers: { ...own, "sec-fetch-site": "same-site" } }),
      await house.send({ ...right, token: "another-token-0123456" }),
      await house.send({ ...right, token: "" }),
      await house.send(right, { cookies: { "__Host-postern-form": "another-token-0123456" } }),
      await house.send(right, { cookies: { "__Host-postern-form": "" } }),
    ];
    for (const answer of sent) {
      assert.equal(answer.status, 403);
      assert.equal(answer.cookies.has("__Host-postern"), false);
    }
    assert.match(sent[3]?.body ?? "", /too old/);
    assert.equal(house.seen.length, 0);
  });

  test("a form may be opened by a link, and its token is the cookie's", async () => {
    using house = openDoor();
    const page = await house.ask("/login", { headers: fromElsewhere });
    assert.equal(page.status, 200);
    const cookie = page.cookies.get("__Host-postern-form") ?? "";
    assert.match(cookie, /^__Host-postern-form=([A-Za-z0-9_-]{32}); Path=\/; Secure; HttpOnly; Sa/);
    assert.match(cookie, /SameSite=Strict/);
    assert.ok(page.body.includes(`name="token" value="${cookie.slice(20, 52)}"`));
  });
});
