import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import {
  cosignedAt,
  cosignHead,
  formatHead,
  formatNote,
  formatNoteKey,
  formatSignature,
  type Head,
  isSignedBy,
  type NoteAlgorithm,
  type NoteKey,
  type NoteSignature,
  noteKey,
  parseHead,
  parseNoteKey,
  parseSignatures,
  parseSignedHead,
  type SignedHead,
  signedBy,
  signHead,
} from "#formats/checkpoint";

interface Pair {
  readonly key: NoteKey;
  readonly secret: KeyObject;
}

function pair(name: string, algorithm: NoteAlgorithm): Pair {
  const secret = algorithm.startsWith("ed25519")
    ? generateKeyPairSync("ed25519").privateKey
    : generateKeyPairSync("ml-dsa-65").privateKey;
  return { key: noteKey(name, algorithm, secret), secret };
}

const origin = "mail.example.org/ledger";
const logPairs = [pair(origin, "ed25519"), pair(origin, "ml-dsa-65")];
const witnessName = "mx.example.org/witness";
const witnessPairs = [
  pair(witnessName, "ed25519-cosignature"),
  pair(witnessName, "ml-dsa-65-cosignature"),
];
const logKeys = logPairs.map(({ key }) => key);
const witnessKeys = witnessPairs.map(({ key }) => key);

const head: Head = {
  origin,
  size: 20_852_163,
  root: Buffer.alloc(32, 7),
  timeMs: 1_767_614_400_123,
  storeId: "00112233aabbccdd",
};
const text = formatHead(head);
const byLog = logPairs.map(({ key, secret }) => signHead(text, key, secret));
const seenAtS = 1_767_614_401;
const byWitness = witnessPairs.map(({ key, secret }) => cosignHead(text, seenAtS, key, secret));

function signed(signatures: readonly NoteSignature[], of = text): SignedHead {
  const read = parseSignedHead(formatNote({ text: of, signatures }));
  assert.ok(read.ok);
  return read.value;
}

describe("a tree head", () => {
  test("is five lines, and comes back from a note with its signatures", () => {
    assert.equal(
      text,
      `${origin}\n20852163\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n` +
        "time 1767614400123\nstore 00112233aabbccdd\n",
    );
    const read = signed([...byLog, ...byWitness]);
    assert.deepEqual(read.head, head);
    assert.equal(read.text, text);
    assert.deepEqual(read.signatures, [...byLog, ...byWitness]);
  });

  const others: readonly (readonly [why: string, text: string])[] = [
    ["no root", text.replace("BwcH", "")],
    ["a root in another form of base64", text.replace("Bwc=", "Bwd=")],
    ["a size with a zero before it", text.replace("20852163", "020852163")],
    ["a size that no double holds", text.replace("20852163", "9999999999999999")],
    ["a negative time", text.replace("time ", "time -")],
    ["a store id in capitals", text.replace("aabbccdd", "AABBCCDD")],
    ["one line more", `${text}more\n`],
    ["one line less", text.replace(/time.*\n/, "")],
    ["an origin with a space", text.replace("/ledger", " ledger")],
    ["an origin with a plus", text.replace("/ledger", "+ledger")],
    ["no newline at the end", text.slice(0, -1)],
    ["an empty line in it", text.replace("\ntime", "\n\ntime")],
  ];
  for (const [why, other] of others) {
    test(`is refused with ${why}`, () => {
      assert.ok(!parseSignedHead(formatNote({ text: other, signatures: byLog })).ok);
      assert.ok(!parseHead(other).ok);
    });
  }

  test("is refused with no signature, too many, or lines that are none", () => {
    const refused = (note: string, fault: string): void => {
      const read = parseSignedHead(note);
      assert.ok(!read.ok && read.fault === fault, JSON.stringify(read));
    };
    const [first] = byLog as [NoteSignature, NoteSignature];
    refused(text, "no-signatures");
    refused(`${text}\n`, "no-signatures");
    refused(formatNote({ text, signatures: [first] }).slice(0, -1), "no-signatures");
    refused(formatNote({ text, signatures: Array(17).fill(first) }), "too-many-signatures");
    refused(`${text}\n- ${origin} AAAAAAA=\n`, "bad-signature-line");
    refused(`${text}\n\u2014 ${origin} AAAAAAA= more\n`, "bad-signature-line");
    refused(`${text}\n\u2014 ${origin} AAAA\n`, "bad-signature-line");
    refused(`${text}\n\u2014 ${origin}  AAAAAAA=\n`, "bad-signature-line");
    refused(`${text}\n\u2014 ${origin} AAAAAAB=\n`, "bad-signature-line");
    refused(`${text}\n\u2014 ${origin} AAAAAAA=\r\n`, "bad-character");
    refused("x".repeat(200_000), "too-long");
  });
});

describe("isSignedBy()", () => {
  test("wants both signatures of the log, and looks past strangers", () => {
    assert.ok(isSignedBy(signed(byLog), logKeys));
    assert.ok(isSignedBy(signed([...byWitness, ...byLog]), logKeys));
    const next = pair(origin, "ed25519");
    assert.ok(isSignedBy(signed(byLog), [next.key, ...logKeys]), "keys of two generations");
    for (const one of byLog) assert.ok(!isSignedBy(signed([one]), logKeys));
    for (const key of logKeys) assert.ok(!isSignedBy(signed(byLog), [key]));
    assert.ok(!isSignedBy(signed(byWitness), logKeys));
  });

  test("refuses a signature over another head, by another key, or beside a false one", () => {
    const other = formatHead({ ...head, size: head.size + 1 });
    assert.ok(!isSignedBy(signed(byLog, other), logKeys));
    const [ed25519, mlDsa65] = byLog as [NoteSignature, NoteSignature];
    const stolenId = { ...byLog[0], signature: signHead(text, ...stranger()).signature };
    assert.ok(!isSignedBy(signed([stolenId as NoteSignature, mlDsa65]), logKeys));
    assert.ok(!isSignedBy(signed([ed25519, stolenId as NoteSignature, mlDsa65]), logKeys));
    for (let at = 0; at < 2; at += 1) {
      const flipped = byLog.map(({ name, keyId, signature }, index) => {
        const copy = Buffer.from(signature);
        if (index === at) copy[40] = (copy[40] ?? 0) ^ 1;
        return { name, keyId, signature: copy };
      });
      assert.ok(!isSignedBy(signed(flipped), logKeys));
    }
    assert.ok(!isSignedBy(signed(byLog.map((one) => ({ ...one, name: "other" }))), logKeys));
  });

  function stranger(): [NoteKey, KeyObject] {
    const { key, secret } = pair(origin, "ed25519");
    return [key, secret];
  }
});

describe("cosignedAt()", () => {
  test("gives the time of the witness, and only for both of its cosignatures", () => {
    assert.equal(cosignedAt(signed([...byLog, ...byWitness]), witnessKeys), seenAtS);
    for (const one of byWitness) {
      assert.equal(cosignedAt(signed([...byLog, one]), witnessKeys), undefined);
    }
    assert.equal(cosignedAt(signed(byLog), witnessKeys), undefined);
  });

  test("refuses another time than the signed one, and a log's signature in its stead", () => {
    const later = byWitness.map(({ name, keyId, signature }) => {
      const copy = Buffer.from(signature);
      copy.writeBigUInt64BE(BigInt(seenAtS + 1));
      return { name, keyId, signature: copy };
    });
    assert.equal(cosignedAt(signed(later), witnessKeys), undefined);
    const again = witnessPairs.map(({ key, secret }) => cosignHead(text, seenAtS + 1, key, secret));
    const mixed = [byWitness[0], again[1]] as NoteSignature[];
    assert.equal(cosignedAt(signed(mixed), witnessKeys), undefined, "of two times");
    const plain = witnessPairs.map(({ key, secret }) => signHead(text, key, secret));
    assert.equal(cosignedAt(signed(plain), witnessKeys), undefined);
  });

  test("leaves the lines of known keys when the others are taken out", () => {
    const whole = signed([...byWitness, ...byLog]);
    assert.deepEqual(signedBy(whole, logKeys).signatures, byLog);
    assert.deepEqual(parseSignatures(byWitness.map(formatSignature).join("")), {
      ok: true,
      value: byWitness,
    });
  });
});

describe("verifier keys", () => {
  test("come back from their line, and have the id that C2SP gives them", () => {
    for (const key of [...logKeys, ...witnessKeys]) {
      assert.deepEqual(parseNoteKey(formatNoteKey(key)), { ok: true, value: key });
    }
    // The example key of the Go checksum database.
    const known = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
    const read = parseNoteKey(known);
    assert.ok(read.ok && read.value.algorithm === "ed25519");
    assert.equal(formatNoteKey(read.value), known);
  });

  test("are refused when anything of them is off", () => {
    const line = formatNoteKey(logKeys[0] as NoteKey);
    const faultOf = (text: string): string => {
      const read = parseNoteKey(text);
      return read.ok ? "accepted" : read.fault;
    };
    assert.equal(faultOf(line.replace("mail", "mall")), "bad-id");
    assert.equal(faultOf(line.replace("+", " +")), "bad-form");
    assert.equal(faultOf(`${line}=`), "bad-form");
    assert.equal(faultOf(line.slice(0, -4)), "unknown-type");
    assert.equal(faultOf(""), "bad-form");
    assert.equal(faultOf("+".repeat(5000)), "too-long");
  });
});

describe("the parsers", () => {
  test("take no altered text for another, and never throw", () => {
    const random = seededRandom(3);
    const goods = [
      formatNote({ text, signatures: [...byLog, ...byWitness] }),
      formatNoteKey(logKeys[1] as NoteKey),
    ];
    const pieces = ["\n", "\n\n", "\u2014 ", " ", "+", "=", "A", "\u0000", "\ud800", "0", "time "];
    for (let round = 0; round < 20_000; round += 1) {
      let text = goods[round % 2] as string;
      for (let edits = 1 + pick(random, 3); edits > 0; edits -= 1) {
        // Near the start, where most of the structure is, as often as anywhere.
        const reach = random.fraction() < 0.5 ? 200 : text.length;
        const at = pick(random, Math.min(reach, text.length + 1));
        const piece = pieces[pick(random, pieces.length)] as string;
        text = text.slice(0, at) + piece + text.slice(at + pick(random, 3));
      }
      const note = parseSignedHead(text);
      if (note.ok) {
        assert.equal(formatNote(note.value), text);
        assert.equal(formatHead(note.value.head), note.value.text);
      } else assert.ok(note.at >= 0 && note.at <= text.length);
      const key = parseNoteKey(text);
      if (key.ok) assert.equal(formatNoteKey(key.value), text);
      const bare = parseHead(text.slice(0, text.indexOf("\n\n") + 1));
      if (bare.ok) assert.ok(text.startsWith(formatHead(bare.value)));
    }
  });

  test("read the longest texts in linear time", () => {
    const startedAt = performance.now();
    for (let round = 0; round < 1000; round += 1) {
      parseHead(`o\n1\n${"A".repeat(43)}=\n${"time 1\n".repeat(2000)}\t`);
      parseHead("\u2014".repeat(20_000));
      parseSignedHead(`${"x\n".repeat(8000)}\n`);
    }
    assert.ok(performance.now() - startedAt < 2000);
  });
});
