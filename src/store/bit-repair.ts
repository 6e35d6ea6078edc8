/** Putting one wrong bit right: the checksum tells which it is, the hash and the place confirm it. */

import {
  blockBytes,
  checkPage,
  checksumOf,
  crcField,
  isHashRight,
  type PageHeader,
} from "./pages.ts";

/** CRC-32 as in zlib, reflected. */
const polynomial = 0xedb8_8320;
const blockBits = blockBytes * 8;
/** Above any bit's number: an entry is syndrome × this + distance, exact in a float64. */
const scale = 2 ** 17;

/** Syndromes ascending, each with how far before the end of a page its bit stands. */
let entries: Float64Array | undefined;

/**
 * A right copy of a page, or parity block, in which a single bit is wrong.
 *
 * @returns undefined when no single bit explains what stands there: then it is not touched
 */
export function correctBit(
  page: Buffer,
  storeId: Buffer | undefined,
  segment: number,
  number: number,
): { readonly page: Buffer; readonly header: PageHeader } | undefined {
  const syndrome = (page.readUInt32LE(crcField.at) ^ checksumOf(page)) >>> 0;
  if (syndrome === 0) return undefined;
  const bit = isPowerOfTwo(syndrome)
    ? crcField.at * 8 + 31 - Math.clz32(syndrome)
    : bitOf(syndrome, page.length * 8);
  if (bit === undefined) return undefined;
  const right = Buffer.from(page);
  const at = bit >>> 3;
  right[at] = (right[at] ?? 0) ^ (1 << (bit & 7));
  const header = checkPage(right, storeId, segment, number);
  return typeof header !== "string" && isHashRight(right) ? { page: right, header } : undefined;
}

/** Which bit of so many, counted from the lowest of the first octet, leaves this syndrome. */
export function bitOf(syndrome: number, bits: number): number | undefined {
  const table = (entries ??= sortedSyndromes());
  let low = 0;
  let high = table.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((table[middle] as number) < syndrome * scale) low = middle + 1;
    else high = middle;
  }
  const distance = (table[low] ?? 0) - syndrome * scale;
  // CRC-32 takes the lowest bit of an octet first, so a page's last bit is the nearest to the end.
  const bit = bits - 1 - distance;
  return distance >= 0 && distance < bits && !isInChecksum(bit) ? bit : undefined;
}

/** A wrong bit d places before the end leaves x^d, d times one step of the register. */
function sortedSyndromes(): Float64Array {
  const table = new Float64Array(blockBits);
  let syndrome = polynomial;
  for (let distance = 0; distance < blockBits; distance += 1) {
    table[distance] = (syndrome >>> 0) * scale + distance;
    syndrome = (syndrome >>> 1) ^ (syndrome & 1 ? polynomial : 0);
  }
  return table.sort();
}

/** The field is taken as zero when the sum is made: a bit wrong in it shows as itself. */
function isInChecksum(bit: number): boolean {
  return bit >= crcField.at * 8 && bit < (crcField.at + crcField.bytes) * 8;
}

function isPowerOfTwo(value: number): boolean {
  return (value & (value - 1)) === 0;
}
