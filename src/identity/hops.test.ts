import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseRange } from "#base/ip";
import { pick, seededRandom } from "#base/random";
import { parseHeader } from "#formats/message";
import { findSource, isOwnRelay } from "#identity/hops";

const own = ["192.0.2.0/24", "2001:db8:1::/48"].map(
  (text) => parseRange(text) ?? assert.fail(text),
);

/** Received fields from the top, then From. */
const source = (client: string, received: readonly string[], ranges = own) => {
  const fields = received.map((text) => `Received: ${text}; Mon, 20 Feb 2006 15:04:47 -1000\r\n`);
  const header = parseHeader(Buffer.from(`${fields.join("")}From: a@sender.example\r\n\r\n`));
  const found = findSource(header, { clientAddress: client, helo: "client.example" }, ranges);
  return [found.kind, found.address, found.helo, found.passed];
};

const byProvider =
  "from out.sender.example (mail.sender.example [203.0.113.5]) by mx.provider.example (Postfix) with ESMTPS id 1";
const forged = "from mail.bank.example (mail.bank.example [198.51.100.1]) by x with ESMTP id 2";
const inside = "from mx.provider.example (mx.provider.example [192.0.2.9]) by out.provider.example";

describe("findSource()", () => {
  test("CAP-56 edge alone: the client is the source, whatever the header says", () => {
    const direct = ["direct", "203.0.113.5", "client.example", 0];
    assert.deepEqual(source("203.0.113.5", []), direct);
    assert.deepEqual(source("203.0.113.5", [forged, inside]), direct);
    assert.deepEqual(source("192.0.2.9", [forged], []), [
      "direct",
      "192.0.2.9",
      "client.example",
      0,
    ]);
  });

  test("CAP-56 provider in front: the first hop outside it, with the greeting of that hop", () => {
    const relayed = ["relayed", "203.0.113.5", "out.sender.example", 1];
    assert.deepEqual(source("192.0.2.9", [byProvider]), relayed);
    assert.deepEqual(source("2001:db8:1::9", [byProvider, forged]), relayed);
  });

  test("CAP-56 provider with several machines, a filter and fields without from", () => {
    const chain = [
      "by 2001:db8:1::5 with SMTP id f5",
      "(qmail 7 invoked from network)",
      "from localhost (localhost [127.0.0.1]) by mx.provider.example (filter) with ESMTP",
      inside,
      byProvider,
      forged,
    ];
    assert.deepEqual(source("192.0.2.10", chain), [
      "relayed",
      "203.0.113.5",
      "out.sender.example",
      5,
    ]);
  });

  test("CAP-56 provider with direct fallback: whoever comes to the edge itself is the source", () => {
    assert.deepEqual(source("203.0.113.5", [forged]), [
      "direct",
      "203.0.113.5",
      "client.example",
      0,
    ]);
    assert.deepEqual(source("192.0.2.9", [byProvider])[1], "203.0.113.5");
  });

  test("CAP-56 forwarder and list: strangers are the source themselves, not who wrote to them", () => {
    const toForwarder = byProvider.replace("mx.provider.example", "forwarder.example");
    assert.deepEqual(source("198.51.100.7", [toForwarder])[1], "198.51.100.7");
    const viaProvider = "from list.example (list.example [198.51.100.8]) by mx.provider.example";
    assert.deepEqual(source("192.0.2.9", [viaProvider, toForwarder]), [
      ...["relayed", "198.51.100.8", "list.example", 1],
    ]);
  });

  test("CAP-56 forged fields below the first stranger change nothing, even in the name of ours", () => {
    assert.deepEqual(source("192.0.2.9", [byProvider, inside, forged])[1], "203.0.113.5");
  });

  test("CAP-56 a greeting made to look like a hop changes nothing", () => {
    for (const helo of ["by", "[198.51.100.1]", "mail.bank.example", "from", "with"]) {
      const field = `from ${helo} (unknown [203.0.113.5]) by mx.provider.example with ESMTP id 1`;
      assert.deepEqual(source("192.0.2.9", [field, forged]), ["relayed", "203.0.113.5", helo, 1]);
    }
  });

  test("CAP-56 nothing is known when our relay does not say who gave it the message", () => {
    const unknown = (passed: number) => ["unknown", "192.0.2.9", "client.example", passed];
    assert.deepEqual(source("192.0.2.9", []), unknown(0));
    assert.deepEqual(source("192.0.2.9", ["what is this", forged]), unknown(1));
    assert.deepEqual(source("192.0.2.9", [inside]), unknown(1));
    // A program on the relay wrote it, and may have put anything below.
    const local = "by mx.provider.example (Postfix, from userid 33) id 1";
    assert.deepEqual(source("192.0.2.9", [local, forged]), unknown(1));
    const webmail = "by mx.provider.example with HTTP id 1";
    assert.deepEqual(source("192.0.2.9", [webmail, forged]), unknown(1));
  });

  test("reads no more hops than its limit", () => {
    const chain = Array.from({ length: 20_000 }, () => inside);
    assert.deepEqual(source("192.0.2.9", chain), ["unknown", "192.0.2.9", "client.example", 30]);
  });

  test("finds only addresses that a field holds, in noise", () => {
    const random = seededRandom(56);
    const pieces = [
      byProvider,
      forged,
      inside,
      "from ",
      "(",
      ")",
      "by x",
      "[192.0.2.1]",
      " ",
      "\0",
    ];
    const known = ["203.0.113.5", "198.51.100.1", "192.0.2.9"];
    for (let round = 0; round < 3000; round += 1) {
      const noise = Array.from({ length: pick(random, 6) }, () =>
        Array.from({ length: pick(random, 5) }, () => pieces[pick(random, pieces.length)]).join(""),
      );
      const [kind, address] = source("192.0.2.9", noise);
      assert.ok(known.includes(String(address)), `${String(kind)} ${String(address)}`);
      assert.ok(kind !== "relayed" || address !== "192.0.2.9");
    }
  });
});

describe("parseRange()", () => {
  for (const [text, inside, outside] of [
    ["192.0.2.0/24", "192.0.2.255", "192.0.3.0"],
    ["192.0.2.128/25", "192.0.2.129", "192.0.2.127"],
    ["192.0.2.7", "192.0.2.7", "192.0.2.6"],
    ["192.0.2.7/32", "::ffff:192.0.2.7", "::ffff:192.0.2.6"],
    ["10.0.0.0/9", "10.127.0.1", "10.128.0.1"],
    ["2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"],
    ["0.0.0.0/0", "203.0.113.1", "2001:db8::1"],
  ] as const) {
    test(text, () => {
      const range = parseRange(text) ?? assert.fail();
      assert.equal(isOwnRelay(inside, [range]), true);
      assert.equal(isOwnRelay(outside, [range]), false);
    });
  }

  test("refuses what is no network", () => {
    for (const text of [
      "",
      "x",
      "192.0.2.0/33",
      "192.0.2.0/",
      "192.0.2.0/08",
      "::/129",
      "::/1/2",
    ]) {
      assert.equal(parseRange(text), undefined, text);
    }
    assert.equal(isOwnRelay("", own), false);
  });
});
