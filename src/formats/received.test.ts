/** Received fields as others write them. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { formatReceived, parseReceived } from "#formats/received";

const date = "; Mon, 20 Feb 2006 15:04:47 -1000";

/** Server that wrote it, the field, and what it says: address, greeting, "by", protocol. */
const layouts = [
  [
    "Postfix",
    "from out.example (mail.sender.example [192.0.2.1]) by mx.example (Postfix) with ESMTPS id 8ABFE30424 for <a@b.example>",
    ["192.0.2.1", "out.example", "mx.example", "ESMTPS"],
  ],
  [
    "Postfix, no reverse name, IPv6, TLS",
    'from out.example (unknown [IPv6:2001:DB8:0::1])\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))\r\n\t(Client CN "x [198.51.100.9]", Issuer "y" (verified OK))\r\n\tby mx.example (Postfix) with ESMTPS id 1',
    ["2001:db8::1", "out.example", "mx.example", "ESMTPS"],
  ],
  [
    "Postfix, greeted with an address",
    "from [198.51.100.9] (unknown [192.0.2.1]) by mx.example (Postfix) with SMTP id 1",
    ["192.0.2.1", "[198.51.100.9]", "mx.example", "SMTP"],
  ],
  [
    "Postfix, content filter",
    "from localhost (localhost [127.0.0.1]) by mx.example (Postfix) with ESMTP id 1",
    ["127.0.0.1", "localhost", "mx.example", "ESMTP"],
  ],
  [
    "Postfix, local program",
    "by mx.example (Postfix, from userid 33) id 1",
    [undefined, undefined, "mx.example", undefined],
  ],
  [
    "Exim",
    "from mail.sender.example ([192.0.2.1]) by mx.example with esmtps (TLS1.3) tls TLS_AES_256_GCM_SHA384 (Exim 4.96) (envelope-from <a@198.51.100.9>) id 1",
    ["192.0.2.1", "mail.sender.example", "mx.example", "ESMTPS"],
  ],
  [
    "Exim, other greeting and port",
    "from mail.sender.example ([192.0.2.1]:40123 helo=[198.51.100.9]) by mx.example with esmtp (Exim 4.96)",
    ["192.0.2.1", "[198.51.100.9]", "mx.example", "ESMTP"],
  ],
  [
    "Exim, no reverse name",
    "from [192.0.2.1] (port=40123 helo=[198.51.100.9]) by mx.example with esmtp (Exim 4.96)",
    ["192.0.2.1", "[198.51.100.9]", "mx.example", "ESMTP"],
  ],
  [
    "Exim, ident reply",
    "from [192.0.2.1]:40123 (ident=[198.51.100.9] helo=out.example) by mx.example with smtp",
    ["192.0.2.1", "out.example", "mx.example", "SMTP"],
  ],
  [
    "Microsoft SMTPSVC",
    "from out.example ([192.0.2.1]) by mx.example with Microsoft SMTPSVC(6.0.3790.1830)",
    ["192.0.2.1", "out.example", "mx.example", "MICROSOFT"],
  ],
  [
    "Exchange",
    "from OUT.sender.example (192.0.2.1) by EX1.example (10.0.0.1) with Microsoft SMTP Server (version=TLS1_2, cipher=TLS_ECDHE) id 15.1.2507.6",
    ["192.0.2.1", "OUT.sender.example", "EX1.example", "MICROSOFT"],
  ],
  [
    "Exchange, IPv6",
    "from OUT.sender.example (2001:db8:10b6:a03::17) by EX1.example (2001:db8::5) with Microsoft SMTP Server",
    ["2001:db8:10b6:a03::17", "OUT.sender.example", "EX1.example", "MICROSOFT"],
  ],
  [
    "Sendmail",
    "from out.example (mail.sender.example [192.0.2.1] (may be forged)) by mx.example (8.15.2/8.15.2) with ESMTP id 1",
    ["192.0.2.1", "out.example", "mx.example", "ESMTP"],
  ],
  [
    "Sendmail, ident reply",
    "from out.example (IDENT:u[198.51.100.9]@mail.sender.example [192.0.2.1]) by mx.example (8.12.3/8.12.3) with SMTP id 1",
    ["192.0.2.1", "out.example", "mx.example", "SMTP"],
  ],
  [
    "Gmail",
    "from out.example (mail.sender.example. [192.0.2.1]) by mx.google.example with ESMTPS id 1 for <a@b.example> (version=TLS1_3 cipher=X bits=256/256)",
    ["192.0.2.1", "out.example", "mx.google.example", "ESMTPS"],
  ],
  [
    "Gmail, between its machines",
    "by 2002:a05:6a10:1d45:b0:521:b1f9:9be2 with SMTP id f5csp1",
    [undefined, undefined, "2002:a05:6a10:1d45:b0:521:b1f9:9be2", "SMTP"],
  ],
  [
    "qmail",
    "from unknown (HELO out.example) (192.0.2.1) by mx.example with SMTP",
    ["192.0.2.1", "out.example", "mx.example", "SMTP"],
  ],
  [
    "qmail, ident reply",
    "from mail.sender.example (HELO 198.51.100.9) (x@198.51.100.9@192.0.2.1) by mx.example with ESMTPS",
    ["192.0.2.1", "198.51.100.9", "mx.example", "ESMTPS"],
  ],
  [
    "qmail, its queue",
    "(qmail 12345 invoked from network)",
    [undefined, undefined, undefined, "SMTP"],
  ],
  [
    "qmail, a local user",
    "(qmail 12345 invoked by uid 89)",
    [undefined, undefined, undefined, undefined],
  ],
  [
    "Mirapoint",
    "from out.example ([192.0.2.1]) by mx.example (Mirapoint Messaging Server MOS 3.3.2CR) with ESMTP id AGC33650",
    ["192.0.2.1", "out.example", "mx.example", "ESMTP"],
  ],
  [
    "CommuniGate",
    "from [192.0.2.1] (account u@198.51.100.9 HELO out.example) by mx.example with ESMTP",
    ["192.0.2.1", "out.example", "mx.example", "ESMTP"],
  ],
] as const;

const read = (text: string) => {
  const { address, helo, by, protocol } = parseReceived(text);
  return [address, helo, by, protocol];
};

describe("parseReceived()", () => {
  for (const [server, field, said] of layouts) {
    test(`CAP-56 reads ${server}`, () => assert.deepEqual(read(` ${field}${date}`), said));
  }

  test("reads what we write", () => {
    const base = { listener: "smtp", clientPort: 1, extended: true } as const;
    for (const [clientAddress, helo, claimed] of [
      ["192.0.2.1", "out.example", "out.example"],
      ["2001:db8::1", "[198.51.100.9]", "[198.51.100.9]"],
      ["192.0.2.1", "", "[192.0.2.1]"],
      ["192.0.2.1", "x) by evil ([198.51.100.9]", "x?"],
    ] as const) {
      const connection = { ...base, clientAddress, helo };
      const field = formatReceived({
        connection,
        receivedBy: "mx.example",
        id: "1",
        receivedAtMs: 0,
      });
      assert.deepEqual(read(field.slice("Received:".length)), [
        clientAddress,
        claimed,
        "mx.example",
        "ESMTP",
      ]);
    }
  });

  test("a greeting that is a word of the syntax hides nothing", () => {
    for (const helo of ["by", "from", "with", "id", "for", "via"]) {
      const said = read(`from ${helo} (unknown [192.0.2.1]) by mx.example with SMTP id 1${date}`);
      assert.deepEqual(said, ["192.0.2.1", helo, "mx.example", "SMTP"]);
    }
  });

  test("finds nothing in what is no hop", () => {
    for (const text of [
      "",
      "from",
      "from (",
      "(",
      "from a (b [300.0.0.1]) by c",
      "from a ([::g])",
    ]) {
      assert.equal(parseReceived(text).address, undefined, text);
    }
    assert.deepEqual(parseReceived("from (mail [192.0.2.1]) by b"), {
      helo: "",
      address: "192.0.2.1",
      by: "b",
    });
  });

  test("neither throws nor invents an address on noise", () => {
    const random = seededRandom(5321);
    const pieces = [
      "from",
      "by",
      "with",
      " ",
      "(",
      ")",
      "[",
      "]",
      "192.0.2.1",
      "IPv6:",
      "::1",
    ].concat([
      "helo=",
      "HELO ",
      "\\",
      ";",
      "@",
      "\r\n\t",
      "x",
      "\0",
      "ü",
      "qmail 1 invoked from network",
    ]);
    for (let round = 0; round < 30_000; round += 1) {
      const length = pick(random, 24);
      const noise = Array.from({ length }, () => pieces[pick(random, pieces.length)]).join("");
      const { address } = parseReceived(noise);
      assert.ok(address === undefined || ["192.0.2.1", "::1"].includes(address), noise);
    }
  });

  test("is linear in a million characters of anything", () => {
    const startedAt = performance.now();
    for (const piece of ["(", "((", "from ", "a (", "[", "[1", "\\", "helo=", " ", "@", "1."]) {
      parseReceived(`from x (${piece.repeat(1_000_000 / piece.length)}`);
    }
    assert.ok(performance.now() - startedAt < 1000);
  });
});
