import assert from "node:assert/strict";
import { describe, test } from "node:test";
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
import { loginOutcome } from "./login-inside.ts";

const right = { name: "ana@example", password: "right", step: "password" };
const secondFactor = { ok: false, reason: "second-factor", pending, factors: ["code", "passkey"] };
const provider = "https://op.example/authorize?client_id=p&state=abc";
const cookieValue = (text: string | undefined): string => /=([^;]*)/.exec(text ?? "")?.[1] ?? "";

describe("the second factor", () => {
  test("a right password leads to it and signs nobody in", async () => {
    using house = openDoor();
    house.answer = () => secondFactor;
    const page = await house.send({ ...right, return: "/owa/x" });
    assert.equal(page.status, 200);
    assert.equal(page.cookies.has("__Host-postern"), false);
    assert.match(page.body, /autocomplete="one-time-code"/);
    assert.match(page.body, /Use a recovery code/);
    assert.match(page.body, /Use a passkey/);
    assert.ok(page.body.includes(`name="pending" value="${pending}"`));
    assert.ok(page.body.includes('name="return" value="/owa/x"'));
    assert.match(page.header("content-security-policy") ?? "", /script-src/);
  });

  test("offers only what the account has", async () => {
    using house = openDoor();
    house.answer = () => ({ ...secondFactor, factors: ["code", "carrier-pigeon"] });
    const page = await house.send(right);
    assert.ok(!page.body.includes("passkey"));
    assert.doesNotMatch(page.header("content-security-policy") ?? "", /script-src/);
  });

  test("a right code signs in; blanks that people type in it do not matter", async () => {
    using house = openDoor();
    const answer = await house.send({ step: "code", pending, code: "123 456", return: "/owa/x" });
    assert.equal(answer.header("location"), "/owa/x");
    assert.match(answer.cookies.get("__Host-postern") ?? "", new RegExp(session));
    const login = house.seen[0]?.header as Extract<WebLogin, { step: "code" }>;
    assert.deepEqual([login.step, login.pending, login.code], ["code", pending, "123456"]);
  });

  test("a wrong one is told, and may be tried again while the inside allows it", async () => {
    using house = openDoor();
    house.answer = () => secondFactor;
    const again = await house.send({ step: "code", pending, code: "000000" });
    assert.equal(again.status, 403);
    assert.match(again.body, /That code does not fit/);
    assert.match(again.body, /aria-invalid="true"/);
    house.answer = () => ({ ok: false, reason: "refused" });
    const over = await house.send({ step: "code", pending, code: "000000" });
    assert.equal(over.status, 403);
    assert.match(over.body, /Please sign in again/);
    assert.match(over.body, /name="password"/);
  });
});

describe("a passkey", () => {
  const options = { challenge: "AAEC", rpId: "mail.example", allowCredentials: [] };

  test("gets its challenge as JSON, and nobody's name is in it", async () => {
    using house = openDoor();
    house.answer = () => ({
      ...{ ok: false, reason: "challenge", pending, options: JSON.stringify(options) },
    });
    const answer = await house.send({ step: "passkey-challenge", computer: "private" });
    assert.equal(answer.status, 200);
    assert.equal(answer.header("content-type"), "application/json");
    assert.equal(answer.header("cache-control"), "no-store");
    assert.deepEqual(JSON.parse(answer.body), { pending, options });
    const login = house.seen[0]?.header as Extract<WebLogin, { step: "passkey-challenge" }>;
    assert.deepEqual([login.publicComputer, login.pending], [false, undefined]);
    await house.send({ step: "passkey-challenge", pending });
    assert.partialDeepStrictEqual(house.seen[1]?.header, { pending });
  });

  test("a refusal is words for the script, with the status a person would get", async () => {
    using house = openDoor();
    house.answer = () => ({ ok: false, reason: "busy" });
    const busy = await house.send({ step: "passkey-challenge" });
    assert.equal(busy.status, 503);
    assert.match(JSON.parse(busy.body).text, /busy/);
    const stale = await house.send({ step: "passkey-challenge", token: "x" });
    assert.equal(stale.status, 403);
    assert.match(JSON.parse(stale.body).text, /too old/);
  });

  test("its answer signs in, or is refused with the form", async () => {
    using house = openDoor();
    const credential = JSON.stringify({ id: "x", response: { signature: "=" } });
    const answer = await house.send({ step: "passkey", pending, credential });
    assert.equal(answer.status, 303);
    const login = house.seen[0]?.header as Extract<WebLogin, { step: "passkey" }>;
    assert.equal(login.credential, credential);
    house.answer = () => ({ ok: false, reason: "refused" });
    const refused = await house.send({ step: "passkey", pending, credential });
    assert.equal(refused.status, 403);
    assert.match(refused.body, /passkey was not accepted/);
  });
});

describe("W9 an OpenID provider", () => {
  const start = async (house: ReturnType<typeof openDoor>, returnPath: string) => {
    house.answer = () => ({ ok: false, reason: "redirect", pending, location: provider });
    return house.send({ step: "oidc-start", computer: "private", return: returnPath });
  };

  test("the form leads there by a page that goes on itself; form-action stays 'self'", async () => {
    using house = openDoor();
    const page = await start(house, "/owa/x");
    assert.equal(page.status, 200);
    const shown = provider.replaceAll("&", "&amp;");
    assert.ok(page.body.includes(`<meta http-equiv="refresh" content="0;url=${shown}">`));
    assert.ok(page.body.includes(`href="${shown}"`));
    assert.match(page.header("content-security-policy") ?? "", /form-action 'self'/);
    assert.match(
      page.cookies.get("__Host-postern-oidc") ?? "",
      /=pending-handle-0123456789; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=600$/,
    );
  });

  test("who comes back with the same browser is signed in and led on; the cookies are spent", async () => {
    using house = openDoor();
    const page = await start(house, "/owa/x?y=1");
    const cookies = Object.fromEntries(
      [...page.cookies].map(([name, set]) => [name, cookieValue(set)]),
    );
    house.answer = () => signedIn;
    const back = await house.ask("/login/oidc?code=abc%2Fd&state=s", {
      headers: fromElsewhere,
      cookies,
    });
    assert.equal(back.status, 303);
    assert.equal(back.header("location"), "/owa/x?y=1");
    const login = house.seen.at(-1)?.header as Extract<WebLogin, { step: "oidc" }>;
    assert.deepEqual([login.pending, login.query], [pending, "code=abc%2Fd&state=s"]);
    assert.match(back.cookies.get("__Host-postern") ?? "", new RegExp(session));
    for (const name of ["__Host-postern-oidc", "__Host-postern-return"]) {
      assert.match(back.cookies.get(name) ?? "", /Max-Age=0/);
    }
  });

  test("somebody else's way back, in a browser that never left, signs nobody in", async () => {
    using house = openDoor();
    const query = "/login/oidc?code=stolen&state=s";
    const bare = await house.ask(query, { headers: fromElsewhere });
    const head = await house.ask(query, {
      ...{ method: "HEAD", headers: fromElsewhere },
      cookies: { "__Host-postern-oidc": pending },
    });
    const framed = await house.ask(query, {
      headers: { ...fromElsewhere, "sec-fetch-dest": "iframe" },
      cookies: { "__Host-postern-oidc": pending },
    });
    assert.deepEqual([bare.status, head.status, framed.status], [403, 403, 403]);
    assert.equal(house.seen.length, 0);
  });

  test("W7 a way back that was put into the cookie leads nowhere else", async () => {
    using house = openDoor();
    for (const path of ["https://evil.example/", "//evil.example", "/other/"]) {
      const back = await house.ask("/login/oidc?code=a&state=s", {
        headers: fromElsewhere,
        cookies: {
          "__Host-postern-oidc": pending,
          "__Host-postern-return": Buffer.from(`return-path:${path}`).toString("base64url"),
        },
      });
      assert.equal(back.header("location"), "/mail/");
    }
  });

  test("a refusal says so on the form; a second factor may follow", async () => {
    using house = openDoor();
    const given = { headers: fromElsewhere, cookies: { "__Host-postern-oidc": pending } };
    house.answer = () => ({ ok: false, reason: "refused" });
    const refused = await house.ask("/login/oidc?error=access_denied", given);
    assert.equal(refused.status, 403);
    assert.match(refused.body, /Signing in elsewhere did not succeed/);
    house.answer = () => secondFactor;
    assert.match((await house.ask("/login/oidc?code=a", given)).body, /One more step/);
  });
});

describe("loginOutcome()", () => {
  test("leads nobody to an address that is not of the web", () => {
    const addresses = ["javascript:alert(1)", "data:text/html,x", "//op.example", "https://u:p@x/"];
    for (const location of addresses) {
      assert.equal(loginOutcome({ ok: false, reason: "redirect", pending, location }), undefined);
    }
  });

  test("never throws, whatever it is given (seeded)", () => {
    let seed = 7;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return (seed >>> 8) % below;
    };
    const values = [null, undefined, 1, -1, Number.NaN, "", "refused", pending, [], {}, true, "{}"];
    const names = ["ok", "reason", "pending", "factors", "options", "location", "session"];
    for (let round = 0; round < 5_000; round += 1) {
      const answer = Object.fromEntries(names.map((name) => [name, values[random(values.length)]]));
      const outcome = loginOutcome(answer);
      if (outcome?.ok) assert.match(outcome.session, /^[A-Za-z0-9_-]{16,256}$/);
    }
    assert.equal(loginOutcome("text"), undefined);
    assert.equal(loginOutcome([]), undefined);
  });

  test("the script asks as the form does (names of steps and fields)", async () => {
    using house = openDoor();
    house.offer = { passkeys: true };
    const { body } = await house.ask("/login/passkey.js", { headers: { ...own, ...navigating } });
    const form = (await house.ask("/login")).body;
    for (const field of ["token", "pending", "credential"]) {
      assert.ok(body.includes(`form.elements.${field}`));
      assert.ok(form.includes(`name="${field}"`));
    }
  });
});
