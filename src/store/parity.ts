/**
 * Two parity blocks over a group of pages: any two of all of them can be lost. P is the exclusive
 * or; Q is the members' sum weighted by powers of 2 in GF(2^8) modulo x^8+x^4+x^3+x^2+1, by Horner.
 */

import { strict as assert } from "node:assert";

/** Pages in a group, at most. */
export const maxMembers = 16;

/** Four octets of a page at a time, in whatever order: no step carries from one to the next. */
export type Words = Int32Array;

/** How many groups so many pages make. */
export function groupsOf(pages: number): number {
  return Math.ceil(pages / maxMembers);
}

/** The pages of a group, in order: they stand as far apart as the segment allows. */
export function membersOf(pages: number, group: number): number[] {
  const members: number[] = [];
  for (let page = group; page < pages; page += groupsOf(pages)) members.push(page);
  return members;
}

/** @param octets a multiple of four, beginning at a multiple of four in their memory */
export function wordsOf(octets: Uint8Array): Words {
  assert(octets.byteOffset % 4 === 0 && octets.length % 4 === 0);
  return new Int32Array(octets.buffer, octets.byteOffset, octets.length / 4);
}

/** Takes the next member of a group into P and Q; both begin as zero. */
export function addMember(p: Words, q: Words, member: Words): void {
  for (let at = 0; at < member.length; at += 1) {
    const word = member[at] as number;
    p[at] = (p[at] as number) ^ word;
    q[at] = twice(q[at] as number) ^ word;
  }
}

/** Takes the next two members, in half the time. */
export function addPair(p: Words, q: Words, member: Words, next: Words): void {
  for (let at = 0; at < member.length; at += 1) {
    const one = member[at] as number;
    const two = next[at] as number;
    p[at] = (p[at] as number) ^ one ^ two;
    q[at] = twice(twice(q[at] as number) ^ one) ^ two;
  }
}

/** Each octet of a word times 2. The masks stand here in full: named, they cost half the speed. */
function twice(word: number): number {
  return ((word & 0x7f7f7f7f) << 1) ^ Math.imul((word >>> 7) & 0x01010101, 0x1d);
}

/** A group, what is missing left out. Rebuilt, nothing is. */
export interface Group<Part> {
  readonly members: readonly Part[];
  readonly p: Part;
  readonly q: Part;
}

/** The whole group again, or undefined when more than two of it are missing. */
export function rebuildGroup(group: Group<Words | undefined>): Group<Words> | undefined {
  const { members, p, q } = group;
  const missing = members.flatMap((member, index) => (member === undefined ? [index] : []));
  const [x, y] = missing;
  const lost = missing.length + (p === undefined ? 1 : 0) + (q === undefined ? 1 : 0);
  const words = (p ?? q ?? members.find((member) => member !== undefined))?.length;
  if (lost > 2 || words === undefined) return undefined;
  const whole = members.map((member) => member ?? new Int32Array(words));
  const [restP, restQ] = sums(whole);
  const weight = (index: number): number => power(members.length - 1 - index);
  if (x !== undefined && y !== undefined) {
    // X + Y = P', wx·X + wy·Y = Q'
    const wrongP = plus(restP, p as Words);
    const wrongQ = plus(restQ, q as Words);
    const both = inverse(weight(x) ^ weight(y));
    whole[x] = times(plus(wrongQ, times(wrongP, weight(y))), both);
    whole[y] = plus(wrongP, whole[x]);
  } else if (x !== undefined) {
    whole[x] =
      p === undefined ? times(plus(restQ, q as Words), inverse(weight(x))) : plus(restP, p);
  }
  const [allP, allQ] = missing.length === 0 ? [restP, restQ] : sums(whole);
  return { members: whole, p: p ?? allP, q: q ?? allQ };
}

function sums(members: readonly Words[]): [Words, Words] {
  const words = members[0]?.length ?? 0;
  const p = new Int32Array(words);
  const q = new Int32Array(words);
  for (const member of members) addMember(p, q, member);
  return [p, q];
}

function plus(one: Words, other: Words): Words {
  return one.map((word, at) => word ^ (other[at] as number));
}

function times(words: Words, factor: number): Words {
  return words.map((word) => {
    let product = 0;
    for (let bit = 0x80; bit > 0; bit >>>= 1) {
      product = twice(product) ^ ((factor & bit) === 0 ? 0 : word);
    }
    return product;
  });
}

/** 2 to so many, as one octet. */
function power(exponent: number): number {
  let octet = 1;
  for (let step = 0; step < exponent; step += 1) octet = twice(octet);
  return octet;
}

/** The octet's 254th power: all but zero have the 255th in common, which is one. */
function inverse(octet: number): number {
  assert(octet !== 0);
  let result = 1;
  for (let step = 0; step < 254; step += 1) result = product(result, octet);
  return result;
}

function product(one: number, other: number): number {
  let result = 0;
  for (let bit = 0x80; bit > 0; bit >>>= 1)
    result = twice(result) ^ ((other & bit) === 0 ? 0 : one);
  return result;
}
