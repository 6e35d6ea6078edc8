import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { WebRequest } from "#contracts/web";
import { answerPlainly, cookie, openHouse, own, session } from "./fixture.test.ts";

const house = await openHouse();
after(() => house[Symbol.asyncDispose]());

describe("requests to the inside", () => {
  test("without a session never cross the link", async () => {
    house.seen.length = 0;
    const page = await house.ask("/mail/inbox", { headers: { accept: "text/html" } });
    assert.equal(page.status, 303);
    assert.equal(page.headers["location"], "/login?return=%2Fmail%2Finbox");
    const data = await house.ask("/jmap/session");
    assert.equal(data.status, 401);
    assert.equal(data.headers["www-authenticate"], undefined);
    assert.equal(house.seen.length, 0);
  });

  test("carry the handle and an allow-list of headers", async () => {
    house.seen.length = 0;
    const headers = { ...cookie, accept: "*/*", "x-forwarded-for": "9.9.9.9", authorization: "x" };
    const answer = await house.ask("/%6dail/?a=1", { headers });
    assert.equal(answer.body, "you asked /mail/?a=1");
    assert.equal(answer.headers["cache-control"], "no-store");
    const [first] = house.seen;
    assert.ok(first);
    const { headers: crossed, session: handle, host } = first.header as WebRequest;
    assert.deepEqual([crossed, handle, host], [[["accept", "*/*"]], session, "mail.example"]);
  });

  test("with an ended session clear the cookie and lead to the form with its reason", async () => {
    house.answerWeb = (stream) => {
      stream.receive({ data() {}, end() {}, broken() {} });
      stream.answer({ refused: "session" });
      stream.end();
    };
    const page = await house.ask("/mail/", { headers: { ...cookie, accept: "text/html" } });
    const data = await house.ask("/jmap/session", { headers: cookie });
    house.answerWeb = answerPlainly;
    assert.match(String(page.headers["location"]), /why=ended/);
    assert.match(String(page.headers["set-cookie"]), /__Host-postern=;.*Max-Age=0/);
    assert.equal(data.status, 401);
    const form = await house.ask(String(page.headers["location"]));
    assert.match(form.body, /nothing happened for a while/);
  });

  test("stream a large body in and a large answer out, octet for octet", async () => {
    house.answerWeb = (stream) => {
      const chunks: Buffer[] = [];
      stream.receive({
        data: (chunk) => void chunks.push(Buffer.from(chunk)),
        end: () => void giveBack(),
        broken() {},
      });
      const giveBack = async (): Promise<void> => {
        stream.answer({ status: 200, headers: [["content-type", "text/plain"]] });
        for (const chunk of chunks) if (!stream.send(chunk)) await stream.drained();
        stream.end();
      };
    };
    const body = "0123456789abcdef".repeat(250_000);
    const headers = { ...cookie, ...own, "content-type": "text/plain" };
    const answer = await house.ask("/jmap/upload/a", { method: "POST", headers, body });
    house.answerWeb = answerPlainly;
    assert.equal(answer.body.length, body.length);
    assert.ok(answer.body === body);
  });

  test("need our own origin and JSON to change something (W9)", async () => {
    const post = (headers: Record<string, string>) =>
      house.ask("/jmap/api", { method: "POST", headers: { ...cookie, ...headers }, body: "{}" });
    const json = { "content-type": "application/json" };
    assert.equal((await post({ ...json, ...own })).status, 200);
    assert.equal((await post(json)).status, 403);
    assert.equal((await post({ ...json, origin: "https://evil.example" })).status, 403);
    assert.equal((await post({ ...own, "content-type": "text/plain" })).status, 400);
    const read = await house.ask("/jmap/session", {
      headers: { ...cookie, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" },
    });
    assert.equal(read.status, 403);
  });

  test("get an own page when the link is down, silent or breaks", async () => {
    const page = { headers: { ...cookie, accept: "text/html" } };
    house.isUp = false;
    const down = await house.ask("/mail/", page);
    house.isUp = true;
    assert.equal(down.status, 503);
    assert.match(down.body, /Nothing is lost/);
    house.answerWeb = () => {};
    assert.equal((await house.ask("/mail/", page)).status, 504);
    house.answerWeb = (stream) => stream.abort("broken");
    assert.equal((await house.ask("/mail/", page)).status, 503);
    house.answerWeb = (stream) => stream.answer({ status: "200" });
    assert.equal((await house.ask("/mail/", page)).status, 502);
    house.answerWeb = answerPlainly;
  });

  test("that break in the middle of the answer do not look whole", async () => {
    house.answerWeb = (stream) => {
      stream.receive({ data() {}, end() {}, broken() {} });
      stream.answer({ status: 200, headers: [] });
      stream.send(Buffer.from("half"));
      setTimeout(() => stream.abort("gone"), 20);
    };
    await assert.rejects(house.ask("/mail/", { headers: cookie }));
    house.answerWeb = answerPlainly;
  });

  test("stop inside when the client goes away", async () => {
    const gone = Promise.withResolvers<string>();
    house.answerWeb = (stream) => {
      stream.receive({ data() {}, end() {}, broken: (why) => gone.resolve(why) });
      stream.answer({ status: 200, headers: [] });
      stream.send(Buffer.from("begin"));
    };
    const head = `GET /jmap/events HTTP/1.1\r\nHost: mail.example\r\nCookie: ${cookie.cookie}\r\n\r\n`;
    assert.match(await house.raw(head), /begin/);
    assert.ok(await gone.promise);
    house.answerWeb = answerPlainly;
  });

  test("sign-out revokes inside, clears the cookie and says so", async () => {
    house.seen.length = 0;
    const headers = { ...cookie, ...own };
    const answer = await house.ask("/logout", { method: "POST", headers, body: "" });
    assert.equal(answer.status, 303);
    assert.match(String(answer.headers["set-cookie"]), /Max-Age=0/);
    assert.deepEqual(house.seen[0], { kind: "logout", header: { session } });
    assert.match((await house.ask("/login?why=signed-out")).body, /signed out/);
  });
});
