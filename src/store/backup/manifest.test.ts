import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { makeSealKeys, seal } from "#contracts/sealed";
import type { Facts, Manifest, SegmentObject } from "./manifest.ts";
import { formatManifest, manifestTimeMs, openFacts, parseManifest } from "./manifest-octets.ts";

const { publicKeys, privateKeys } = makeSealKeys();
const sha256 = "ab".repeat(32);
const createdAtMs = Date.UTC(2026, 5, 1);

function piece(segment: number, firstPage: number, pages: number, revision = 0): SegmentObject {
  const name = `objects/${segment}-${firstPage}`;
  return { kind: "segment", name, sizeBytes: 5, sha256, segment, revision, firstPage, pages };
}

const open = {
  storeId: "0123456789abcdef",
  createdAtMs,
  recoveryKey: "0f".repeat(16),
  previous: `manifests/1700000000000-${sha256}.json`,
  keys: { kind: "keys", name: "objects/keys", sizeBytes: 9, sha256 },
  segments: [piece(1, 0, 8192, 2), piece(3, 0, 100), piece(3, 100, 7)],
} as const;

const facts: Facts = {
  position: { lsn: 900, generation: 80, segment: 3, page: 107 },
  root: "cd".repeat(32),
  head: "origin\n900\nroot\n\n— origin signature\n",
  counts: { newObjects: 2, newBytes: 14, repairedPages: 1 },
};

/** Octets of any value with the name that fits them. */
function named(value: unknown, timeMs = createdAtMs): [string, Buffer] {
  const octets = Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value));
  const digest = createHash("sha256").update(octets).digest("hex");
  return [`manifests/${timeMs}-${digest}.json`, octets];
}

const { name, octets } = formatManifest(publicKeys, open, facts);

function parsed(): Manifest {
  const result = parseManifest(name, octets);
  assert.ok(result.ok);
  return result.value;
}

describe("formatManifest() and parseManifest()", () => {
  test("give back what was written, and the facts to the holder of the key", () => {
    const { sealed, ...rest } = parsed();
    assert.deepEqual(rest, { format: 1, ...open });
    assert.ok(sealed.length > 1000);
    const opened = openFacts(privateKeys, parsed());
    assert.ok(opened.ok);
    assert.deepEqual(opened.value, facts);
    assert.equal(manifestTimeMs(name), createdAtMs);
  });

  test("keep the facts from everybody else", () => {
    assert.ok(!octets.includes("origin") && !octets.includes("900"));
    const other = openFacts(makeSealKeys().privateKeys, parsed());
    assert.ok(!other.ok && other.fault === "wrong-key-or-altered");
  });

  test("need no previous manifest and no head", () => {
    const { previous: _previous, ...first } = open;
    const { head: _head, ...bare } = facts;
    const made = formatManifest(publicKeys, first, bare);
    const result = parseManifest(made.name, made.octets);
    assert.ok(result.ok && result.value.previous === undefined);
    assert.deepEqual(openFacts(privateKeys, result.value), { ok: true, value: bare });
  });

  test("refuse every altered octet, and another name", () => {
    for (let at = 0; at < octets.length; at += 1) {
      octets[at] = (octets[at] ?? 0) ^ 1;
      const result = parseManifest(name, octets);
      assert.ok(!result.ok && result.fault === "wrong-hash");
      octets[at] = (octets[at] ?? 0) ^ 1;
    }
    const renamed = parseManifest(name.replace("1780", "1781"), octets);
    assert.ok(!renamed.ok && renamed.fault === "bad-name");
    for (const other of ["", "manifests/x.json", name.slice(0, -5), `a${name}`]) {
      const result = parseManifest(other, octets);
      assert.ok(!result.ok && result.fault === "bad-name");
    }
  });

  test("tell a manifest of a later version from a broken one", () => {
    const future = parseManifest(...named({ format: 2, anything: true }));
    assert.ok(!future.ok && future.fault === "future");
    const broken = parseManifest(...named(Buffer.from("{")));
    assert.ok(!broken.ok && broken.fault === "not-json");
    const latin = parseManifest(...named(Buffer.from([0x22, 0xe4, 0x22])));
    assert.ok(!latin.ok && latin.fault === "not-json");
  });
});

describe("parseManifest() refuses", () => {
  const whole = JSON.parse(octets.toString()) as Record<string, unknown>;
  const segments = open.segments;
  const cases: readonly (readonly [string, unknown])[] = [
    ["no object", [whole]],
    ["nothing", null],
    ["a missing field", { ...whole, storeId: undefined }],
    ["an unknown field", { ...whole, extra: 1 }],
    ["a format of text", { ...whole, format: "1" }],
    ["format 0", { ...whole, format: 0 }],
    ["a store id of another length", { ...whole, storeId: "0123" }],
    ["a negative time", { ...whole, createdAtMs: -1 }],
    ["a time with a fraction", { ...whole, createdAtMs: 0.5 }],
    ["a previous that is no manifest", { ...whole, previous: "objects/a" }],
    ["a path out of the target", { ...whole, keys: { ...open.keys, name: "objects/../../a" } }],
    ["an object outside of its folder", { ...whole, keys: { ...open.keys, name: "manifests/a" } }],
    ["keys with a place", { ...whole, keys: { ...open.keys, segment: 1 } }],
    ["a hash in upper case", { ...whole, keys: { ...open.keys, sha256: sha256.toUpperCase() } }],
    ["sealed facts that are no base64", { ...whole, sealed: "a b" }],
    ["too large a number", { ...whole, segments: [{ ...piece(1, 0, 1), pages: 2 ** 32 }] }],
    ["an unsafe number", { ...whole, keys: { ...open.keys, sizeBytes: 2 ** 53 } }],
    ["an object without pages", { ...whole, segments: [piece(1, 0, 0)] }],
    ["a segment 0", { ...whole, segments: [piece(0, 0, 1)] }],
    ["a segment that begins later", { ...whole, segments: [piece(1, 1, 1)] }],
    ["a gap within a segment", { ...whole, segments: [piece(1, 0, 5), piece(1, 6, 5)] }],
    ["pages twice", { ...whole, segments: [piece(1, 0, 5), piece(1, 4, 5)] }],
    ["two revisions of a segment", { ...whole, segments: [piece(1, 0, 5), piece(1, 5, 5, 1)] }],
    ["segments out of order", { ...whole, segments: [...segments].reverse() }],
    ["a segment twice", { ...whole, segments: [segments[0], segments[0]] }],
    ["a name twice", { ...whole, segments: [{ ...piece(1, 0, 1), name: "objects/keys" }] }],
    ["segments that are no list", { ...whole, segments: { 0: segments[0] } }],
    ["a hole", { ...whole, segments: [null] }],
  ];
  for (const [what, value] of cases) {
    test(what, () => {
      const result = parseManifest(...named(value));
      assert.ok(!result.ok && result.fault === "bad-shape", JSON.stringify(result));
    });
  }

  test("whatever is not a manifest, without a throw, and quickly (20,000 altered ones)", () => {
    const random = seededRandom(31);
    const text = octets.toString();
    const scraps = [
      "{",
      "}",
      "[",
      "]",
      '"',
      ",",
      ":",
      "null",
      "-1",
      "1e99",
      '"a"',
      "{}",
      "\\u0000",
      "0",
    ];
    for (let round = 0; round < 20_000; round += 1) {
      let altered = text;
      for (let edits = 1 + pick(random, 3); edits > 0; edits -= 1) {
        const at = pick(random, altered.length);
        const scrap = scraps[pick(random, scraps.length)] ?? "";
        altered = altered.slice(0, at) + scrap + altered.slice(at + pick(random, 12));
      }
      const result = parseManifest(...named(Buffer.from(altered)));
      if (!result.ok) assert.ok(result.at >= 0);
      else openFacts(privateKeys, result.value);
    }
    const many = {
      ...whole,
      segments: Array.from({ length: 100_001 }, (_, index) => piece(index + 1, 0, 1)),
    };
    assert.ok(!parseManifest(...named(many)).ok);
    const deep = Buffer.from("[".repeat(1_000_000));
    assert.ok(!parseManifest(...named(deep)).ok);
    assert.ok(!parseManifest(...named(Buffer.alloc(33 * 1024 * 1024))).ok);
  });
});

describe("openFacts() refuses", () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ["no facts", null],
    ["a missing count", { ...facts, counts: { newObjects: 1, newBytes: 1 } }],
    ["an unknown field", { ...facts, more: 1 }],
    ["a position that is no number", { ...facts, position: { ...facts.position, lsn: "900" } }],
    ["a head that is no text", { ...facts, head: 5 }],
    ["a position elsewhere", { ...facts, position: { ...facts.position, page: 106 } }],
    ["a position in another segment", { ...facts, position: { ...facts.position, segment: 4 } }],
  ];
  for (const [what, value] of cases) {
    test(what, () => {
      const sealed = Buffer.concat(seal(publicKeys, value).end(null)).toString("base64");
      const result = openFacts(privateKeys, { ...parsed(), sealed });
      const fault =
        what.startsWith("a position") && !what.includes("number") ? "other-position" : "bad-shape";
      assert.ok(!result.ok && result.fault === fault, JSON.stringify(result));
    });
  }
});
