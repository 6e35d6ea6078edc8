import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { BatchBuilder } from "./batch.ts";
import type { KeyFile } from "./key-file.ts";
import { findMessageId } from "./message-id.ts";
import { parseMailboxName } from "./names.ts";
import { checkPage, headerBytes, headerOf, isHashRight, pageBytes } from "./pages.ts";
import { draft, guessRecord, readFacts, readRecords } from "./records.ts";
import { spansOf } from "./spans.ts";
import { StoreKeys } from "./store-keys.ts";

const storeId = Buffer.from("0123456789abcdef", "hex");
const keyFile = { storeId, storeKey: Buffer.alloc(32, 1) } as unknown as KeyFile;
const keys = new StoreKeys(keyFile);

function batch(): Buffer {
  const drafts = [
    draft({ kind: "made", atMs: 1 }),
    draft({ kind: "content", id: "ab", sizeBytes: 20_000, epoch: 1, keys: [] }, [
      Buffer.alloc(12_000, 1),
      Buffer.alloc(8_000, 2),
    ]),
    draft({ kind: "closed", atMs: 2 }),
  ];
  const facts = { storeId, segment: 3, firstPage: 5, generation: 7, firstLsn: 11 };
  return Buffer.from(
    new BatchBuilder({ keys, commit: () => Buffer.alloc(32, 1) }).build(drafts, facts).pages,
  );
}

function payloadOf(pages: Buffer): Buffer {
  const parts = [];
  for (let at = 0; at < pages.length; at += pageBytes) {
    const page = pages.subarray(at, at + pageBytes);
    parts.push(page.subarray(headerBytes, headerBytes + headerOf(page).length));
  }
  return Buffer.concat(parts);
}

describe("pages and records", () => {
  test("are read as they were written, over page ends", () => {
    const pages = batch();
    for (let at = 0; at < pages.length; at += pageBytes) {
      const header = checkPage(pages.subarray(at, at + pageBytes), storeId, 3, 5 + at / pageBytes);
      assert.ok(typeof header !== "string");
      assert.deepEqual([header.generation, header.durable], [7, 6]);
    }
    const records = readRecords({ payload: payloadOf(pages), segment: 3, base: 0 }, keys) ?? [];
    assert.deepEqual(
      records.map(({ record, place }) => [record.kind, place.lsn, place.blobBytes]),
      [
        ["made", 11, 0],
        ["content", 12, 20_000],
        ["closed", 13, 0],
      ],
    );
  });

  test("every flipped bit of a page is seen (D1)", () => {
    const page = batch().subarray(0, pageBytes);
    for (let bit = 0; bit < pageBytes * 8; bit += 1) {
      const at = bit >> 3;
      page[at] = (page[at] ?? 0) ^ (1 << (bit & 7));
      const seen = checkPage(page, storeId, 3, 5);
      assert.ok(typeof seen === "string", `bit ${bit}`);
      page[at] = (page[at] ?? 0) ^ (1 << (bit & 7));
    }
    assert.ok(isHashRight(page));
  });

  test("a page of another store, segment or place is misplaced (D3, D5)", () => {
    const page = batch().subarray(0, pageBytes);
    const other = Buffer.alloc(8, 1);
    assert.equal(checkPage(page, other, 3, 5), "misplaced");
    assert.equal(checkPage(page, storeId, 4, 5), "misplaced");
    assert.equal(checkPage(page, storeId, 3, 6), "misplaced");
  });

  test("reading records never throws and never runs behind the end, whatever the octets", () => {
    const random = seededRandom(99);
    const sound = payloadOf(batch());
    for (let round = 0; round < 3000; round += 1) {
      const octets = Buffer.from(sound.subarray(0, pick(random, sound.length)));
      for (let flips = pick(random, 20); flips > 0 && octets.length > 0; flips -= 1) {
        octets[pick(random, Math.min(octets.length, 300))] = pick(random, 256);
      }
      const stretch = { payload: octets, segment: 1, base: 0 };
      for (const { place } of readRecords(stretch, keys) ?? []) {
        assert.ok(place.jsonAt + place.jsonBytes + place.blobBytes <= octets.length);
      }
      const facts = readFacts(stretch, pick(random, octets.length + 50));
      if (facts !== undefined) guessRecord(facts, keys);
    }
  });
});

describe("spansOf()", () => {
  test("joins what is neighbouring among what exists, and nothing else", () => {
    const spans = spansOf([3, 5, 6, 12, 20], [3, 5, 6, 9, 12, 20]);
    assert.deepEqual(spans, [
      [3, 6],
      [12, 20],
    ]);
  });
});

describe("findMessageId()", () => {
  const cases = [
    ["Message-ID: <a@b>\r\nSubject: x\r\n\r\n", "<a@b>"],
    ["Subject: x\r\nMessage-Id:\r\n <folded@b>\r\n\r\n", "<folded@b>"],
    ["Subject: x\r\n\r\nMessage-ID: <body@b>\r\n", undefined],
    ["Subject: x\r\nMessage-ID: none\r\n\r\n", undefined],
    ["", undefined],
  ] as const;
  for (const [text, expected] of cases) {
    test(`finds ${expected} in ${JSON.stringify(text)}`, () => {
      assert.equal(findMessageId(Buffer.from(text)), expected);
    });
  }
});

describe("parseMailboxName()", () => {
  test("never throws, and what it gives it takes again unchanged", () => {
    const random = seededRandom(5);
    const alphabet = Array.from("aÅé/ .%*\u0000\u2028\ud800INBOXinbox😀");
    for (let round = 0; round < 5000; round += 1) {
      const length = pick(random, 30);
      const text = Array.from({ length }, () => alphabet[pick(random, alphabet.length)]).join("");
      const name = parseMailboxName(text);
      if (name !== undefined) assert.equal(parseMailboxName(name), name);
    }
  });
});
