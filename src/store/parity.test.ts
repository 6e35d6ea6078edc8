import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "#base/random";
import {
  addMember,
  addPair,
  groupsOf,
  maxMembers,
  membersOf,
  rebuildGroup,
  type Words,
  wordsOf,
} from "./parity.ts";

/** GF(2^8) octet by octet, as a textbook has it. */
function timesTwo(octet: number): number {
  return ((octet << 1) ^ (octet & 0x80 ? 0x11d : 0)) & 0xff;
}

function wholeGroup(size: number, words: number) {
  const random = seededRandom(size * 1000 + words);
  const members = Array.from({ length: size }, () => wordsOf(random.bytes(words * 4)));
  const p = new Int32Array(words);
  const q = new Int32Array(words);
  for (const member of members) addMember(p, q, member);
  return { members, p, q };
}

describe("groups", () => {
  test("every page is in one group, of at most 16, whose pages stand as far apart as can be", () => {
    for (const pages of [1, 2, 15, 16, 17, 31, 32, 33, 100, 8191, 8192]) {
      const seen = new Set<number>();
      for (let group = 0; group < groupsOf(pages); group += 1) {
        const members = membersOf(pages, group);
        assert.ok(members.length > 0 && members.length <= maxMembers);
        for (const [index, page] of members.entries()) {
          assert.equal(page, group + index * groupsOf(pages));
          seen.add(page);
        }
      }
      assert.equal(seen.size, pages);
    }
    assert.equal(groupsOf(8192) * 8192, 4 * 1024 * 1024, "4 MiB in a full segment");
  });
});

describe("addMember()", () => {
  test("gives the P and Q of the definition", () => {
    const { members, p, q } = wholeGroup(16, 64);
    const octets = members.map((member) => new Uint8Array(member.buffer, member.byteOffset, 256));
    for (let at = 0; at < 256; at += 1) {
      let [sum, weighted] = [0, 0];
      for (const member of octets) {
        sum ^= member[at] ?? 0;
        weighted = timesTwo(weighted) ^ (member[at] ?? 0);
      }
      assert.equal(new Uint8Array(p.buffer)[at], sum);
      assert.equal(new Uint8Array(q.buffer)[at], weighted);
    }
  });
});

describe("addPair()", () => {
  test("is addMember() twice", () => {
    const { members, p, q } = wholeGroup(16, 64);
    const [sum, weighted] = [new Int32Array(64), new Int32Array(64)];
    for (let at = 0; at < 16; at += 2) {
      addPair(sum, weighted, members[at] as Words, members[at + 1] as Words);
    }
    assert.deepEqual([sum, weighted], [p, q]);
  });
});

describe("rebuildGroup()", () => {
  for (let size = 1; size <= maxMembers; size += 1) {
    test(`brings back each one and each two of ${size} members, P and Q`, () => {
      const whole = wholeGroup(size, 32);
      const parts = size + 2;
      for (let one = 0; one < parts; one += 1) {
        for (let other = one; other < parts; other += 1) {
          const isLost = (index: number): boolean => index === one || index === other;
          const rebuilt = rebuildGroup({
            members: whole.members.map((member, index) => (isLost(index) ? undefined : member)),
            p: isLost(size) ? undefined : whole.p,
            q: isLost(size + 1) ? undefined : whole.q,
          });
          assert.deepEqual(rebuilt, whole, `without ${one} and ${other}`);
        }
      }
    });
  }

  test("says when three are lost", () => {
    const { members, p, q } = wholeGroup(5, 8);
    const [first, second, , , fifth] = members;
    const three = [first, second, undefined, undefined, fifth];
    assert.equal(rebuildGroup({ members: three, p: undefined, q }), undefined);
    assert.equal(rebuildGroup({ members: [...three.slice(0, 4), undefined], p, q }), undefined);
  });
});
