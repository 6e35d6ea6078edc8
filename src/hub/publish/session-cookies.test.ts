import assert from "node:assert/strict";
import { createServer } from "node:http";
import { describe, test } from "node:test";
import { seededRandom } from "#base/random";
import type { HeaderList } from "#contracts/web";
import { application, edgeTo, handle, headersOf, portOf, publicHandle } from "./fixture.test.ts";
import { type CookieSeal, cookieSeals, withoutSession } from "./session-cookies.ts";

const seals = cookieSeals();
const ana = seals("app", "session-of-ana");
const ben = seals("app", "session-of-ben");

const setBy = (seal: CookieSeal, field: string): string =>
  seal.sealed([["set-cookie", field]])[0]?.[1] ?? "";
const pair = (field: string): string => field.split(";")[0] ?? "";
const sent = (seal: CookieSeal, cookie: string): string | undefined =>
  seal.opened([["cookie", cookie]])[0]?.[1];

describe("CAP-23 W8 an application's cookies end with the session that it set them in", () => {
  const given = "sid=a=b+c/~!; Path=/app; HttpOnly; SameSite=Lax";
  const sealed = setBy(ana, given);

  test("they come back as they were set, beside those that pages set", () => {
    assert.ok(!sealed.includes("a=b+c"));
    assert.ok(sealed.endsWith("; Path=/app; HttpOnly; SameSite=Lax"));
    assert.equal(sent(ana, `x=1; ${pair(sealed)};  y=2`), "x=1; sid=a=b+c/~!; y=2");
  });

  test("nobody else's session opens them, nor another name, application, hub, or none", () => {
    assert.equal(sent(ben, `x=1; ${pair(sealed)}`), "x=1");
    assert.equal(sent(ben, pair(sealed)), undefined, "no empty field");
    assert.equal(sent(ana, `sid2${pair(sealed).slice(3)}`), undefined);
    assert.equal(sent(seals("other", "session-of-ana"), pair(sealed)), undefined);
    assert.equal(sent(cookieSeals()("app", "session-of-ana"), pair(sealed)), undefined);
    assert.equal(sent(withoutSession, `${pair(sealed)}; x=1`), "x=1");
  });

  test("what scripts read, what is removed and what would be too long stays as it is", () => {
    for (const field of [
      "canary=abc; Path=/",
      "sid=; Max-Age=0; HttpOnly",
      `sid=${"x".repeat(4000)}; HttpOnly`,
      "nothing",
    ]) {
      assert.equal(setBy(ana, field), field);
    }
    const others: HeaderList = [["content-type", "text/html"]];
    assert.deepEqual(ana.sealed(others), others);
    assert.equal(ana.opened(others), others);
  });

  test("damaged ones are left out, whatever the damage (seeded)", () => {
    const random = seededRandom(7);
    for (let turn = 0; turn < 2000; turn += 1) {
      const octets = Buffer.from(pair(sealed), "latin1");
      const at = 4 + "~postern~".length + Math.floor(random.fraction() * (octets.length - 13));
      const cut = random.fraction() < 0.3;
      const before = octets[at] ?? 0;
      octets[at] = 33 + Math.floor(random.fraction() * 90);
      const text = octets.toString("latin1", 0, cut ? at : octets.length);
      if (text.includes(";") || (!cut && octets[at] === before)) continue;
      const opened = sent(ana, text);
      // The last character of Base64 holds bits that mean nothing.
      if (opened !== undefined) assert.equal(opened, "sid=a=b+c/~!");
    }
  });

  test("the next person at the same browser is nobody there yet", async () => {
    const seen: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      seen.push(request.headers.cookie);
      response.setHeader("set-cookie", "sid=of-ana; HttpOnly").end();
    });
    using edge = edgeTo(application(`http://127.0.0.1:${await portOf(server)}`));
    const first = await edge.ask();
    const cookie = pair(new Map(headersOf(first)).get("set-cookie") ?? "");
    assert.match(cookie, /^sid=~postern~/);
    for (const session of [handle, publicHandle]) {
      await edge.ask({ session, headers: [["cookie", `${cookie}; theme=dark`]] });
    }
    assert.deepEqual(seen, [undefined, "sid=of-ana; theme=dark", "theme=dark"]);
    server.close().closeAllConnections();
  });
});
