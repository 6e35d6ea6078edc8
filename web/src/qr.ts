/** QR codes of short texts: byte mode, level M, versions 1 to 20 (ISO/IEC 18004:2015 §7). */

/** Rows of modules, dark ones true, without the quiet zone of four modules around them. */
export type QrCode = readonly (readonly boolean[])[];

/** Error correction codewords of a block, and number of blocks, by version (table 9, level M). */
const correctionCodewords = [
  10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26,
];
const blockCounts = [1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16];

/** Undefined for a text of more than 666 octets. */
export function qrCode(text: string): QrCode | undefined {
  const octets = new TextEncoder().encode(text);
  for (let version = 1; version <= blockCounts.length; version += 1) {
    const countBits = version < 10 ? 8 : 16;
    const checks = at(correctionCodewords, version - 1) * at(blockCounts, version - 1);
    const capacity = allCodewords(version) - checks;
    if (4 + countBits + octets.length * 8 > capacity * 8) continue;
    return bestMask(version, interleave(dataOf(octets, countBits, capacity), version));
  }
  return undefined;
}

/** Codewords that a symbol holds, data and error correction together (table 1). */
function allCodewords(version: number): number {
  const size = 17 + 4 * version;
  const alignments = alignmentCentres(version).length;
  const alignmentModules = alignments && 25 * (alignments ** 2 - 3) - 10 * (alignments - 2);
  const functionModules = 3 * 64 + 2 * (size - 16) + alignmentModules + 31;
  return (size ** 2 - functionModules - (version < 7 ? 0 : 36)) >> 3;
}

/** Mode, count, octets, terminator and padding (§7.4.10). */
function dataOf(octets: Uint8Array, countBits: number, capacity: number): number[] {
  const bits: number[] = [];
  const put = (value: number, count: number): void => {
    for (let bit = count - 1; bit >= 0; bit -= 1) bits.push((value >> bit) & 1);
  };
  put(4, 4);
  put(octets.length, countBits);
  for (const octet of octets) put(octet, 8);
  put(0, Math.min(4, capacity * 8 - bits.length));
  put(0, -bits.length & 7);
  for (let padding = 0xec; bits.length < capacity * 8; padding ^= 0xec ^ 0x11) put(padding, 8);
  return Array.from({ length: capacity }, (_, index) =>
    bits.slice(index * 8, index * 8 + 8).reduce((value, bit) => value * 2 + bit, 0),
  );
}

/** Blocks with their error correction, codeword by codeword in turn (§7.6). */
function interleave(data: readonly number[], version: number): number[] {
  const count = at(blockCounts, version - 1);
  const checkLength = at(correctionCodewords, version - 1);
  const shortLength = Math.floor(data.length / count);
  const longBlocks = data.length % count;
  const divisor = generator(checkLength);
  let from = 0;
  const blocks = Array.from({ length: count }, (_, index) => {
    const length = shortLength + (index < count - longBlocks ? 0 : 1);
    from += length;
    return data.slice(from - length, from);
  });
  const checks = blocks.map((block) => remainder(block, divisor));
  return [...inTurn(blocks, shortLength + 1), ...inTurn(checks, checkLength)];
}

function inTurn(parts: readonly (readonly number[])[], length: number): number[] {
  return Array.from({ length }, (_, index) =>
    parts.flatMap((part) => part.slice(index, index + 1)),
  ).flat();
}

/** Product in GF(256) modulo x^8 + x^4 + x^3 + x^2 + 1. */
function multiply(one: number, other: number): number {
  let product = 0;
  for (let bit = 7; bit >= 0; bit -= 1) {
    product = (product << 1) ^ ((product >> 7) * 0x11d);
    product ^= ((other >> bit) & 1) * one;
  }
  return product;
}

/** Coefficients of the generator polynomial behind its leading 1 (annex A). */
function generator(degree: number): number[] {
  let coefficients = [...Array<number>(degree - 1).fill(0), 1];
  let root = 1;
  for (let step = 0; step < degree; step += 1) {
    coefficients = coefficients.map(
      (one, index) => multiply(one, root) ^ (coefficients[index + 1] ?? 0),
    );
    root = multiply(root, 2);
  }
  return coefficients;
}

function remainder(data: readonly number[], divisor: readonly number[]): number[] {
  let left = divisor.map(() => 0);
  for (const octet of data) {
    const factor = octet ^ at(left, 0);
    left = divisor.map((one, index) => (left[index + 1] ?? 0) ^ multiply(one, factor));
  }
  return left;
}

/** Rows and columns on which alignment patterns have their centres (annex E). */
function alignmentCentres(version: number): number[] {
  if (version === 1) return [];
  const count = Math.floor(version / 7) + 2;
  const last = 10 + 4 * version;
  const step = Math.ceil((last - 6) / (count - 1) / 2) * 2;
  return [6, ...Array.from({ length: count - 1 }, (_, index) => last - step * (count - 2 - index))];
}

type Modules = (boolean | undefined)[][];

/** Finder, timing and alignment patterns and the version; everything else stays undefined. */
function patterns(version: number): Modules {
  const size = 17 + 4 * version;
  const modules: Modules = Array.from({ length: size }, () => Array(size).fill(undefined));
  const ring = (row: number, column: number, reach: number, light: readonly number[]): void => {
    for (let down = -reach; down <= reach; down += 1) {
      for (let right = -reach; right <= reach; right += 1) {
        const distance = Math.max(Math.abs(down), Math.abs(right));
        set(modules, row + down, column + right, !light.includes(distance));
      }
    }
  };
  for (let index = 0; index < size; index += 1) {
    set(modules, 6, index, index % 2 === 0);
    set(modules, index, 6, index % 2 === 0);
  }
  const corners = [
    [3, 3],
    [3, size - 4],
    [size - 4, 3],
  ] as const;
  for (const [row, column] of corners) ring(row, column, 4, [2, 4]);
  const centres = alignmentCentres(version);
  const end = size - 7;
  for (const row of centres) {
    for (const column of centres) {
      const onFinder =
        (row === 6 && (column === 6 || column === end)) || (row === end && column === 6);
      if (!onFinder) ring(row, column, 2, [1]);
    }
  }
  if (version >= 7) {
    const bits = version * 4096 + checkBits(version, 12, 0x1f25);
    for (let bit = 0; bit < 18; bit += 1) {
      const [across, along] = [size - 11 + (bit % 3), Math.floor(bit / 3)];
      set(modules, along, across, ((bits >> bit) & 1) === 1);
      set(modules, across, along, ((bits >> bit) & 1) === 1);
    }
  }
  return modules;
}

/** Remainder of a BCH code (annexes C and D). */
function checkBits(value: number, degree: number, polynomial: number): number {
  let left = value;
  for (let step = 0; step < degree; step += 1) {
    left = (left << 1) ^ (((left >> (degree - 1)) & 1) * polynomial);
  }
  return left;
}

/** Level and mask beside the finder patterns, twice, and the one module that is always dark (§7.9). */
function putFormat(modules: Modules, mask: number): void {
  const size = modules.length;
  const bits = ((mask << 10) | checkBits(mask, 10, 0x537)) ^ 0x5412; // level M is 00
  for (let bit = 0; bit < 15; bit += 1) {
    const dark = ((bits >> bit) & 1) === 1;
    const near = bit < 6 ? bit : bit < 8 ? bit + 1 : size - 15 + bit;
    set(modules, near, 8, dark);
    const across = bit < 8 ? size - 1 - bit : bit < 9 ? 7 : 14 - bit;
    set(modules, 8, across, dark);
  }
  set(modules, size - 8, 8, true);
}

const masks: readonly ((row: number, column: number) => boolean)[] = [
  (row, column) => (row + column) % 2 === 0,
  (row) => row % 2 === 0,
  (_, column) => column % 3 === 0,
  (row, column) => (row + column) % 3 === 0,
  (row, column) => (Math.floor(row / 2) + Math.floor(column / 3)) % 2 === 0,
  (row, column) => ((row * column) % 2) + ((row * column) % 3) === 0,
  (row, column) => (((row * column) % 2) + ((row * column) % 3)) % 2 === 0,
  (row, column) => (((row + column) % 2) + ((row * column) % 3)) % 2 === 0,
];

function bestMask(version: number, codewords: readonly number[]): QrCode {
  const candidates = masks.map((_, mask) => {
    const modules = patterns(version);
    putFormat(modules, mask);
    putCodewords(modules, codewords, mask);
    return modules as boolean[][];
  });
  const penalties = candidates.map(penaltyOf);
  return candidates[penalties.indexOf(Math.min(...penalties))] ?? [];
}

/** Two columns at a time from the right, up and down in turn, past what is taken (§7.7.3). */
function putCodewords(modules: Modules, codewords: readonly number[], mask: number): void {
  const size = modules.length;
  let bit = 0;
  for (let right = size - 1; right > 0; right -= right === 8 ? 3 : 2) {
    const upwards = ((right < 6 ? right + 1 : right) & 2) === ((size - 1) & 2);
    for (let step = 0; step < size; step += 1) {
      const row = upwards ? size - 1 - step : step;
      for (const column of [right, right - 1]) {
        if (modules[row]?.[column] !== undefined) continue;
        const dark = (((codewords[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) === 1;
        bit += 1;
        set(modules, row, column, dark !== masks[mask]?.(row, column));
      }
    }
  }
}

/** How hard a symbol is to read: runs, blocks, false finders, imbalance (§7.8.3.1). */
function penaltyOf(rows: QrCode): number {
  const columns = rows.map((_, column) => rows.map((row) => row[column] ?? false));
  const lines = [...rows, ...columns].map((line) =>
    line.map((dark) => (dark ? "1" : "0")).join(""),
  );
  let penalty = 0;
  for (const line of lines) {
    for (const [run] of line.matchAll(/0{5,}|1{5,}/g)) penalty += run.length - 2;
    for (const finder of ["00001011101", "10111010000"]) {
      for (let from = line.indexOf(finder); from >= 0; from = line.indexOf(finder, from + 1)) {
        penalty += 40;
      }
    }
  }
  rows.slice(1).forEach((row, above) => {
    row.slice(1).forEach((dark, left) => {
      const others = [row[left], rows[above]?.[left], rows[above]?.[left + 1]];
      if (others.every((one) => one === dark)) penalty += 3;
    });
  });
  const share = rows.flat().filter(Boolean).length / rows.length ** 2;
  return penalty + Math.floor(Math.abs(share * 100 - 50) / 5) * 10;
}

const at = (list: readonly number[], index: number): number => list[index] ?? 0;

function set(modules: Modules, row: number, column: number, dark: boolean): void {
  const line = modules[row];
  if (line !== undefined && column in line) line[column] = dark;
}
