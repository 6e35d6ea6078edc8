import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { crc32 } from "node:zlib";
import { seededRandom } from "#base/random";
import { soundPage, storeId } from "./page-fixture.ts";
import {
  blockBytes,
  checkPage,
  headerOf,
  isHashRight,
  pageBytes,
  parityBlock,
  provePage,
  sealPage,
} from "./pages.ts";

const header = {
  flags: 3,
  page: 7,
  segment: 9,
  length: 100,
  firstRecord: 5,
  generation: 0x0102_0304_0506,
  revision: 0x0708,
  durable: 0x1112_1314_1516,
};

function page(more: Partial<typeof header> = {}): Buffer {
  const octets = Buffer.alloc(pageBytes);
  soundPage(octets, seededRandom(1), { ...header, ...more });
  return octets;
}

function withRightChecksum(octets: Buffer): Buffer {
  octets.writeUInt32LE(0, 4);
  octets.writeUInt32LE(crc32(octets), 4);
  return octets;
}

describe("sealPage() and checkPage()", () => {
  test("every field stands where docs/store-format.md says", () => {
    const octets = page();
    assert.equal(octets.toString("hex", 0, 4), "32545350");
    assert.equal(
      octets.toString("hex", 24, 64),
      "0200" +
        "0300" +
        "07000000" +
        "0123456789abcdef" +
        "09000000" +
        "6400" +
        "0500" +
        "060504030201" +
        "0807" +
        "161514131211" +
        "0000",
    );
    assert.deepEqual(headerOf(octets), header);
    assert.deepEqual(checkPage(octets, storeId, 9, 7), header);
    assert.deepEqual(provePage(octets, undefined, 9, 7), header);
  });

  test("a page is right only in its place, its segment and its store", () => {
    assert.equal(checkPage(page(), storeId, 9, 8), "misplaced");
    assert.equal(checkPage(page(), storeId, 8, 7), "misplaced");
    assert.equal(checkPage(page(), Buffer.alloc(8, 1), 9, 7), "misplaced");
  });

  test("a parity block is no page, and a page no parity block", () => {
    assert.equal(checkPage(page({ flags: parityBlock }), storeId, 9, 7), "misplaced");
    const block = Buffer.alloc(blockBytes, 3);
    sealPage(block, storeId, { ...header, flags: parityBlock });
    assert.equal(typeof provePage(block, storeId, 9, 7), "object");
    sealPage(block, storeId, header);
    assert.equal(checkPage(block, storeId, 9, 7), "misplaced");
  });

  test("zeros are empty, and one octet among them is not", () => {
    const octets = Buffer.alloc(pageBytes);
    assert.equal(checkPage(octets, storeId, 9, 7), "empty");
    octets[5000] = 1;
    assert.equal(checkPage(octets, storeId, 9, 7), "checksum");
  });

  test("other versions are told apart from damage", () => {
    const later = page();
    later.writeUInt16LE(3, 24);
    assert.equal(checkPage(withRightChecksum(later), storeId, 9, 7), "future");
    const earlier = Buffer.alloc(pageBytes, 1);
    earlier.write("NTSP", 0, "latin1");
    assert.equal(checkPage(withRightChecksum(earlier), storeId, 9, 7), "earlier");
    earlier[100] = 2;
    assert.equal(checkPage(earlier, storeId, 9, 7), "checksum");
    const stranger = withRightChecksum(Buffer.alloc(pageBytes, 1));
    assert.equal(checkPage(stranger, storeId, 9, 7), "misplaced");
  });

  test("the hash covers what the header says as well as the payload", () => {
    for (const at of [24, 26, 28, 32, 40, 44, 46, 48, 54, 56, 62, 64, 8191]) {
      const octets = page();
      octets[at] = (octets[at] ?? 0) ^ 1;
      assert.equal(isHashRight(withRightChecksum(octets)), false, `octet ${at}`);
    }
    const octets = page();
    octets[100] = (octets[100] ?? 0) ^ 1;
    assert.equal(provePage(withRightChecksum(octets), storeId, 9, 7), "hash");
  });

  test("checking leaves the page as it is", () => {
    const octets = page();
    const before = Buffer.from(octets);
    provePage(octets, storeId, 9, 7);
    assert.ok(octets.equals(before));
  });
});
