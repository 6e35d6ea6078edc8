import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "#base/random";
import { correctBit } from "./bit-repair.ts";
import { spoilPages } from "./page-errors.ts";
import { flipBit, soundPage, storeId } from "./page-fixture.ts";
import { blockBytes, pageBytes, parityBlock, payloadBytes, sealPage } from "./pages.ts";

const header = { page: 6000, segment: 40, generation: 123_456, durable: 123_455 };

function pageWith(flags: number, length: number, firstRecord: number): Buffer {
  const page = Buffer.alloc(pageBytes);
  soundPage(page, seededRandom(flags), { ...header, flags, length, firstRecord });
  return page;
}

function block(): Buffer {
  const octets = Buffer.concat([Buffer.alloc(64), seededRandom(4).bytes(pageBytes)]);
  const parity = { flags: parityBlock, length: pageBytes, firstRecord: 0xffff, revision: 3 };
  sealPage(octets, storeId, { ...header, ...parity });
  return octets;
}

describe("correctBit()", () => {
  const kinds: readonly (readonly [string, Buffer])[] = [
    ["a small batch on one page", pageWith(3, 180, 0)],
    ["a page in the middle of a batch", pageWith(0, payloadBytes, 0xffff)],
    ["a last page, padded with zeros", pageWith(2, 4000, 77)],
    ["a mark, without records", pageWith(3, 0, 0xffff)],
    ["a parity block", block()],
  ];
  for (const [kind, page] of kinds) {
    test(`puts each of the ${page.length * 8} bits of ${kind} right`, () => {
      assert.ok(page.length === pageBytes || page.length === blockBytes);
      const spoilt = Buffer.from(page);
      for (let bit = 0; bit < page.length * 8; bit += 1) {
        flipBit(spoilt, bit);
        const right = correctBit(spoilt, storeId, header.segment, header.page);
        if (right?.page.equals(page) !== true) assert.fail(`bit ${bit}`);
        flipBit(spoilt, bit);
      }
      assert.ok(spoilt.equals(page));
    });
  }

  test("takes none of 20,000 pages with 2 to 4096 wrong bits for a page with one", () => {
    const { pages, misrepaired } = spoilPages(20_000, 7);
    assert.deepEqual({ pages, misrepaired }, { pages: 20_000, misrepaired: 0 });
  });

  test("leaves alone what is right, of another place, or nothing but zeros with a bit", () => {
    const page = pageWith(3, 100, 0);
    assert.equal(correctBit(page, storeId, header.segment, header.page), undefined);
    flipBit(page, 9000);
    assert.equal(correctBit(page, storeId, header.segment, header.page + 1), undefined);
    assert.equal(correctBit(page, Buffer.alloc(8), header.segment, header.page), undefined);
    const zeros = Buffer.alloc(pageBytes);
    flipBit(zeros, 12_345);
    assert.equal(correctBit(zeros, storeId, header.segment, header.page), undefined);
  });
});
