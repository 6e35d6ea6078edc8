/** Catalogue S7: AUTH (RFC 4954), and what a session forgets when TLS begins (RFC 3207 §4.2). */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createSecureContext } from "node:tls";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { Talk } from "../../../tests/kit/talk.ts";
import { type TestServer, type TestWishes, testServer } from "./testing.ts";
import type { ChannelBinding, SaslDialogue, SaslPort } from "./types.ts";

const context = createSecureContext(selfSigned("mx.known.example"));

interface Seen {
  readonly said: string[];
  readonly bindings: (ChannelBinding | undefined)[];
}

/** A mechanism of two steps: it lets in who answers "more" with "word". */
function twoSteps(seen: Seen): SaslPort {
  return {
    mechanisms: () => ["TWO-STEPS"],
    begin(_mechanism, connection, binding): SaslDialogue {
      seen.bindings.push(binding);
      let steps = 0;
      return {
        async next(response) {
          seen.said.push(response.toString("latin1"));
          steps += 1;
          if (steps === 1) return { challenge: Buffer.from("more") };
          if (response.toString() === "odd") return "bad-response";
          if (response.toString() === "busy") return { ok: false, reason: "busy" };
          if (response.toString() !== "word") return { ok: false, reason: "refused" };
          return { ok: true, address: `partner of ${connection.clientAddress}` };
        },
      };
    },
  };
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

async function withPartners(wishes: TestWishes = {}): Promise<TestServer & { seen: Seen }> {
  const seen: Seen = { said: [], bindings: [] };
  const server = await testServer({ tls: () => context, sasl: twoSteps(seen), ...wishes });
  return { ...server, seen, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

async function inTls(server: TestServer, options = {}): Promise<Talk> {
  const client = await Talk.open(server.at);
  await client.reply();
  await client.ask("EHLO c.example");
  await client.ask("STARTTLS");
  await client.secure(options);
  return client;
}

async function greeted(server: TestServer): Promise<Talk> {
  const client = await inTls(server);
  await client.ask("EHLO c.example");
  return client;
}

describe("S7 CAP-44 AUTH on port 25", () => {
  test("S7 1: before TLS it is not offered, and refused with 538 (RFC 4954 §6)", async () => {
    await using server = await withPartners();
    using client = await Talk.open(server.at);
    await client.reply();
    assert.doesNotMatch(await client.ask("EHLO c.example"), /AUTH/);
    assert.match(await client.ask("AUTH TWO-STEPS"), /^538 5\.7\.11 /);
    assert.match(await client.ask(`AUTH PLAIN ${base64("\0a\0b")}`), /^538 5\.7\.11 /);
    assert.deepEqual(server.seen.said, []);
  });

  test("S7 2: inside TLS it is offered after EHLO alone, and what was said before is forgotten", async () => {
    await using server = await withPartners();
    using client = await inTls(server);
    assert.match(await client.ask("AUTH TWO-STEPS"), /^503 5\.5\.1 say EHLO/);
    assert.match(await client.ask("HELO c.example"), /^250 /);
    assert.match(await client.ask("AUTH TWO-STEPS"), /^503 5\.5\.1 say EHLO/);
    assert.match(await client.ask("EHLO c.example"), /^250[ -]AUTH TWO-STEPS$/m);
  });

  test("S7 3: who logged in is known to the message, and a second AUTH gets 503", async () => {
    await using server = await withPartners();
    using client = await greeted(server);
    assert.equal(await client.ask("AUTH TWO-STEPS"), "334 ");
    assert.equal(await client.ask(base64("hello")), `334 ${base64("more")}`);
    assert.match(await client.ask(base64("word")), /^235 2\.7\.0 /);
    assert.match(await client.ask("AUTH TWO-STEPS"), /^503 /);
    await client.ask("MAIL FROM:<>");
    await client.ask("RCPT TO:<x@known.example>");
    await client.ask("DATA");
    await client.ask("x\r\n.");
    const { connection } = server.delivered[0]?.transaction ?? {};
    assert.equal(connection?.authenticated, "partner of 127.0.0.1");
    assert.deepEqual(server.seen.said, ["hello", "word"]);
    const [binding] = server.seen.bindings;
    assert.deepEqual([binding?.type, binding?.data.length], ["tls-exporter", 32]);
  });

  test("S7 4: during a transaction it gets 503, and the transaction goes on", async () => {
    await using server = await withPartners();
    using client = await greeted(server);
    await client.ask("MAIL FROM:<a@c.example>");
    assert.match(await client.ask("AUTH TWO-STEPS"), /^503 /);
    assert.match(await client.ask("RCPT TO:<x@known.example>"), /^250 /);
    assert.deepEqual(server.seen.said, []);
  });

  test("S7 5: '*' cancels with 501, and another try may follow", async () => {
    await using server = await withPartners();
    using client = await greeted(server);
    await client.ask("AUTH TWO-STEPS");
    assert.match(await client.ask("*"), /^501 5\.7\.0 /);
    await client.ask(`AUTH TWO-STEPS ${base64("hello")}`);
    assert.match(await client.ask("*"), /^501 5\.7\.0 /);
    await client.ask("AUTH TWO-STEPS =");
    assert.match(await client.ask(base64("word")), /^235 /);
    assert.deepEqual(server.seen.said, ["hello", "", "word"]);
  });

  test("S7 6: an initial response beyond the limit ends the session (RFC 4954 §4)", async () => {
    await using server = await withPartners();
    using long = await greeted(server);
    const most = 12_288 - "AUTH TWO-STEPS \r\n".length;
    assert.match(await long.ask(`AUTH TWO-STEPS ${"A".repeat(most - (most % 4))}`), /^334 /);
    using tooLong = await greeted(server);
    tooLong.send(`AUTH TWO-STEPS ${"A".repeat(12_288)}\r\n`);
    assert.match(await tooLong.rest(), /^500 5\.5\.6 [^\n]*\n$/);
    assert.equal(server.seen.said.length, 1);
  });

  test("S7 7: what is not base64 gets 501, in the initial response and later", async () => {
    await using server = await withPartners();
    using client = await greeted(server);
    for (const odd of ["!!!", "QUI", "QQ=", "Q===", "QUJD*", "QUJ D"]) {
      assert.match(await client.ask(`AUTH TWO-STEPS ${odd}`), /^501 5\.5\.[24] /, odd);
    }
    await client.ask("AUTH TWO-STEPS");
    assert.match(await client.ask("no base64"), /^501 5\.5\.2 /);
    assert.match(await client.ask("NOOP"), /^250 /);
    await client.ask(`AUTH TWO-STEPS ${base64("hello")}`);
    assert.match(await client.ask(base64("odd")), /^501 5\.5\.2 /);
  });

  test("S7 8: a mechanism that is not offered gets 504; where none is, 503", async () => {
    await using server = await withPartners();
    using client = await greeted(server);
    for (const other of ["PLAIN", "LOGIN", "CRAM-MD5", "NTLM", "XOAUTH2", "ANONYMOUS"]) {
      assert.match(await client.ask(`AUTH ${other}`), /^504 5\.5\.4 /, other);
    }
    const sasl = { mechanisms: () => [], begin: () => assert.fail("not offered") };
    await using nobody = await withPartners({ sasl });
    using stranger = await inTls(nobody);
    assert.doesNotMatch(await stranger.ask("EHLO c.example"), /AUTH/);
    assert.match(await stranger.ask("AUTH PLAIN"), /^503 /);
  });

  test("S7 9: a login that was under way or done in clear is not there after TLS", async () => {
    await using server = await withPartners();
    using client = await Talk.open(server.at);
    await client.reply();
    await client.ask("EHLO c.example");
    await client.ask("AUTH TWO-STEPS"); // refused
    await client.ask("STARTTLS");
    await client.secure();
    await client.ask("EHLO c.example");
    assert.match(await client.ask(base64("word")), /^500 5\.5\.1 /);
    await client.ask("MAIL FROM:<>");
    await client.ask("RCPT TO:<x@known.example>");
    await client.ask("DATA");
    await client.ask("x\r\n.");
    assert.equal(server.delivered[0]?.transaction.connection.authenticated, undefined);
  });

  test("S7 10: MAIL AUTH= is understood and believed of nobody (RFC 4954 §5)", async () => {
    await using server = await withPartners();
    using client = await greeted(server);
    for (const good of ["<>", "ann@known.example", "e+3Dmc2@known.example"]) {
      assert.match(await client.ask(`MAIL FROM:<a@c.example> AUTH=${good}`), /^250 /, good);
      await client.ask("RSET");
    }
    for (const odd of ["AUTH", "AUTH=a+b", "AUTH=<> AUTH=<>"]) {
      assert.match(await client.ask(`MAIL FROM:<a@c.example> ${odd}`), /^501 5\.5\.4 /, odd);
    }
    await client.ask("MAIL FROM:<a@c.example> AUTH=ann@known.example");
    await client.ask("RCPT TO:<x@known.example>");
    await client.ask("DATA");
    await client.ask("x\r\n.");
    const { connection, envelope } = server.delivered[0]?.transaction ?? {};
    assert.equal(connection?.authenticated, undefined);
    assert.deepEqual(envelope, {
      reversePath: "a@c.example",
      recipients: [{ path: "x@known.example" }],
    });
  });

  test("failures are counted, busy is not one of them", async () => {
    await using server = await withPartners();
    using client = await greeted(server);
    const trying = async (word: string): Promise<string> => {
      await client.ask(`AUTH TWO-STEPS ${base64("hello")}`);
      return client.ask(base64(word));
    };
    assert.match(await trying("busy"), /^454 4\.7\.0 /);
    assert.match(await trying("wrong"), /^535 5\.7\.8 /);
    assert.match(await trying("wrong"), /^535 5\.7\.8 /);
    await client.ask("AUTH TWO-STEPS =");
    client.send(`${base64("wrong")}\r\n`);
    assert.match(await client.rest(), /^535 [^\n]*\n421 4\.7\.0 /);
  });

  test("TLS 1.2 gives nothing to bind a login to (RFC 9266 §4.2)", async () => {
    await using server = await withPartners();
    using client = await inTls(server, { maxVersion: "TLSv1.2" });
    await client.ask("EHLO c.example");
    await client.ask("AUTH TWO-STEPS");
    assert.deepEqual(server.seen.bindings, [undefined]);
  });
});
