import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { agreement, indexed, packet } from "../../../tests/kit/milter.ts";
import {
  maxAnswerBytes,
  type Packet,
  PacketReader,
  parseAgreement,
  parseReply,
} from "./answers.ts";

const only = (octets: Buffer): Packet => {
  const read = new PacketReader().push(octets);
  assert.ok(read.ok && read.value.length === 1);
  return read.value[0] as Packet;
};
const reply = (octets: Buffer): unknown => {
  const read = parseReply(only(octets));
  return read.ok ? read.value : read.fault;
};

describe("PacketReader", () => {
  test("finds the same packets however the octets arrive", () => {
    const said = [packet("c"), indexed("i", 1, "X-A\0b\0"), packet("y", "550 5.7.1 no\0")];
    const octets = Buffer.concat(said);
    for (const size of [1, 2, 3, 5, octets.length]) {
      const reader = new PacketReader();
      const found: Packet[] = [];
      for (let at = 0; at < octets.length; at += size) {
        const read = reader.push(octets.subarray(at, at + size));
        assert.ok(read.ok);
        found.push(...read.value);
      }
      assert.deepEqual(
        found.map(({ letter, data }) => packet(letter, data)),
        said,
      );
    }
  });

  test("refuses an empty packet, a huge one and an endless answer", () => {
    const faultOf = (octets: Buffer): string => {
      const read = new PacketReader().push(octets);
      return read.ok ? "read" : read.fault;
    };
    assert.equal(faultOf(Buffer.from([0, 0, 0, 0])), "bad-answer");
    assert.equal(faultOf(Buffer.from([0xff, 0xff, 0xff, 0xff])), "answer-too-long");
    assert.equal(faultOf(Buffer.alloc(maxAnswerBytes + 1, packet("p"))), "answer-too-long");
  });

  test("takes a long packet octet by octet in linear time", () => {
    const octets = packet("h", Buffer.alloc(100_000, "x"));
    const reader = new PacketReader();
    const startMs = performance.now();
    for (let at = 0; at < octets.length; at += 1) reader.push(octets.subarray(at, at + 1));
    assert.ok(performance.now() - startMs < 2000);
  });
});

describe("parseAgreement()", () => {
  const agreed = (octets: Buffer): unknown => {
    const read = parseAgreement(only(octets));
    return read.ok ? read.value : read.fault;
  };

  test("takes the steps that a milter wants", () => {
    assert.equal(agreed(agreement(0x31)), 0x31);
    assert.equal(agreed(agreement(0, 0x1ff, 2)), 0);
  });

  test("refuses other versions, steps that were not offered, and what is no agreement", () => {
    assert.equal(agreed(agreement(0, 1, 1)), "no-agreement");
    assert.equal(agreed(agreement(0, 1, 7)), "no-agreement");
    assert.equal(agreed(agreement(0x8000_0000)), "no-agreement");
    assert.equal(agreed(packet("c")), "bad-answer");
    assert.equal(agreed(packet("O", "short")), "bad-answer");
  });
});

describe("parseReply()", () => {
  const cases: readonly (readonly [what: string, octets: Buffer, expected: unknown])[] = [
    ["continue", packet("c"), { kind: "continue" }],
    ["accept", packet("a"), { kind: "accept" }],
    ["skip", packet("s"), { kind: "skip" }],
    ["progress", packet("p"), { kind: "progress" }],
    ["reject", packet("r"), { kind: "reject", why: "" }],
    ["a passing failure", packet("t"), { kind: "defer", why: "" }],
    ["a failed connection", packet("f"), { kind: "defer", why: "" }],
    ["discard", packet("d"), { kind: "discard", why: "" }],
    ["quarantine", packet("q", "odd\r\nfile\0"), { kind: "quarantine", why: "odd file" }],
    ["a code", packet("y", "550 5.7.1 100%% bad\0"), { kind: "reject", why: "550 5.7.1 100% bad" }],
    ["a passing code", packet("y", "451 4.7.1 later\0"), { kind: "defer", why: "451 4.7.1 later" }],
    ["code 421", packet("y", "421-a\r\n421 b\0"), { kind: "defer", why: "421-a 421 b" }],
    ["no code", packet("y", "250 fine\0"), "bad-answer"],
    ["an odd code", packet("y", "5x0 no\0"), "bad-answer"],
    ["a body", packet("b", "another"), "bad-answer"],
    ["a recipient", packet("+", "<eve@example.net>\0"), "bad-answer"],
    ["one recipient less", packet("-", "<ana@example.org>\0"), "bad-answer"],
    ["a return path", packet("e", "<eve@example.net>\0"), "bad-answer"],
    ["an unknown letter", packet("?"), "bad-answer"],
  ];
  for (const [what, octets, expected] of cases) {
    test(`reads ${what}`, () => assert.deepEqual(reply(octets), expected));
  }

  const fields: readonly (readonly [what: string, octets: Buffer, expected: unknown])[] = [
    ["a field", packet("h", "X-A\0b\0"), { name: "X-A", value: " b" }],
    ["one with its space", packet("h", "X-A\0 b\0"), { name: "X-A", value: " b" }],
    ["an empty one", packet("h", "X-A\0\0"), { name: "X-A", value: " " }],
    ["a folded one", indexed("i", 0, "X-A\0b;\n\tc\0"), { name: "X-A", value: " b;\r\n\tc" }],
    ["one folded by CRLF", indexed("i", 0, "X-A\0b\r\n c\0"), { name: "X-A", value: " b\r\n c" }],
    ["UTF-8", packet("h", "X-A\0é\0"), { name: "X-A", value: " é" }],
    ["a change", indexed("m", 1, "X-A\0b\0"), { name: "X-A", value: " b" }],
  ];
  for (const [what, octets, field] of fields) {
    test(`takes ${what}`, () => assert.deepEqual(reply(octets), { kind: "field", field }));
  }

  const harmful: readonly (readonly [what: string, octets: Buffer])[] = [
    ["no end", packet("h", "X-A\0b")],
    ["no value", packet("h", "X-A\0")],
    ["no name", packet("h", "\0b\0")],
    ["a colon in the name", packet("h", "X:A\0b\0")],
    ["a line end in the name", packet("h", "X\r\nA\0b\0")],
    ["a second field in the value", packet("h", "X-A\0b\nFrom: eve\0")],
    ["the end of the header in the value", packet("h", "X-A\0b\r\n\r\nbody\0")],
    ["a fold of white space alone", packet("h", "X-A\0b\n \n c\0")],
    ["a bare CR", packet("h", "X-A\0b\rc\0")],
    ["a line over 998 octets", packet("h", `X-A\0${"b".repeat(998)}\0`)],
    ["octets that are no UTF-8", packet("h", Buffer.from("X-A\0\xff\0", "latin1"))],
    ["no number before a change", packet("m", "X")],
  ];
  for (const [what, octets] of harmful) {
    test(`refuses a field with ${what}`, () => assert.equal(reply(octets), "bad-answer"));
  }

  test("does not do what would change what was checked, and says what", () => {
    const refused = (what: string): object => ({ kind: "refused-change", what });
    assert.deepEqual(reply(indexed("m", 1, "Subject\0***\0")), refused("another Subject"));
    assert.deepEqual(reply(packet("h", "From\0eve\0")), refused("one more From"));
    assert.deepEqual(
      reply(packet("h", "content-type\0text/html\0")),
      refused("one more content-type"),
    );
    assert.deepEqual(reply(indexed("m", 1, "X-Spam\0\0")), refused("removal of X-Spam"));
  });
});

test("the parser never throws, and what it takes is a header field (fuzz, 60,000 rounds)", () => {
  const random = seededRandom(33);
  const honest = [
    agreement(),
    packet("h", "X-Spam-Score\0 12\0"),
    indexed("i", 0, "Authentication-Results\0mx; dkim=pass\n\theader.d=a\0"),
    packet("y", "550 5.7.1 no %% yes\0"),
    packet("q", "why\0"),
  ];
  const pieces = ["\0", "\r\n", "\n", " ", "\t", ":", "\xff", "p", "550 ", "From", "é"];
  let taken = 0;
  for (let round = 0; round < 60_000; round += 1) {
    const octets = Buffer.from(honest[pick(random, honest.length)] ?? "");
    for (let hits = pick(random, 4); hits > 0; hits -= 1) {
      octets.write(
        pieces[pick(random, pieces.length)] ?? "",
        pick(random, octets.length),
        "latin1",
      );
    }
    const read = new PacketReader().push(octets);
    if (!read.ok) continue;
    for (const one of read.value) {
      parseAgreement(one);
      const said = parseReply(one);
      if (!said.ok || said.value.kind !== "field") continue;
      taken += 1;
      const { name, value } = said.value.field;
      assert.match(
        `${name}:${value}\r\n`,
        /^[!-9;-~]+:[ \t][^\0\r\n]*(?:\r\n[ \t]+[^\0\r\n]+)*\r\n$/,
      );
    }
  }
  assert.ok(taken > 5000 && taken < 55_000, `${taken} taken`);
});
