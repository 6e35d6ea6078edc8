import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import {
  bitString,
  boolean,
  context,
  encode,
  integer,
  octetString,
  oid,
  parseDer,
  sequence,
  setOf,
  time,
  utf8String,
} from "#formats/der";

const hexOf = (octets: Uint8Array): string => Buffer.from(octets).toString("hex");
const faultOf = (hexText: string): string => {
  const read = parseDer(Buffer.from(hexText, "hex"));
  return read.ok ? "accepted" : read.fault;
};

describe("encoding", () => {
  const cases: readonly (readonly [string, Buffer, string])[] = [
    ["a small integer", integer(2), "020102"],
    ["zero", integer(0), "020100"],
    ["an integer with its top bit set", integer(200), "020200c8"],
    [
      "octets as a positive integer, shortest",
      integer(Buffer.from("0000ff01", "hex")),
      "020300ff01",
    ],
    ["true", boolean(true), "0101ff"],
    ["an object identifier with long arcs", oid("1.2.840.10045.4.3.2"), "06082a8648ce3d040302"],
    ["a bit string", bitString(Buffer.from([0x80]), 7), "03020780"],
    ["a time before 2050 as UTCTime", time(0), "170d3730303130313030303030305a"],
    [
      "a time from 2050 on as GeneralizedTime",
      time(Date.UTC(2050, 0, 1)),
      "180f32303530303130313030303030305a",
    ],
    ["a set in the order of its octets", setOf(integer(2), integer(1)), "3106020101020102"],
    ["a tag in place of another", context(0, "primitive", Buffer.from([1])), "800101"],
    ["text", utf8String("ä"), "0c02c3a4"],
  ];
  for (const [what, made, wanted] of cases) {
    test(`writes ${what}`, () => assert.equal(hexOf(made), wanted));
  }

  test("writes long lengths in as few octets as they need", () => {
    assert.equal(hexOf(octetString(Buffer.alloc(127))).slice(0, 4), "047f");
    assert.equal(hexOf(octetString(Buffer.alloc(128))).slice(0, 6), "048180");
    assert.equal(hexOf(octetString(Buffer.alloc(70_000))).slice(0, 10), "0483011170");
  });
});

describe("parseDer()", () => {
  test("gives back what was written, nested", () => {
    const inner = sequence(integer(7), utf8String("x"));
    const read = parseDer(sequence(inner, octetString(Buffer.alloc(300))));
    assert.ok(read.ok);
    assert.equal(read.value.children.length, 2);
    assert.deepEqual(read.value.children[0]?.raw, inner);
    assert.equal(read.value.children[0]?.children[1]?.content.toString(), "x");
    assert.equal(read.value.children[1]?.content.length, 300);
  });

  const refused: readonly (readonly [string, string, string])[] = [
    ["nothing", "", "truncated"],
    ["a header cut short", "30", "truncated"],
    ["content cut short", "0402aa", "truncated"],
    ["a child that outgrows its parent", "3003040500", "truncated"],
    ["an indefinite length (BER)", "30800000", "bad-length"],
    ["a long form where the short one does", "048105aaaaaaaaaa", "bad-length"],
    ["a length with a leading zero", "04820080", "bad-length"],
    ["a length of five octets", "04850000000001aa", "bad-length"],
    ["a tag of several octets", "1f810100", "long-tag"],
    ["anything behind the value", "020101ff", "trailing-octets"],
  ];
  for (const [what, octets, fault] of refused) {
    test(`refuses ${what}`, () => assert.equal(faultOf(octets), fault));
  }

  test("refuses deep nesting and too many values", () => {
    let nested = integer(1);
    for (let level = 0; level < 40; level += 1) nested = sequence(nested);
    assert.equal(faultOf(hexOf(nested)), "too-deep");
    const crowd = encode(0x30, Buffer.alloc(60_000, Buffer.from("0500", "hex")));
    assert.equal(faultOf(hexOf(crowd)), "too-many");
  });

  test("neither throws nor hangs on damaged input", () => {
    const random = seededRandom(690);
    const sound = sequence(oid("2.5.29.14"), sequence(integer(1), octetString(Buffer.alloc(200))));
    for (let round = 0; round < 20_000; round += 1) {
      const damaged = Buffer.from(sound);
      for (let hits = 0; hits < 3; hits += 1) {
        damaged[pick(random, damaged.length)] = pick(random, 256);
      }
      const read = parseDer(damaged.subarray(0, pick(random, damaged.length + 1)));
      if (!read.ok) assert.ok(read.at >= 0 && read.at <= damaged.length);
    }
  });
});
