/**
 * Catalogue S5: what is said in clear behind STARTTLS is never done inside TLS (RFC 3207 §4.2). Port 25
 * and the relay door inside have STARTTLS, by this engine; submission and IMAP have TLS from the first
 * octet (RFC 8314 §3) and refuse the command.
 */

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createSecureContext } from "node:tls";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { Talk } from "../../../tests/kit/talk.ts";
import { type TestServer, testServer } from "./testing.ts";

const context = createSecureContext(selfSigned("mx.known.example"));
const plainLogin = Buffer.from("\0ann\0word").toString("base64");

const honest = "a@c.example";

/** Each would leave a trace where it was done: another state, another reply, or a message. */
const commands = [
  "EHLO evil.example",
  "HELO evil.example",
  "NOOP",
  "RSET",
  "QUIT",
  "HELP",
  "VRFY x",
  "MAIL FROM:<evil@evil.example>",
  "MAIL FROM:<evil@evil.example>\r\nRCPT TO:<x@known.example>",
  "EHLO evil.example\r\nMAIL FROM:<evil@evil.example>\r\nRCPT TO:<x@known.example>\r\nDATA",
  "EHLO evil.example\r\nMAIL FROM:<>\r\nRCPT TO:<x@known.example>\r\nBDAT 6 LAST\r\nevil\r\n",
  `AUTH PLAIN ${plainLogin}`,
  `EHLO evil.example\r\nAUTH PLAIN ${plainLogin}\r\nMAIL FROM:<evil@evil.example>`,
  "AUTH LOGIN\r\nYW5u",
  "STARTTLS",
  "no command at all",
] as const;

/** How STARTTLS and the rest share packets. */
const splits: Readonly<Record<string, (octets: string) => readonly string[]>> = {
  "in one packet": (octets) => [`STARTTLS\r\n${octets}`],
  "in a packet of its own": (octets) => ["STARTTLS\r\n", octets],
  "with its half behind": (octets) => [
    `STARTTLS\r\n${octets.slice(0, octets.length / 2)}`,
    octets.slice(octets.length / 2),
  ],
};

const lineEnds: Readonly<Record<string, string>> = { CRLF: "\r\n", LF: "\n", "no end": "" };

/** What the session was in the middle of. */
const positions: Readonly<Record<string, readonly string[]>> = {
  "after EHLO": [],
  "with an envelope open": [`MAIL FROM:<${honest}>`, "RCPT TO:<x@known.example>"],
};

interface Case {
  readonly name: string;
  readonly before: readonly string[];
  readonly packets: readonly string[];
}

const cases: Case[] = [];
for (const command of commands) {
  for (const [split, packetsOf] of Object.entries(splits)) {
    for (const [end, octets] of Object.entries(lineEnds)) {
      for (const [position, before] of Object.entries(positions)) {
        const name = `${JSON.stringify(command.slice(0, 40))}, ${end}, ${split}, ${position}`;
        cases.push({ name, before, packets: packetsOf(command + octets) });
      }
    }
  }
}

describe(`S5 CAP-40 ${cases.length} injections behind STARTTLS on port 25`, {
  concurrency: 32,
}, () => {
  let server: TestServer;
  const logins: string[] = [];
  const begun: string[] = [];
  const ready = (async () => {
    server = await testServer({
      tls: () => context,
      limits: { connectionsPerAddress: 1000 },
      auth: {
        required: false,
        async verify(name) {
          logins.push(name);
          return { ok: true, address: name };
        },
      },
      handler: {
        mail: (_, { reversePath }) => {
          if (reversePath !== honest) begun.push(reversePath);
          return undefined;
        },
      },
    });
  })();
  after(() => server[Symbol.asyncDispose]());

  for (const { name, before, packets } of cases) {
    test(name, async () => {
      await ready;
      using client = await Talk.open(server.at);
      await client.reply();
      await client.ask("EHLO c.example");
      for (const command of before) await client.ask(command);
      for (const packet of packets) {
        client.send(packet);
        // The kernel may still join them: both cases are tried, and both have to hold.
        await pause(2);
      }
      assert.match(await client.reply(), /^220 2\.0\.0 /);
      if (await isSecured(client)) await isAsNew(client);
      else assert.ok(packets.length > 1, "octets that came with STARTTLS are dropped, no more");
      assert.deepEqual(begun, []);
      assert.deepEqual(logins, []);
      assert.equal(server.delivered.length, 0);
    });
  }
});

/** Octets that come later stand where a ClientHello should: then there is no session at all. */
function isSecured(client: Talk): Promise<boolean> {
  const handshake = client.secure().then(
    () => true,
    () => false,
  );
  return Promise.race([handshake, pause(1000, false)]);
}

/** Exactly one reply for each command said inside TLS, and all of it is forgotten. */
async function isAsNew(client: Talk): Promise<void> {
  assert.match(await client.ask("MAIL FROM:<b@c.example>"), /^503 5\.5\.1 say EHLO/);
  const offer = await client.ask("EHLO c.example");
  assert.match(offer, /^250-mx\.known\.example\n/);
  assert.doesNotMatch(offer, /STARTTLS/);
  assert.match(await client.ask("RCPT TO:<x@known.example>"), /^503 5\.5\.1 /);
  assert.match(await client.ask("QUIT"), /^221 /);
  assert.equal(await client.rest(), "");
}

describe("S5 the other doors have no STARTTLS to inject behind", () => {
  test("submission is TLS from the first octet, and offers none", async () => {
    await using server = await testServer({ tls: () => context, implicitTls: true });
    using client = await Talk.open(server.at, { rejectUnauthorized: false });
    await client.reply();
    assert.doesNotMatch(await client.ask("EHLO c.example"), /STARTTLS/);
    assert.match(await client.ask("STARTTLS"), /^502 5\.5\.1 /);
    using clear = await Talk.open(server.at);
    clear.send("EHLO c.example\r\nNOOP\r\n");
    assert.doesNotMatch(await clear.rest(), /^\d{3}/m);
  });
});
