/** Abuse control through the whole edge: clients of any address, an inside that keeps what comes. */

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Misconfigured } from "#base/errors";
import { defaultsOf } from "#base/parameters";
import { abuseParameters, checkAbuse } from "#edge/smtp";
import { greetedBy, sendTo, startEdge, stranger } from "../../../../tests/kit/edge-inside.ts";
import { fakeClock } from "../../../../tests/kit/fake-clock.ts";

const minuteMs = 60_000;

describe("CAP-13 CAP-50 provider-only mode", () => {
  const policy = { ownRelays: ["198.51.100.0/24"] };

  test("CAP-13 own relays bring mail, other sources get 554 at the greeting and are counted", async () => {
    await using edge = await startEdge({ abuse: { onlyFrom: "ownRelays", allow: [] }, policy });
    assert.match(await sendTo(edge, { address: "198.51.100.9" }), /^250 /);
    for (const address of [stranger, "2001:db8::1", "198.51.101.1"]) {
      using client = await edge.client(address);
      assert.match(await client.rest(), /^554 5\.7\.1 [^\n]*\n$/);
    }
    assert.equal(edge.counted("edge_abuse", { reason: "only-from" }), 3);
    assert.equal(edge.got.length, 1);
  });

  test("CAP-44 a partner's network may come, and shows there what else its connector asks for", async () => {
    const acme = {
      ...{ name: "acme", door: "edge", networks: ["203.0.113.0/24"], certificates: [] },
      ...{ user: "acme", senderDomains: ["acme.example"], requireTls: false },
      ...{ minVersion: "TLSv1.2", trusted: false, mayRelay: false },
    };
    await using edge = await startEdge({
      abuse: { onlyFrom: "ownRelays", allow: [] },
      policy: { ...policy, inbound: [acme] },
    });
    assert.match(await sendTo(edge, { address: "203.0.113.9" }), /^530 5\.7\.0 /);
    assert.match(await sendTo(edge), /^554 5\.7\.1 /);
  });

  test("CAP-50 behind the provider, SPF judges whom its Received field names", async () => {
    await using edge = await startEdge({
      abuse: { onlyFrom: "ownRelays", allow: [] },
      policy,
      zone: { "client.example": [{ TXT: "v=spf1 ip4:203.0.113.5 -all" }] },
    });
    const received = "Received: from mx (c.example [203.0.113.5]) by relay.provider.example\r\n";
    const content = `${received}\tid 1; Mon, 5 Jan 2026 12:00:00 +0000\r\nSubject: x\r\n\r\nx`;
    assert.match(await sendTo(edge, { address: "198.51.100.9", content }), /^250 /);
    const { source, verdicts } = edge.got[0]?.end ?? {};
    assert.deepEqual([source?.kind, source?.address], ["relayed", "203.0.113.5"]);
    assert.equal(verdicts?.find(({ method }) => method === "spf")?.result, "pass");
  });

  test("without any relay it is a mistake of the configuration", () => {
    const settings = { ...defaultsOf(abuseParameters), onlyFrom: "ownRelays" };
    assert.throws(() => checkAbuse(settings, []), Misconfigured);
    assert.doesNotThrow(() => checkAbuse(settings, ["192.0.2.0/24"]));
    for (const wrong of [{ allow: ["192.0.2.300"] }, { blockLists: ["list.example=192.0.2.1"] }]) {
      assert.throws(() => checkAbuse({ ...settings, ...wrong }, ["192.0.2.1"]), Misconfigured);
    }
  });
});

describe("rates", () => {
  test("S13 connections, messages and recipients a minute have limits, which the answer names", async () => {
    const clock = fakeClock();
    await using edge = await startEdge({
      clock,
      abuse: { connectionsPerMinute: 6, messagesPerMinute: 2, recipientsPerMinute: 4 },
    });
    assert.match(await sendTo(edge), /^250 /);
    assert.match(await sendTo(edge), /^250 /);
    assert.match(
      await sendTo(edge),
      /^450 4\.7\.1 more than 2 messages a minute from 192\.0\.2\.77, try again in 30 s/,
    );
    await clock.advance(30_000);
    using client = await greetedBy(edge);
    await client.ask("MAIL FROM:<>");
    for (const code of ["250", "250", "250", "250", "450"]) {
      assert.equal((await client.ask("RCPT TO:<ann@known.example>")).slice(0, 3), code);
    }
    for (let more = 0; more < 5; more += 1) (await greetedBy(edge))[Symbol.dispose]();
    using last = await edge.client();
    assert.match(
      await last.rest(),
      /^421 4\.7\.1 more than 6 connections a minute .* try again in \d+ s\r\n$/,
    );
    assert.match(await sendTo(edge, { address: "192.0.2.78" }), /^250 /);
    await clock.advance(minuteMs);
    assert.match(await sendTo(edge), /^250 /);
  });

  test("S13 all addresses of one IPv6 network of 64 bits are one client", async () => {
    await using edge = await startEdge({ abuse: { messagesPerMinute: 2 } });
    const from = (address: string): Promise<string> => sendTo(edge, { address });
    assert.match(await from("2001:db8:1:2::1"), /^250 /);
    assert.match(await from("2001:db8:1:2:ffff::2"), /^250 /);
    assert.match(await from("2001:db8:1:2::3"), /^450 .* 2001:db8:1:2::\/64, /);
    assert.match(await from("2001:db8:1:3::1"), /^250 /);
  });

  test("own relays and allowed networks have none", async () => {
    await using edge = await startEdge({
      abuse: { messagesPerMinute: 1, connectionsPerMinute: 1, allow: ["203.0.113.0/24"] },
      policy: { ownRelays: ["198.51.100.0/24"] },
    });
    for (const address of ["198.51.100.1", "203.0.113.1"]) {
      for (let nth = 0; nth < 5; nth += 1) assert.match(await sendTo(edge, { address }), /^250 /);
    }
  });
});

describe("S9 harvest", () => {
  test("S9 after so many unknown recipients known and unknown ones get the same answer, and the session ends", async () => {
    await using edge = await startEdge({ abuse: { unknownRecipientsPerHour: 10 } });
    using client = await greetedBy(edge);
    await client.ask("MAIL FROM:<>");
    for (let nth = 0; nth < 10; nth += 1) {
      assert.match(await client.ask(`RCPT TO:<x${nth}@known.example>`), /^550 5\.1\.1 /);
    }
    const answers: string[] = [];
    for (const to of ["ann", "nobody", "postmaster"]) {
      using again = await greetedBy(edge);
      await again.ask("MAIL FROM:<>");
      again.send(`RCPT TO:<${to}@known.example>\r\n`);
      answers.push((await again.rest()).replace(/\d+ s/, "N s"));
    }
    const same = "421 4.7.1 too many recipients that do not exist, try again in N s\r\n";
    assert.deepEqual(answers, [same, same, same]);
    assert.equal(edge.counted("edge_abuse", { reason: "unknown-recipients" }), 3);
    assert.match(await sendTo(edge, { address: "192.0.2.78" }), /^250 /);
  });

  test("S9 one session guesses twenty times at most", async () => {
    await using edge = await startEdge({ abuse: { unknownRecipientsPerHour: 0 } });
    using client = await greetedBy(edge);
    await client.ask("MAIL FROM:<>");
    for (let nth = 0; nth < 30; nth += 1) client.send(`RCPT TO:<x${nth}@known.example>\r\n`);
    const said = await client.rest();
    assert.equal(said.match(/^550 5\.1\.1 /gm)?.length, 20);
    assert.match(said, /421 4\.7\.0 too many errors\r\n$/);
  });
});

describe("DNS block lists", () => {
  const lists = ["zen.example.org", "codes.example.org=127.0.0.4"];
  const zone = {
    "77.2.0.192.zen.example.org": [
      { A: "127.0.0.2" },
      { TXT: `spam\r\n250 ok\x07${"x".repeat(500)}` },
    ],
    "78.2.0.192.codes.example.org": [{ A: "127.0.0.4" }],
    "79.2.0.192.codes.example.org": [{ A: "127.0.0.3" }],
    "80.2.0.192.zen.example.org": [{ A: "127.255.255.254" }],
    "81.2.0.192.zen.example.org": [{ A: "192.0.2.1" }],
    "82.2.0.192.zen.example.org": ["TIMEOUT" as const],
    "83.2.0.192.zen.example.org": [{ A: "127.0.0.1" }],
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.zen.example.org": [
      { A: "127.0.0.2" },
    ],
  };
  const abuse = { blockLists: lists };

  test("a listed client is refused at RCPT with the list's reason, printable and short", async () => {
    await using edge = await startEdge({ abuse, zone });
    const said = await sendTo(edge);
    assert.match(said, /^550 5\.7\.1 192\.0\.2\.77 is on zen\.example\.org: spam {2}250 ok x+$/);
    assert.ok(said.length < 300, said);
    assert.match(
      await sendTo(edge, { address: "192.0.2.78" }),
      /^550 5\.7\.1 .* codes\.example\.org/,
    );
    assert.match(await sendTo(edge, { address: "2001:db8:1:2::1" }), /^550 5\.7\.1 /);
    assert.equal(edge.counted("edge_block_lists", { outcome: "listed" }), 3);
  });

  test("postmaster stays reachable (RFC 5321 §4.5.1)", async () => {
    await using edge = await startEdge({ abuse, zone });
    assert.match(await sendTo(edge, { to: "Postmaster@known.example" }), /^250 /);
  });

  const others = [
    ["79", "another answer than the one that counts", "clear"],
    ["80", "the operator's own refusal", "misused"],
    ["81", "an address that is no listing", "failed"],
    ["82", "silence", "failed"],
    ["83", "127.0.0.1", "failed"],
    ["84", "no such name", "clear"],
  ] as const;
  for (const [last, what, outcome] of others) {
    test(`${what} lets the client in, and counts as ${outcome}`, async () => {
      await using edge = await startEdge({ abuse, zone });
      const before = edge.counted("edge_block_lists", { outcome });
      assert.match(await sendTo(edge, { address: `192.0.2.${last}` }), /^250 /);
      assert.ok(edge.counted("edge_block_lists", { outcome }) > before);
    });
  }

  test("junk instead of 550, where the administrator wants it", async () => {
    await using edge = await startEdge({ abuse: { ...abuse, blockListEffect: "junk" }, zone });
    assert.match(await sendTo(edge), /^250 /);
    const { decision } = edge.got[0]?.end ?? {};
    assert.equal(decision?.disposition, "quarantine");
    assert.equal(decision?.opinions[0]?.stage, "block-list");
  });
});

describe("greylisting (RFC 6647)", () => {
  const abuse = { greylist: true, greylistDelayS: 60, greylistWindowH: 24, greylistWhiteDays: 36 };

  test("the first try waits, the next one passes and is remembered, also after a restart", async () => {
    const folder = mkdtempSync(join(tmpdir(), "grey-"));
    const clock = fakeClock();
    {
      await using edge = await startEdge({ abuse, clock, folder });
      assert.match(await sendTo(edge), /^451 4\.7\.1 greylisted, try again in 60 s/);
      await clock.advance(20_000);
      assert.match(await sendTo(edge), /^451 4\.7\.1 greylisted, try again in 40 s/);
      await clock.advance(40_000);
      // A neighbour of the first host tries again; somebody else is somebody else.
      assert.match(await sendTo(edge, { address: "192.0.2.200" }), /^250 /);
      assert.match(await sendTo(edge, { from: "b@client.example" }), /^451 /);
      assert.match(await sendTo(edge, { address: "192.0.3.77" }), /^451 /);
    }
    assert.ok(existsSync(join(folder, "greylist")));
    await using edge = await startEdge({ abuse, clock, folder });
    await clock.advance(minuteMs);
    assert.match(await sendTo(edge), /^250 /);
    assert.match(await sendTo(edge, { from: "b@client.example" }), /^250 /);
    assert.match(await sendTo(edge, { from: "c@client.example" }), /^451 /);
    assert.equal(edge.counted("edge_abuse", { reason: "greylist" }), 1);
    rmSync(folder, { recursive: true });
  });

  test("a domain that SPF vouches for may try again from anywhere; trusted ones never wait", async () => {
    const clock = fakeClock();
    await using edge = await startEdge({
      ...{ abuse, clock },
      policy: { ownRelays: ["198.51.100.0/24"] },
      zone: { "client.example": [{ TXT: "v=spf1 ip4:192.0.2.0/24 ip4:203.0.113.0/24 -all" }] },
    });
    assert.match(await sendTo(edge), /^451 /);
    await clock.advance(minuteMs);
    assert.match(await sendTo(edge, { address: "203.0.113.9" }), /^250 /);
    assert.match(await sendTo(edge, { address: "198.51.100.9" }), /^250 /);
  });

  test("a file that is none is an empty one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "grey-"));
    writeFileSync(join(folder, "greylist"), "postern greylist 1\nshort");
    await using edge = await startEdge({ abuse, folder });
    assert.match(await sendTo(edge), /^451 /);
  });
});

describe("CAP-128 tarpit", () => {
  test("CAP-128 a stranger waits for 5xx at RCPT, an own relay does not", async () => {
    const clock = fakeClock();
    await using edge = await startEdge({
      clock,
      abuse: { tarpitS: 5, allow: [] },
      policy: { ownRelays: ["198.51.100.0/24"] },
    });
    using relay = await greetedBy(edge, "198.51.100.9");
    await relay.ask("MAIL FROM:<>");
    assert.match(await relay.ask("RCPT TO:<nobody@known.example>"), /^550 5\.1\.1 /);
    using client = await greetedBy(edge);
    await client.ask("MAIL FROM:<>");
    client.send("RCPT TO:<nobody@known.example>\r\nRCPT TO:<ann@known.example>\r\n");
    let said = "";
    const heard = (async () => {
      said += await client.reply();
      return client.reply();
    })();
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(said, "");
    await clock.advance(5000);
    assert.match(await heard, /^250 /);
    assert.match(said, /^550 5\.1\.1 /);
    assert.equal(edge.counted("smtp_tarpit", { outcome: "held" }), 1);
  });
});
