import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type QrCode, qrCode } from "../../web/src/qr.ts";

/** Blocks of level M as [how many, codewords, data codewords] (ISO/IEC 18004:2015 table 9). */
const blockTable: Readonly<Record<number, readonly (readonly [number, number, number])[]>> = {
  1: [[1, 26, 16]],
  2: [[1, 44, 28]],
  3: [[1, 70, 44]],
  4: [[2, 50, 32]],
  5: [[2, 67, 43]],
  6: [[4, 43, 27]],
  7: [[4, 49, 31]],
  8: [
    [2, 60, 38],
    [2, 61, 39],
  ],
  9: [
    [3, 58, 36],
    [2, 59, 37],
  ],
  10: [
    [4, 69, 43],
    [1, 70, 44],
  ],
};
/** Centres of alignment patterns (annex E). */
const centres: readonly (readonly number[])[] = [
  ...[[], [], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34]],
  ...[
    [6, 22, 38],
    [6, 24, 42],
    [6, 26, 46],
    [6, 28, 50],
  ],
];
/** The format of level M with each mask, as it stands in the symbol (annex C, table C.1). */
const formats = [0x5412, 0x5125, 0x5e7c, 0x5b4b, 0x45f9, 0x40ce, 0x4f97, 0x4aa0];

const field = { exponent: [] as number[], logarithm: [] as number[] };
for (let power = 0, value = 1; power < 255; power += 1) {
  field.exponent[power] = value;
  field.logarithm[value] = power;
  value = value < 128 ? value * 2 : (value * 2) ^ 0x11d;
}

/** Reads a symbol as a scanner does, by its own tables; every syndrome must be zero. */
function readSymbol(code: QrCode): string {
  const version = (code.length - 17) / 4;
  const dark = (row: number, column: number): boolean => code[row]?.[column] ?? false;
  const mask = formats.indexOf(readFormat(code));
  assert.notEqual(mask, -1, "a format of level M");
  const codewords = readCodewords(
    code,
    (row, column) => dark(row, column) !== masked(mask, row, column),
  );
  const blocks = (blockTable[version] ?? []).flatMap(([count, all, data]) =>
    Array.from({ length: count }, () => ({ all, data, own: [] as number[] })),
  );
  let from = 0;
  const deal = (until: (block: (typeof blocks)[number]) => number): void => {
    const longest = Math.max(...blocks.map(until));
    for (
      let index = Math.min(...blocks.map(({ own }) => own.length));
      index < longest;
      index += 1
    ) {
      for (const block of blocks) {
        if (block.own.length < until(block) && block.own.length <= index) {
          block.own.push(codewords[from++] ?? 0);
        }
      }
    }
  };
  deal((block) => block.data);
  for (const block of blocks) {
    for (let check = block.data; check < block.all; check += 1) block.own.push(-1);
  }
  const checkLength = (blocks[0]?.all ?? 0) - (blocks[0]?.data ?? 0);
  for (let index = 0; index < checkLength; index += 1) {
    for (const block of blocks) block.own[block.data + index] = codewords[from++] ?? 0;
  }
  for (const { own } of blocks) assert.ok(isCodeword(own, checkLength), "no syndrome");
  const bits = blocks
    .flatMap(({ own, data }) => own.slice(0, data))
    .map((one) => one.toString(2).padStart(8, "0"))
    .join("");
  assert.equal(bits.slice(0, 4), "0100", "byte mode");
  const countBits = version < 10 ? 8 : 16;
  const count = Number.parseInt(bits.slice(4, 4 + countBits), 2);
  const octets = Array.from({ length: count }, (_, index) =>
    Number.parseInt(bits.slice(4 + countBits + index * 8, 12 + countBits + index * 8), 2),
  );
  return Buffer.from(octets).toString("utf8");
}

/** Both copies must agree; the highest bit first. */
function readFormat(code: QrCode): number {
  const size = code.length;
  const read = (places: readonly (readonly [number, number])[]): number =>
    places.reduce((value, [row, column]) => value * 2 + (code[row]?.[column] ? 1 : 0), 0);
  const corner = [
    ...[0, 1, 2, 3, 4, 5, 7, 8].map((column) => [8, column] as const),
    ...[7, 5, 4, 3, 2, 1, 0].map((row) => [row, 8] as const),
  ];
  const edges = [
    ...[1, 2, 3, 4, 5, 6, 7].map((down) => [size - down, 8] as const),
    ...[8, 7, 6, 5, 4, 3, 2, 1].map((left) => [8, size - left] as const),
  ];
  assert.equal(read(corner), read(edges));
  return read(corner);
}

function masked(mask: number, i: number, j: number): boolean {
  const product = i * j;
  const conditions = [
    (i + j) % 2,
    i % 2,
    j % 3,
    (i + j) % 3,
    (Math.floor(i / 2) + Math.floor(j / 3)) % 2,
    (product % 2) + (product % 3),
    ((product % 2) + (product % 3)) % 2,
    (((i + j) % 2) + (product % 3)) % 2,
  ];
  return conditions[mask] === 0;
}

function readCodewords(code: QrCode, bitAt: (row: number, column: number) => boolean): number[] {
  const size = code.length;
  let bits = "";
  let up = true;
  for (let right = size - 1; right > 0; right -= 2) {
    if (right === 6) right = 5;
    for (let step = 0; step < size; step += 1) {
      const row = up ? size - 1 - step : step;
      for (const column of [right, right - 1]) {
        if (!isFunction(size, row, column)) bits += bitAt(row, column) ? "1" : "0";
      }
    }
    up = !up;
  }
  return (bits.match(/.{8}/g) ?? []).map((one) => Number.parseInt(one, 2));
}

function isFunction(size: number, row: number, column: number): boolean {
  const version = (size - 17) / 4;
  if (row === 6 || column === 6) return true;
  if ((row < 9 && (column < 9 || column > size - 9)) || (row > size - 9 && column < 9)) return true;
  if (version >= 7) {
    if ((row < 6 && column > size - 12) || (column < 6 && row > size - 12)) return true;
  }
  const near = (one: number, other: number): boolean => Math.abs(one - other) <= 2;
  return (centres[version] ?? []).some((down) =>
    (centres[version] ?? []).some((right) => {
      const onFinder =
        (down < 9 && right < 9) || (down < 9 && right > size - 9) || (down > size - 9 && right < 9);
      return !onFinder && near(row, down) && near(column, right);
    }),
  );
}

function isCodeword(block: readonly number[], checkLength: number): boolean {
  return Array.from({ length: checkLength }, (_, root) =>
    block.reduce((sum, one) => {
      if (sum === 0) return one;
      const product = field.exponent[((field.logarithm[sum] ?? 0) + root) % 255] ?? 0;
      return product ^ one;
    }, 0),
  ).every((syndrome) => syndrome === 0);
}

describe("qrCode()", () => {
  test("every length up to version 10 is read back, with no error to correct", () => {
    for (let length = 0; length <= 213; length += 1) {
      const text = Array.from(
        { length },
        (_, index) => "otpauth://?=&%Ab9"[(index * 7 + length) % 17],
      );
      const code = qrCode(text.join(""));
      assert.ok(code);
      assert.equal(readSymbol(code), text.join(""));
    }
  });

  test("has finders, timing and the dark module where a scanner looks for them", () => {
    const code = qrCode("otpauth://totp/Postern:ana@example.org?secret=JBSWY3DPEHPK3PXP") ?? [];
    const size = code.length;
    const row = (index: number): string =>
      (code[index] ?? []).map((one) => (one ? "#" : ".")).join("");
    assert.ok(row(0).startsWith("#######."));
    assert.ok(row(0).endsWith(".#######"));
    assert.ok(row(3).startsWith("#.###.#."));
    assert.equal(row(6).slice(6, size - 6), "#.".repeat((size - 12) / 2 + 1).slice(0, size - 12));
    assert.equal(code[size - 8]?.[8], true);
  });

  test("takes what is not ASCII as UTF-8, and says when a text is too long", () => {
    assert.equal(readSymbol(qrCode("otpauth://totp/Müller 📬") ?? []), "otpauth://totp/Müller 📬");
    assert.equal(qrCode("x".repeat(666))?.length, 97);
    assert.equal(qrCode("x".repeat(667)), undefined);
  });
});
