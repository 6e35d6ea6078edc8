/** Rows of the attack catalogue through the whole edge: S9, S10, S15, S16, S17, S18. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { greetedBy, sendTo, startEdge, type TestEdge } from "../../../tests/kit/edge-inside.ts";
import type { Talk } from "../../../tests/kit/talk.ts";
import { areaUnderCurve, timeInTurns } from "../../../tests/kit/timing.ts";

const abuse = {
  ...{ connectionsPerMinute: 0, messagesPerMinute: 0, recipientsPerMinute: 0 },
  unknownRecipientsPerHour: 0,
};
let edge: TestEdge;

before(async () => {
  edge = await startEdge({ abuse, smtp: { maxErrors: 1_000_000, maxIdleCommands: 1_000_000 } });
});

after(() => edge[Symbol.asyncDispose]());

describe("S9 harvest (10 variants with those of abuse/abuse.test.ts)", () => {
  for (const to of [
    "ann@known.example",
    "nobody@known.example",
    "ann",
    "<ann@other.example>",
    "",
  ]) {
    test(`S9 VRFY "${to}" says 252, EXPN 502`, async () => {
      using client = await greetedBy(edge);
      assert.equal(await client.ask(`VRFY ${to}`), "252 2.0.0 send some mail, I will try my best");
      assert.match(await client.ask(`EXPN ${to}`), /^502 5\.5\.1 /);
    });
  }

  const area = async (one: string, other: string, samples: number): Promise<number> => {
    using client = await greetedBy(edge);
    const ask = (line: string) => async (): Promise<void> => {
      await client.ask("MAIL FROM:<>");
      await client.ask(line);
      await client.ask("RSET");
    };
    await timeInTurns(500, ask(one), ask(other));
    const times = await timeAsked(client, samples, one, other);
    return areaUnderCurve(...times);
  };

  test("S9 10,000 answers on known and unknown recipients take equally long, without a tarpit", async (t) => {
    const [known, unknown] = ["RCPT TO:<ann@known.example>", "RCPT TO:<eve@known.example>"];
    const found = await area(known, unknown, 10_000);
    t.diagnostic(`S9 area under the curve of 10,000 samples: ${found.toFixed(3)}`);
    assert.ok(found > 0.4 && found < 0.6, `${found}`);
  });
});

/** Only the middle command of each transaction is timed. */
async function timeAsked(
  client: Talk,
  samples: number,
  ...lines: readonly [string, string]
): Promise<readonly [number[], number[]]> {
  const times: readonly [number[], number[]] = [[], []];
  for (let round = 0; round < samples; round += 1) {
    for (const which of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      await client.ask("MAIL FROM:<>");
      const begin = performance.now();
      await client.ask(lines[which]);
      times[which].push(performance.now() - begin);
      await client.ask("RSET");
    }
  }
  return times;
}

describe("S10 floods in one message (12 variants)", () => {
  const many = (count: number, text: string): string => text.repeat(count);
  const from = "From: a@client.example\r\n";
  const headers: Readonly<Record<string, () => string>> = {
    "100,000 short fields": () => `${from}${many(100_000, "X-A: b\r\n")}`,
    "1,000,000 empty fields": () => `${from}${many(1_000_000, "A:\r\n")}`,
    "100,000 From fields": () => many(100_000, from),
    "100,000 addresses in From": () => `From: ${many(100_000, "a@b.example,\r\n ")}a@b.example\r\n`,
    "1,000,000 addresses in To": () =>
      `${from}To: ${many(1_000_000, "a@b.c,")}a@b.c\r\n`.replaceAll(
        "c,a@b.c,a@b.c,a@b.c,a@b.c,",
        "c,a@b.c,a@b.c,a@b.c,a@b.c,\r\n ",
      ),
    "100,000 folded lines": () => `${from}Subject: x\r\n${many(100_000, " y\r\n")}`,
    "1,000,000 lines of white space": () => `${from}Subject: x\r\n${many(1_000_000, " \r\n")}`,
    "100,000 Received fields": () => `${many(100_000, "Received: by x\r\n")}${from}`,
    "10,000 signatures": () =>
      `${many(10_000, "DKIM-Signature: v=1; a=rsa-sha256; d=b.example; s=s; h=from; bh=; b=\r\n")}${from}`,
    "10,000 ARC sets": () =>
      `${Array.from({ length: 10_000 }, (_, nth) => `ARC-Seal: i=${nth}; cv=none; a=rsa-sha256; d=b; s=s; b=x\r\n`).join("")}${from}`,
    "nested comments, 100,000 deep": () =>
      `From: ${many(100_000, "(")}a@b.example${many(100_000, ")")}\r\n`,
    "100,000 encoded words": () =>
      `From: ${many(100_000, "=?utf-8?q?=41?=\r\n ")}<a@b.example>\r\n`,
  };
  for (const [what, make] of Object.entries(headers)) {
    test(`S10 ${what} are answered within time that grows with their size`, async (t) => {
      const content = `${make()}\r\nbody`;
      const begin = process.cpuUsage();
      const said = await sendTo(edge, { content });
      const { user, system } = process.cpuUsage(begin);
      const seconds = (user + system) / 1e6;
      const megabytes = content.length / 1e6;
      t.diagnostic(
        `S10 ${what}: ${megabytes.toFixed(1)} MB, ${seconds.toFixed(2)} s, ${said.slice(0, 60)}`,
      );
      assert.match(said, /^(?:250|5[05]\d) /);
      assert.ok(seconds < 2 * Math.max(1, megabytes), `${seconds} s`);
    });
  }
});

describe("S15 loops at the edge (with tests/scenarios/loops.test.ts)", () => {
  const own =
    "Received: from a by mx.known.example with ESMTP id x; Mon, 5 Jan 2026 12:00:00 +0000\r\n";
  const passing =
    "Received: from a by b.example with ESMTP id x; Mon, 5 Jan 2026 12:00:00 +0000\r\n";
  const cases = [
    ["100 hops elsewhere", passing.repeat(100), /^250 /],
    ["101 hops", passing.repeat(101), /^55\d 5\.4\.6 /],
    ["three visits here", own.repeat(3), /^250 /],
    ["four visits here", `${passing}${own}`.repeat(4), /^55\d 5\.4\.6 /],
    [
      "four visits here, in capitals",
      own.toUpperCase().replaceAll("RECEIVED", "received").repeat(4),
      /^55\d 5\.4\.6 /,
    ],
    [
      "four times a name that only begins like ours",
      own.replace("known.example", "known.example.org").repeat(4),
      /^250 /,
    ],
  ] as const;
  for (const [what, received, code] of cases) {
    test(`S15 ${what}: ${code.source.slice(1)}`, async () => {
      assert.match(await sendTo(edge, { content: `${received}Subject: x\r\n\r\nx` }), code);
    });
  }
});

describe("S16 refused in session, so that nobody gets a notice he did not cause (8 variants)", () => {
  const strict = { rules: undefined };
  const cases: Readonly<Record<string, readonly [Parameters<typeof sendTo>[1], RegExp]>> = {
    "an unknown recipient": [{ to: "nobody@known.example" }, /^550 5\.1\.1 /],
    "an unknown recipient from a forged sender": [
      { to: "nobody@known.example", from: "victim@other.example" },
      /^550 5\.1\.1 /,
    ],
    "an unknown recipient from the null sender": [
      { to: "nobody@known.example", from: "" },
      /^550 5\.1\.1 /,
    ],
    "a recipient elsewhere": [{ to: "victim@other.example" }, /^550 5\.7\.1 /],
    "a forged sender whose domain says so": [{ from: "a@forged.example" }, /^550 5\.7\.23 /],
    "a message that loops": [
      { content: `${"Received: by x\r\n".repeat(101)}\r\n` },
      /^55\d 5\.4\.6 /,
    ],
    "a message with a bare LF": [{ content: "Subject: x\n\r\n" }, /^550 5\.6\.0 /],
    "a message that is too large": [
      { content: `${"x".repeat(998)}\r\n`.repeat(300) },
      /^552 5\.3\.4 /,
    ],
  };
  for (const [what, [mail, code]] of Object.entries(cases)) {
    test(`S16 ${what} is refused in session, and nothing goes inside`, async () => {
      const { defaultSenderRules } = await import("#policy");
      const rules = {
        ...defaultSenderRules,
        spf: { ...defaultSenderRules.spf, fail: "reject" },
      };
      await using one = await startEdge({
        abuse,
        policy: { ...strict, rules, maxMessageBytes: 200_000 },
        zone: { "forged.example": [{ TXT: "v=spf1 -all" }] },
      });
      assert.match(await sendTo(one, mail), code);
      assert.equal(one.got.length, 0);
    });
  }
});

describe("S17 nobody can lend himself trust at the edge", () => {
  const commands = [
    "XCLIENT ADDR=127.0.0.1 NAME=localhost",
    "XCLIENT LOGIN=ann@known.example",
    "XFORWARD ADDR=198.51.100.1 PROTO=ESMTP",
    "XADR",
    "PROXY TCP4 198.51.100.1 198.51.100.2 1 25",
    "AUTH PLAIN AGFubgBwYXNz",
  ];
  for (const command of commands) {
    test(`S17 ${command} is refused and changes nothing`, async () => {
      using client = await greetedBy(edge);
      assert.match(await client.ask(command), /^50[0234] |^538 /);
      await client.ask("MAIL FROM:<a@client.example> AUTH=ann@known.example").catch(() => "");
      await client.ask("RSET");
      await client.ask("MAIL FROM:<a@client.example>");
      assert.match(await client.ask("RCPT TO:<x@other.example>"), /^550 5\.7\.1 /);
      await client.ask("RCPT TO:<ann@known.example>");
      await client.ask("DATA");
      const before = edge.got.length;
      await client.ask("Subject: x\r\n\r\nx\r\n.");
      const { connection } = edge.got[before]?.deposit ?? {};
      assert.equal(connection?.clientAddress, "192.0.2.77");
      assert.equal(connection?.authenticated, undefined);
    });
  }

  const claims = [
    "Received: from relay (trusted [198.51.100.1]) by mx.known.example with ESMTPSA id 1; Mon, 5 Jan 2026 12:00:00 +0000",
    "Authentication-Results: mx.known.example; spf=pass smtp.mailfrom=client.example; dkim=pass",
    "X-Originating-IP: [198.51.100.1]\r\nX-Spam-Status: No\r\nX-MS-Exchange-Organization-AuthAs: Internal",
    "Received-SPF: pass (mx.known.example: allowed) client-ip=198.51.100.1",
  ];
  for (const claim of claims) {
    test(`S17 "${claim.slice(0, 40)}…" of a stranger gives no verdict and no other source`, async () => {
      const before = edge.got.length;
      assert.match(await sendTo(edge, { content: `${claim}\r\nSubject: x\r\n\r\nx` }), /^250 /);
      const { end } = edge.got[before] ?? {};
      assert.deepEqual([end?.source.kind, end?.source.address], ["direct", "192.0.2.77"]);
      assert.ok(end?.verdicts.every(({ result }) => result !== "pass"));
    });
  }
});

describe("S18 address grammar", () => {
  const encoded = (text: string): string => JSON.stringify(text);
  /** None of them may reach anybody, whatever it may mean elsewhere. */
  const hostile = [
    "ann@known.example@other.example",
    "ann@other.example@known.example",
    '"ann@known.example"@other.example',
    '"x@other.example>,<ann"@other.example',
    "ann@known.example,eve@other.example",
    "ann@known.example>\0<eve@other.example",
    "ann(@other.example)eve@other.example",
    "=?utf-8?q?ann=40known.example=3e?=@other.example",
    "=?x?q?ann=40other.example=3e=00?=@known.example",
    "=?utf-7?q?ann+AEA-other.example?=@known.example",
    "ann\u{140}other.example@known.example",
    "ann@known.example\u{2e}other.example",
    "ann@known\u{3002}other.example",
    "ann@xn--known-.example",
    "ann@[127.0.0.1]",
    "ann@[IPv6:::1]",
    "ann@2130706433",
    "ann@known.example.other.example",
    "ann%known.example@other.example",
    "other.example!ann",
    "@known.example:ann@other.example",
    "|/bin/sh@other.example",
    "`id`@other.example",
    "$(id)@other.example",
    "; cat /etc/passwd #@other.example",
    "../../etc/passwd@known.example",
    "/dev/null@known.example",
    "-oQ/tmp@known.example",
    "ann\r\nRCPT TO:<eve@other.example>@known.example",
    "ann@known.example\tx",
    " ann@known.example",
    "ann @known.example",
    "ann@ known.example",
    "ann@-known.example",
    `ann@${"x".repeat(64)}.example`,
    `ann@${"x.".repeat(150)}example`,
    `${"x".repeat(2000)}@known.example`,
    '"ann\\"@known.example',
    '"ann"bob@known.example',
    "ann..x@known.example",
    ".ann@known.example",
    "ann@known..example",
  ];
  test(`S18 ${hostile.length} hostile addresses reach nobody, shell, path or log`, async () => {
    const before = edge.got.length;
    for (const address of hostile) {
      using client = await greetedBy(edge);
      await client.ask("MAIL FROM:<a@client.example> SMTPUTF8");
      client.send(`RCPT TO:<${address}>\r\n`);
      const said = await client.reply();
      assert.match(said, /^5\d\d /, `${encoded(address)}: ${said}`);
      assert.match(said, /^[\x20-\x7e]*$/, encoded(address));
    }
    assert.equal(edge.got.length, before);
  });

  const cases = (
    JSON.parse(
      readFileSync(
        new URL("../../../tests/conformance/addresses/tests.json", import.meta.url),
        "utf8",
      ),
    ) as { readonly address: string; readonly category: string }[]
  ).filter(({ category }) => !category.includes("DNS"));
  test(`S18 none of ${cases.length} published addresses is taken for one of ours, as sender or recipient`, async () => {
    for (const { address } of cases) {
      // The suite writes control characters as their pictures.
      const real = address.replace(/[\u2400-\u241f]/g, (one) =>
        String.fromCharCode(one.charCodeAt(0) - 0x2400),
      );
      using client = await greetedBy(edge);
      client.send(`MAIL FROM:<${real}>\r\n`);
      const sender = await client.reply().catch(() => "closed");
      assert.match(sender, /^(?:250|5\d\d) |^closed/);
      if (!sender.startsWith("250")) continue;
      client.send(`RCPT TO:<${real}>\r\n`);
      assert.match(await client.reply(), /^5\d\d /, encoded(real));
    }
  });
});
