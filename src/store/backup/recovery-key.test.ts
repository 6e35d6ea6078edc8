import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { openSealed, seal } from "#contracts/sealed";
import {
  makeRecoveryKey,
  parseRecoveryPrivateKey,
  parseRecoveryPublicKey,
  type RecoveryPrivateKey,
} from "./recovery-key.ts";

const { publicKey, privateKey } = makeRecoveryKey();

function opened(text: string): RecoveryPrivateKey {
  const parsed = parseRecoveryPrivateKey(text);
  assert.ok(parsed.ok, parsed.ok ? "" : `${parsed.fault} at ${parsed.at}`);
  return parsed.value;
}

function faultOf(text: string): string | undefined {
  const parsed = parseRecoveryPrivateKey(text);
  return parsed.ok ? undefined : `${parsed.fault} ${parsed.at}`;
}

describe("makeRecoveryKey()", () => {
  test("gives a pair whose private part opens what is sealed to the public one", () => {
    const to = parseRecoveryPublicKey(publicKey);
    assert.ok(to.ok);
    const own = opened(privateKey);
    assert.equal(own.id, to.value.id);
    const box = seal(to.value.keys, { word: "secret" }).end(null);
    const read = openSealed(own.keys, box);
    assert.ok(read.ok);
    assert.deepEqual(read.value.header, { word: "secret" });
  });

  test("gives another pair each time", () => {
    assert.notEqual(makeRecoveryKey().privateKey, privateKey);
  });

  test("gives a private part that fits on half a sheet, in lines to type", () => {
    const lines = privateKey.split("\n");
    assert.ok(lines.length < 24 && lines.every((line) => line.length <= 100));
    assert.equal(lines.filter((line) => /^\d\d {2}[A-Z2-7 ]+$/.test(line)).length, 10);
  });

  test("has nothing of the private part in the public one", () => {
    const to = parseRecoveryPublicKey(publicKey);
    assert.ok(to.ok);
    const octets = (text: string): Buffer => Buffer.from(text, "base64");
    const shown = Buffer.concat([octets(to.value.keys.x25519), octets(to.value.keys.mlKem768)]);
    const { x25519, mlKem768 } = opened(privateKey).keys;
    assert.ok(!shown.includes(octets(x25519).subarray(-32)));
    assert.ok(!shown.includes(octets(mlKem768).subarray(-64, -32)));
    assert.ok(!shown.includes(octets(mlKem768).subarray(-32)));
  });
});

describe("parseRecoveryPrivateKey()", () => {
  test("reads what people make of it: other case, other spaces, lines of Windows, no words around", () => {
    const { id } = opened(privateKey);
    const title = privateKey.split("\n")[0];
    const core = privateKey.slice(privateKey.indexOf("Key id"));
    const forms = [
      privateKey.toLowerCase(),
      privateKey.replace(/\n/g, "\r\n"),
      privateKey.replace(/ {2}/g, "\t"),
      `\uFEFF${privateKey}`,
      `  ${title}\n\n${core.replace(/^(\d\d) +(.*)$/gm, (_, number, rest) => `${number}. ${rest.replace(/ /g, "")}`)}`,
      core
        .replace(
          /^(\d\d +)(.*)$/gm,
          (_, number, rest) =>
            number + rest.replace(/O/g, "0").replace(/I/g, "1").replace(/B/g, "8"),
        )
        .replace(/^/, `${title}\n`),
    ];
    for (const form of forms) assert.equal(opened(form).id, id, form);
  });

  test("finds any one mistyped letter, and says in which line", () => {
    const lines = privateKey.split("\n");
    const firstKeyLine = lines.findIndex((line) => line.startsWith("01"));
    for (let number = 1; number <= 10; number += 1) {
      const line = lines[firstKeyLine + number - 1] ?? "";
      for (let at = 4; at < line.length; at += 1) {
        if (line[at] === " ") continue;
        const other = line[at] === "A" ? "C" : "A";
        const typed = [...lines];
        typed[firstKeyLine + number - 1] = line.slice(0, at) + other + line.slice(at + 1);
        assert.equal(faultOf(typed.join("\n")), `bad-line ${number}`, line);
      }
    }
  });

  test("finds lines that are missing, doubled, swapped or of another key", () => {
    const lines = privateKey.split("\n");
    const first = lines.findIndex((line) => line.startsWith("01"));
    const at = (index: number): string => lines[first + index] ?? "";
    assert.equal(faultOf(lines.toSpliced(first + 3, 1).join("\n")), "wrong-line-number 4");
    assert.equal(faultOf(lines.toSpliced(first + 9, 1).join("\n")), "wrong-length 9");
    assert.equal(faultOf(lines.toSpliced(first + 3, 0, at(2)).join("\n")), "wrong-line-number 4");
    const renumbered = at(4).replace("05", "04");
    assert.equal(faultOf(lines.toSpliced(first + 3, 1, renumbered).join("\n")), "bad-line 4");
    const other = makeRecoveryKey().privateKey.split("\n");
    assert.equal(faultOf(lines.toSpliced(first, 1, other[first] ?? "").join("\n")), "wrong-id 0");
  });

  test("tells the parts from each other and from anything else", () => {
    assert.equal(faultOf(publicKey), "other-part 0");
    const asPublic = parseRecoveryPublicKey(privateKey);
    assert.ok(!asPublic.ok && asPublic.fault === "other-part");
    assert.equal(faultOf(""), "not-a-recovery-key 0");
    assert.equal(faultOf(privateKey.replace("KEY 1", "KEY 2")), "not-a-recovery-key 0");
    assert.equal(faultOf(privateKey.replace("END OF KEY", "")), "not-a-recovery-key 0");
    assert.equal(faultOf(`${privateKey}${" ".repeat(20_000)}`), "too-long 16384");
  });

  test("never throws and never takes an altered text for a key (40,000 texts)", () => {
    const random = seededRandom(11);
    const alphabet = "ABC2 7:\n\r-.0189aQ\u00e4=/+";
    for (let round = 0; round < 40_000; round += 1) {
      const isPublic = round % 4 === 0;
      let text = isPublic ? publicKey : privateKey;
      const from = text.indexOf("Key id");
      for (let edits = 1 + pick(random, 4); edits > 0; edits -= 1) {
        const at = from + pick(random, text.length - from);
        const letter = alphabet[pick(random, alphabet.length)] ?? "";
        const cut = pick(random, 10) === 0 ? pick(random, 80) : 1;
        text = text.slice(0, at) + letter + text.slice(at + cut);
      }
      const parsed = isPublic ? parseRecoveryPublicKey(text) : parseRecoveryPrivateKey(text);
      // An edit may undo another, or change a space: then it is the same key.
      if (parsed.ok) assert.equal(parsed.value.id, opened(privateKey).id);
      else assert.ok(parsed.at >= 0 && parsed.at <= text.length);
    }
  });
});
