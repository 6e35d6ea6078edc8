import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { connect as connectPlain } from "node:net";
import { after, describe, test } from "node:test";
import { connect } from "node:tls";
import { openHouse } from "./fixture.test.ts";

const house = await openHouse();
after(() => house[Symbol.asyncDispose]());

describe("the listener", () => {
  test("answers unknown hosts with 421, unknown paths with 404, by pages of its own", async () => {
    const other = await house.ask("/login", {
      headers: { host: "other.example", accept: "text/html" },
    });
    assert.equal(other.status, 421);
    const nothing = await house.ask("/wp-admin", { headers: { accept: "text/html" } });
    assert.equal(nothing.status, 404);
    assert.match(nothing.body, /There is nothing here/);
    assert.ok(nothing.headers["strict-transport-security"]);
  });

  test("refuses a header that is too large with 431", async () => {
    const got = await house.raw(
      `GET /login HTTP/1.1\r\nHost: mail.example\r\nX: ${"a".repeat(20_000)}\r\n\r\n`,
    );
    assert.match(got, /^HTTP\/1\.1 431/);
  });

  test("speaks TLS 1.2 at least", async () => {
    const failed = await new Promise<boolean>((resolve) => {
      const old = connect({
        host: "127.0.0.1",
        port: house.edge.endpoint.port,
        rejectUnauthorized: false,
        minVersion: "TLSv1.1",
        maxVersion: "TLSv1.1",
      });
      old.on("secureConnect", () => resolve(false));
      old.on("error", () => resolve(true));
    });
    assert.equal(failed, true);
  });

  test("W14 ends a TLS handshake that was begun and not gone on with", async () => {
    // Nothing, and the head of a first record.
    const lasted = ["", "16030102000100"].map(async (octets) => {
      const socket = connectPlain({ host: "127.0.0.1", port: house.edge.endpoint.port });
      const since = performance.now();
      socket.on("error", () => {}).resume();
      socket.write(Buffer.from(octets, "hex"));
      await once(socket, "close");
      return performance.now() - since;
    });
    for (const ms of await Promise.all(lasted)) assert.ok(ms < 20_000, `${ms} ms`);
  });

  test("CAP-27 leads plain HTTP to HTTPS, for its own names only", async () => {
    const to = `http://127.0.0.1:${house.edge.redirectEndpoint?.port}/mail/?q=secret`;
    const get = (host: string): Promise<{ status: number; location: string }> =>
      new Promise((resolve, reject) => {
        request(to, { headers: { host } }, (response) => {
          response.resume();
          const location = response.headers.location ?? "";
          resolve({ status: response.statusCode ?? 0, location });
        })
          .on("error", reject)
          .end();
      });
    const led = await get("mail.example");
    assert.equal(led.status, 308);
    assert.equal(led.location, `https://mail.example:${house.edge.endpoint.port}/mail/`);
    assert.equal((await get("evil.example")).status, 421);
  });
});
