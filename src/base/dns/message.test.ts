import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { formatQuery, parseResponse, type Question } from "./message.ts";
import { decodeName, encodeName } from "./name.ts";

const nameOf = (text: string): Buffer => encodeName(text) ?? assert.fail(text);
const question: Question = { id: 0xbeef, name: nameOf("www.example.org"), type: "A" };

/** Header and question of an answer with that many records, then the records' octets in hex. */
function response(answers: number, records: string, authority = 0, asked = question): Buffer {
  const head = formatQuery(asked, false);
  head.writeUInt16BE(0x8180, 2);
  head.writeUInt16BE(answers, 6);
  head.writeUInt16BE(authority, 8);
  return Buffer.concat([head, Buffer.from(records.replaceAll(" ", ""), "hex")]);
}

const faultOf = (message: Buffer): string => {
  const read = parseResponse(message, question);
  return read.ok ? "accepted" : read.fault;
};

/** "www.example.org" begins at 12, ".example.org" at 16. */
const aRecord = "c00c 0001 0001 0000003c 0004 c0000201";

describe("parseResponse()", () => {
  test("reads compressed answers and their time", () => {
    const read = parseResponse(response(1, aRecord), question);
    assert.ok(read.ok);
    assert.deepEqual(read.value.records, [{ address: "192.0.2.1" }]);
    assert.equal(read.value.ttl, 60);
  });

  test("takes what was asked for, along the aliases only", () => {
    const alias = "c00c 0005 0001 0000000a 0007 046d61696c c010"; // CNAME mail.example.org
    const own = "046d61696c c010 0001 0001 0000003c 0004 c0000207";
    const strange = "0165 c010 0001 0001 0000003c 0004 c6336407"; // A of e.example.org
    const read = parseResponse(response(3, strange + alias + own), question);
    assert.deepEqual(read.ok && read.value.records, [{ address: "192.0.2.7" }]);
    assert.equal(read.ok && read.value.ttl, 10);
    const without = parseResponse(response(2, strange + alias), question);
    assert.equal(without.ok && without.value.alias, "mail.example.org");
  });

  test("reads how long nothing is to be found (RFC 2308 §5)", () => {
    const soa = "c010 0006 0001 00000e10 0018 00 00c010".replace("00 00c010", "00 c010");
    const numbers = "00000001 00000002 00000003 00000004 0000001e";
    const data = `${soa.replace("0018", "0017")}${numbers}`;
    const read = parseResponse(response(0, data, 1), question);
    assert.equal(read.ok && read.value.negativeTtl, 30);
  });

  const refused: readonly (readonly [string, Buffer, string])[] = [
    ["an empty message", Buffer.alloc(0), "truncated-message"],
    ["another id", response(0, "", 0, { ...question, id: 1 }), "not-the-answer"],
    [
      "another name",
      response(0, "", 0, { ...question, name: nameOf("www.example.net") }),
      "not-the-answer",
    ],
    ["another type", response(0, "", 0, { ...question, type: "MX" }), "not-the-answer"],
    ["a query", formatQuery(question, true), "not-the-answer"],
    ["a pointer to itself", response(1, "c021 0001 0001 0000003c 0004 c0000201"), "bad-name"],
    ["a pointer forwards", response(1, "c030 0001 0001 0000003c 0004 c0000201"), "bad-name"],
    [
      "an address of five octets",
      response(1, "c00c 0001 0001 0000003c 0005 c000020101"),
      "bad-record",
    ],
    [
      "data that passes the end",
      response(1, "c00c 0001 0001 0000003c 00ff c0000201"),
      "truncated-message",
    ],
    ["fewer records than it says", response(2, aRecord), "bad-name"],
    ["more than 64 KiB", Buffer.alloc(70_000), "too-long"],
  ];
  for (const [what, message, fault] of refused) {
    test(`refuses ${what}`, () => assert.equal(faultOf(message), fault));
  }

  test("neither throws nor hangs on damaged messages", () => {
    const random = seededRandom(1035);
    const alias = "c00c 0005 0001 0000000a 0007 046d61696c c010";
    let read = 0;
    for (const type of ["A", "MX", "TXT", "SRV", "TLSA", "PTR", "AAAA"] as const) {
      const asked = { ...question, type };
      const sound = response(3, alias + aRecord + aRecord, 0, asked);
      for (let round = 0; round < 4000; round += 1) {
        const damaged = Buffer.from(sound);
        for (let hits = 0; hits < 4; hits += 1) {
          damaged[33 + pick(random, damaged.length - 33)] = pick(random, 256);
        }
        const size = damaged.length - pick(random, 5);
        const result = parseResponse(damaged.subarray(0, size), asked);
        if (result.ok) read += 1;
        else assert.ok(result.at >= 0 && result.at <= size);
      }
    }
    assert.ok(read > 100, "some damage leaves a message readable");
  });

  test("reads thousands of long compressed names in bounded time", () => {
    const long = `${"0161".repeat(110)}00`;
    const first = `${long} 0001 0001 0000003c 0004 c0000201`;
    const others = "c021 0001 0001 0000003c 0004 c0000201".repeat(3500);
    const startedAt = performance.now();
    assert.equal(faultOf(response(3501, first + others)), "accepted");
    assert.ok(performance.now() - startedAt < 500);
  });

  test("gives up on pointers to pointers", () => {
    let chain = "00";
    for (let at = 0; at < 400; at += 1) chain += (0xc000 + 43 + at * 2).toString(16);
    chain = `00${chain.slice(0, -2)}`;
    const first = `c00c 0063 0001 0000003c ${(chain.length / 2).toString(16).padStart(4, "0")} ${chain}`;
    const end = (0xc000 + 45 + 398 * 2).toString(16);
    assert.equal(
      faultOf(response(2, `${first}${end} 0001 0001 0000003c 0004 c0000201`)),
      "bad-name",
    );
  });
});

describe("names", () => {
  test("come back as they went, in lower case", () => {
    const wire = nameOf("_Sub.Example.ORG");
    assert.deepEqual(decodeName(wire, 0), { text: "_sub.example.org", end: wire.length });
    assert.deepEqual(decodeName(nameOf("."), 0), { text: ".", end: 1 });
  });

  test("cannot hide a dot in a label", () => {
    assert.equal(
      decodeName(Buffer.from("03612e620363 6f6d00".replace(" ", ""), "hex"), 0)?.text,
      "a\\046b.com",
    );
  });

  test("end at 255 octets (RFC 1035 §2.3.4)", () => {
    const label = "a".repeat(49);
    assert.equal(encodeName([label, label, label, label, label].join("."))?.length, 251);
    assert.equal(encodeName([label, label, label, label, label, "abcd"].join(".")), undefined);
  });
});
