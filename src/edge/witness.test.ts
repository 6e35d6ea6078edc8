import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { formatWitnessRequest, parseWitnessAnswer, type WitnessAnswer } from "#contracts/witness";
import { openWitness, type Witness } from "#edge/witness";
import {
  cosignedAt,
  formatHead,
  formatNote,
  type NoteKey,
  noteKey,
  parseSignatures,
  parseSignedHead,
  signHead,
} from "#formats/checkpoint";
import { type FakeClock, fakeClock } from "../../tests/kit/fake-clock.ts";
import { MemoryTree } from "../../tests/kit/memory-tree.ts";

const origin = "mail.example.org/ledger";
const storeId = "0011223344556677";

function logPairs(): (readonly [NoteKey, KeyObject])[] {
  const classic = generateKeyPairSync("ed25519").privateKey;
  const quantum = generateKeyPairSync("ml-dsa-65").privateKey;
  return [
    [noteKey(origin, "ed25519", classic), classic],
    [noteKey(origin, "ml-dsa-65", quantum), quantum],
  ];
}
const log = logPairs();
const keysOf = (pairs: typeof log): NoteKey[] => pairs.map(([key]) => key);

interface Asked {
  readonly size: number;
  readonly oldSize?: number;
  readonly timeMs?: number;
  readonly tree?: MemoryTree;
  readonly storeId?: string;
  readonly pairs?: typeof log;
}

const main = new MemoryTree().grow(200);
let clock: FakeClock;
let folder = "";
const folders: string[] = [];
let logKeys: readonly NoteKey[];

beforeEach(() => {
  clock = fakeClock();
  logKeys = keysOf(log);
  folder = mkdtempSync(join(tmpdir(), "witness-"));
  folders.push(folder);
});
after(() => folders.forEach((one) => rmSync(one, { recursive: true })));

const open = (): Promise<Witness> =>
  openWitness({ folder, name: "mx.example.org/witness", logKeys: () => logKeys, clock });

async function request({ size, oldSize = 0, tree = main, pairs = log, ...rest }: Asked) {
  const text = formatHead({
    origin,
    size,
    root: tree.rootAt(size),
    timeMs: rest.timeMs ?? clock.nowMs(),
    storeId: rest.storeId ?? storeId,
  });
  const note = formatNote({
    text,
    signatures: pairs.map(([key, secret]) => signHead(text, key, secret)),
  });
  const proof = oldSize <= size ? await tree.consistency(oldSize, size) : [];
  return { note, text, oldSize, proof };
}

async function ask(witness: Witness, asked: Asked): Promise<WitnessAnswer> {
  const { answer } = await witness.cosign(formatWitnessRequest(await request(asked)));
  const read = parseWitnessAnswer(JSON.parse(JSON.stringify(answer)));
  assert.ok(read);
  return read;
}

async function cosigned(witness: Witness, asked: Asked): Promise<void> {
  const answer = await ask(witness, asked);
  assert.ok("cosignatures" in answer, JSON.stringify(answer));
}

async function refused(witness: Witness, fault: string, asked: Asked): Promise<void> {
  const answer = await ask(witness, asked);
  assert.equal("refused" in answer && answer.refused, fault);
}

describe("a witness", () => {
  test("cosigns the first head and each that continues it, with both of its keys", async () => {
    const witness = await open();
    let oldSize = 0;
    for (const size of [1, 1, 7, 8, 100, 200]) {
      await clock.advance(1000);
      const { text } = await request({ size, oldSize });
      const answer = await ask(witness, { size, oldSize });
      assert.ok("cosignatures" in answer);
      const signatures = parseSignatures(answer.cosignatures);
      assert.ok(signatures.ok);
      const note = { text, signatures: signatures.value };
      assert.equal(cosignedAt(note, answer.keys), Math.floor(clock.nowMs() / 1000));
      oldSize = size;
    }
    await witness.close();
  });

  const faults: readonly (readonly [what: string, fault: string, Asked])[] = [
    ["a tree that was cut", "rolled-back", { size: 90, oldSize: 90 }],
    ["a whole disk that was rolled back", "rolled-back", { size: 50 }],
    [
      "the same size with another root",
      "fork",
      { size: 100, oldSize: 100, tree: new MemoryTree().grow(100, "x") },
    ],
    [
      "a fork that is longer",
      "fork",
      { size: 120, oldSize: 100, tree: new MemoryTree().grow(120, "x") },
    ],
    ["a wrong old size", "old-size", { size: 120, oldSize: 90 }],
    ["a log that began anew", "old-size", { size: 120 }],
    ["another store", "other-log", { size: 120, oldSize: 100, storeId: "ffffffffffffffff" }],
    ["keys of another log", "bad-signature", { size: 120, oldSize: 100, pairs: logPairs() }],
    ["Ed25519 alone", "bad-signature", { size: 120, oldSize: 100, pairs: log.slice(0, 1) }],
    ["ML-DSA-65 alone", "bad-signature", { size: 120, oldSize: 100, pairs: log.slice(1) }],
  ];
  for (const [what, fault, asked] of faults) {
    test(`refuses ${what}, and shows its last head`, async () => {
      const witness = await open();
      await cosigned(witness, { size: 100 });
      const answer = await ask(witness, asked);
      assert.ok("refused" in answer && answer.last !== undefined);
      assert.equal(answer.refused, fault);
      const last = parseSignedHead(answer.last);
      assert.ok(last.ok && last.value.head.size === 100);
      assert.ok(cosignedAt(last.value, answer.keys));
      // And honest heads go on from there.
      await cosigned(witness, { size: 101, oldSize: 100 });
      await witness.close();
    });
  }

  test("refuses a clock that was set back, and one that is far ahead", async () => {
    const witness = await open();
    const nowMs = clock.nowMs();
    await cosigned(witness, { size: 100 });
    await refused(witness, "time-went-back", { size: 101, oldSize: 100, timeMs: nowMs - 1 });
    await refused(witness, "time-ahead", { size: 101, oldSize: 100, timeMs: nowMs + 600_001 });
    await cosigned(witness, { size: 101, oldSize: 100, timeMs: nowMs + 600_000 });
    await witness.close();
  });

  test("asks for the whole story when it remembers nothing", async () => {
    const witness = await open();
    const answer = await ask(witness, { size: 100, oldSize: 50 });
    assert.ok("refused" in answer && answer.refused === "old-size" && answer.last === undefined);
    await witness.close();
  });

  test("knows its keys and its last head after a restart", async () => {
    const first = await open();
    const before = await ask(first, { size: 100 });
    await first.close();
    const second = await open();
    await refused(second, "rolled-back", { size: 99 });
    const answer = await ask(second, { size: 101, oldSize: 100 });
    assert.deepEqual(answer.keys, before.keys);
    assert.ok("cosignatures" in answer);
    await second.close();
    for (const name of ["witness.keys", "witness.head"]) {
      assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600);
    }
  });

  test("cosigns nothing before it knows the log's keys, and goes by the new ones", async () => {
    logKeys = [];
    const witness = await open();
    await refused(witness, "not-ready", { size: 100 });
    logKeys = keysOf(log);
    await cosigned(witness, { size: 100 });
    const next = logPairs();
    logKeys = keysOf(next);
    await refused(witness, "bad-signature", { size: 101, oldSize: 100 });
    // New keys are no new past: the last head still binds.
    await refused(witness, "rolled-back", { size: 50, pairs: next });
    await cosigned(witness, { size: 101, oldSize: 100, pairs: next });
    await witness.close();
  });

  test("keeps no line of strangers, however many come with a head", async () => {
    const witness = await open();
    const { note, ...rest } = await request({ size: 10 });
    const line = `\u2014 stranger ${Buffer.alloc(3000).toString("base64")}\n`;
    const { outcome } = await witness.cosign(
      formatWitnessRequest({ ...rest, note: note + line.repeat(14) }),
    );
    assert.equal(outcome, "cosigned");
    assert.ok(!readFileSync(join(folder, "witness.head")).includes("stranger"));
    await witness.close();
  });

  test("of two requests at once cosigns one, and tells the other", async () => {
    const witness = await open();
    await cosigned(witness, { size: 100 });
    const requests = await Promise.all([150, 120].map((size) => request({ size, oldSize: 100 })));
    const answers = await Promise.all(
      requests.map((one) => witness.cosign(formatWitnessRequest(one))),
    );
    assert.deepEqual(
      answers.map(({ outcome }) => outcome),
      ["cosigned", "rolled-back"],
    );
    await witness.close();
  });

  test("refuses whatever is no request, and never throws", async () => {
    const witness = await open();
    const random = seededRandom(5);
    const good = formatWitnessRequest(await request({ size: 9 })) as Record<string, unknown>;
    const odd = [null, undefined, 1, "x", [], {}, -1, 0.5, 1e300, [1], ["!"], Array(100).fill("")];
    for (let round = 0; round < 300; round += 1) {
      const key = ["note", "oldSize", "proof"][pick(random, 3)] as string;
      const value = odd[pick(random, odd.length)];
      const { outcome } = await witness.cosign(round % 3 === 0 ? value : { ...good, [key]: value });
      assert.ok(
        outcome === "bad-request" || outcome === "cosigned" || outcome === "old-size",
        outcome,
      );
      parseWitnessAnswer(value);
      parseWitnessAnswer({ keys: value, refused: value });
      parseWitnessAnswer({ keys: [], cosignatures: value, refused: "fork", last: value });
    }
    await witness.close();
  });
});

describe("its file", () => {
  test("survives a write that is torn at any place", async () => {
    const path = join(folder, "witness.head");
    const witness = await open();
    await cosigned(witness, { size: 100 });
    await cosigned(witness, { size: 110, oldSize: 100 });
    const before = readFileSync(path);
    await cosigned(witness, { size: 120, oldSize: 110 });
    const after = readFileSync(path);
    await witness.close();
    const random = seededRandom(6);
    for (let round = 0; round < 40; round += 1) {
      // Any sectors of the last write may have landed.
      const torn = Buffer.from(before);
      for (let at = 0; at < torn.length; at += 512) {
        if (random.fraction() < 0.5) after.copy(torn, at, at, at + 512);
      }
      writeFileSync(path, torn);
      const again = await open();
      await refused(again, "rolled-back", { size: 109 });
      await cosigned(again, { size: 130, oldSize: torn.equals(after) ? 120 : 110 });
      await again.close();
    }
  });

  test("that is all spoiled stops the witness, and nothing else", async () => {
    const first = await open();
    await cosigned(first, { size: 100 });
    await first.close();
    const path = join(folder, "witness.head");
    for (const octets of [Buffer.alloc(65_536), Buffer.alloc(0), Buffer.from("something else")]) {
      writeFileSync(path, octets);
      const again = await open();
      await refused(again, "memory-lost", { size: 200, oldSize: 100 });
      await again.close();
    }
    rmSync(path);
    const anew = await open();
    await cosigned(anew, { size: 200 });
    await anew.close();
  });

  test("of keys that holds none is named", async () => {
    writeFileSync(join(folder, "witness.keys"), "{}");
    await assert.rejects(open(), /witness\.keys: holds no keys/);
  });
});
