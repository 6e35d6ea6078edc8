import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync, spawnSync } from "node:child_process";
import { generateKeyPairSync, hash, type KeyObject } from "node:crypto";
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { formatWitnessRequest, parseWitnessAnswer } from "#contracts/witness";
import { openWitness, type Witness } from "#edge/witness";
import {
  cosignHead,
  formatHead,
  formatNote,
  formatNoteKey,
  type NoteKey,
  type NoteSignature,
  noteKey,
  parseSignatures,
  signHead,
} from "#formats/checkpoint";
import { fakeClock } from "../kit/fake-clock.ts";
import { application } from "../kit/installation.ts";
import {
  commitmentOf,
  sealed,
  segmentName,
  segmentsOf,
  type TinyLedger,
  type TinyRecord,
  treeOf,
  writeLedger,
} from "../kit/tiny-ledger.ts";

const program = join(application, "verifier/postern-verify.mjs");
const folder = mkdtempSync(join(tmpdir(), "verifier-"));
after(() => rmSync(folder, { recursive: true }));

const origin = "mail.example.org/0011aabb";
const storeId = "0011223344556677";
const startMs = Date.UTC(2026, 0, 5, 12);
const minuteMs = 60_000;
const random = seededRandom(14);
const hexOf = (bytes: number): string => random.bytes(bytes).toString("hex");

type Pair = readonly [NoteKey, KeyObject];
const ed25519 = () => generateKeyPairSync("ed25519").privateKey;
const mlDsa65 = () => generateKeyPairSync("ml-dsa-65").privateKey;
function logPairs(): Pair[] {
  const [classic, quantum] = [ed25519(), mlDsa65()];
  return [
    [noteKey(origin, "ed25519", classic), classic],
    [noteKey(origin, "ml-dsa-65", quantum), quantum],
  ];
}
const log = logPairs();

// --- The ledger: a message comes, is moved, copied and deleted, among much else. ---

const head = Buffer.from("Received: from a by b; Mon, 5 Jan 2026 12:00:00 +0000\r\n");
const content = Buffer.from("Subject: hello\r\n\r\nthe very words\r\n");
const messageFile = join(folder, "message.eml");
writeFileSync(messageFile, Buffer.concat([head, content]));
const sha = (...parts: Uint8Array[]): Buffer => hash("sha256", Buffer.concat(parts), "buffer");
const messageSalt = random.bytes(16);
const digest = sha(messageSalt, sha(head), sha(content)).toString("hex");
const opened = {
  salt: messageSalt.toString("hex"),
  headBytes: head.length,
  headHash: sha(head).toString("hex"),
  contentHash: sha(content).toString("hex"),
};

/** What the records of note say, by sequence number. */
const tale: Readonly<Record<number, readonly [kind: number, facts: object]>> = {
  40: [
    3,
    {
      act: "accepted",
      atMs: startMs + 4 * minuteMs,
      message: "ab".repeat(16),
      digest,
      deliveries: [
        ["acc-ana", 3, 17],
        ["acc-ben", 8, 5],
      ],
    },
  ],
  50: [7, { act: "flags", account: "acc-ana", mailbox: 3, modSeq: 9, sets: [] }],
  // Two of the four UIDs were not there any more: the copy's UID is 30 or 31.
  60: [
    8,
    {
      act: "copied",
      ...{ account: "acc-ana", mailbox: 3, modSeq: 10, mode: "move", uids: [[16, 19]] },
      ...{ to: 4, firstUid: 30, count: 2, atMs: startMs + 6 * minuteMs },
    },
  ],
  70: [
    9,
    {
      act: "expunged",
      ...{ account: "acc-ana", mailbox: 4, modSeq: 11, uids: [[29, 40]] },
      atMs: startMs + 7 * minuteMs,
    },
  ],
  80: [
    9,
    {
      act: "expunged",
      ...{ account: "acc-ben", mailbox: 8, modSeq: 4, uids: [[5, 5]] },
      ...{ by: "admin@example.org", atMs: startMs + 8 * minuteMs },
    },
  ],
  81: [32, { act: "read-by-other", account: "acc-ben", message: "cd", by: "x\u001b[31m", atMs: 1 }],
};

function recordAt(lsn: number): TinyRecord {
  const told = tale[lsn];
  const statement = told && JSON.stringify({ v: 1, seq: lsn, ...told[1], salt: hexOf(16) });
  return {
    kind: told?.[0] ?? 14,
    ...(statement !== undefined && { statement }),
    sealed: random.bytes(28 + pick(random, 600)),
    blob: random.bytes(lsn % 7 === 0 ? 12_000 : 0),
  };
}

/** Batches of one to five records; one of them is a mark without any. */
function ledgerOf(count: number, segmentPages = 12): TinyLedger {
  const batches: TinyRecord[][] = [];
  for (let lsn = 1; lsn <= count; ) {
    const batch: TinyRecord[] = [];
    for (let more = 1 + pick(random, 5); more > 0 && lsn <= count; more -= 1, lsn += 1) {
      batch.push(recordAt(lsn));
    }
    batches.push(batch);
    if (batches.length === 10) batches.push([]);
  }
  return { storeId, batches, segmentPages };
}

const honest = ledgerOf(300);
const all = honest.batches.flat();

/** The same batches with other records in them. */
function withRecords(records: readonly TinyRecord[], from = honest): TinyLedger {
  let at = 0;
  const batches = from.batches.map((batch) => {
    const part = records.slice(at, at + batch.length);
    at += batch.length;
    return part;
  });
  for (; at < records.length; at += 3) batches.push(records.slice(at, at + 3));
  return { ...from, batches };
}

// --- Its witness, and heads. ---

const clock = fakeClock(startMs + 3 * minuteMs);
let witness: Witness;
let witnessKeys: readonly NoteKey[] = [];
/** Cosigned at 30, 200 and 300 records. */
const notes = new Map<number, string>();

interface HeadOf {
  readonly ledger?: TinyLedger;
  readonly size: number;
  readonly timeMs?: number;
  readonly id?: string;
}

function textOf({ ledger = honest, size, timeMs = clock.nowMs(), id = storeId }: HeadOf): string {
  return formatHead({ origin, size, root: treeOf(ledger).rootAt(size), timeMs, storeId: id });
}
const signed = (text: string, pairs = log): NoteSignature[] =>
  pairs.map(([key, secret]) => signHead(text, key, secret));

/** What the witness says to a head that bears the log's genuine signatures. */
async function ask(of: HeadOf, oldSize: number) {
  const text = textOf(of);
  const signatures = signed(text);
  const tree = treeOf(of.ledger ?? honest);
  const proof = oldSize <= of.size ? await tree.consistency(oldSize, of.size) : [];
  const request = { note: formatNote({ text, signatures }), oldSize, proof };
  const answer = parseWitnessAnswer((await witness.cosign(formatWitnessRequest(request))).answer);
  assert.ok(answer);
  witnessKeys = answer.keys;
  if ("refused" in answer) return answer.refused;
  const added = parseSignatures(answer.cosignatures);
  assert.ok(added.ok);
  return { note: formatNote({ text, signatures: [...signatures, ...added.value] }) };
}

/** A second witness, which cosigns whatever it is shown: for what the verifier finds by itself. */
const otherPairs: readonly Pair[] = (["ed25519-cosignature", "ml-dsa-65-cosignature"] as const).map(
  (algorithm) => {
    const secret = algorithm.startsWith("ed") ? ed25519() : mlDsa65();
    return [noteKey("other.example/w", algorithm, secret), secret];
  },
);

function cosignedByOther(text: string, timeMs: number): string {
  const timeS = Math.floor(timeMs / 1000);
  const cosigned = otherPairs.map(([key, secret]) => cosignHead(text, timeS, key, secret));
  return formatNote({ text, signatures: [...signed(text), ...cosigned] });
}

const keysFile = join(folder, "keys.json");
const witnessFolder = mkdtempSync(join(folder, "witness-"));

before(async () => {
  const logKeys = log.map(([key]) => key);
  const name = "mx.example.org/witness";
  witness = await openWitness({ folder: witnessFolder, name, logKeys: () => logKeys, clock });
  let oldSize = 0;
  for (const size of [30, 200, 300]) {
    // The first before the message came, the others behind all that is told.
    if (size === 200) await clock.advance(7 * minuteMs);
    const answer = await ask({ size }, oldSize);
    assert.ok(typeof answer === "object");
    notes.set(size, answer.note);
    oldSize = size;
  }
  const witnesses = [witnessKeys, otherPairs.map(([key]) => key)];
  const lines = {
    log: logKeys.map(formatNoteKey),
    witnesses: witnesses.map((keys) => keys.map(formatNoteKey)),
  };
  writeFileSync(keysFile, JSON.stringify({ format: "postern-keys-1", ...lines }));
});
after(() => witness.close());

// --- The verifier, as an auditor runs it. ---

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function run(args: readonly string[], node = process.execPath): Ran {
  const { status, stdout, stderr } = spawnSync(node, [program, ...args], { encoding: "utf8" });
  return { code: status, out: stdout, err: stderr };
}

let files = 0;
function written(text: string | Buffer): string {
  const path = join(folder, `file-${(files += 1)}`);
  writeFileSync(path, text);
  return path;
}

const noteOf = (size: number): string => notes.get(size) ?? "";

function verifyStore(directory: string, note = noteOf(300), ...more: string[]): Ran {
  return run(["store", directory, "--head", written(note), "--log-keys", keysFile, ...more]);
}

function refused(ran: Ran, why: RegExp): void {
  assert.equal(ran.err, "");
  assert.match(ran.out, /^NOT PROVED\. /m);
  assert.match(ran.out, why);
  assert.equal(ran.code, 1);
}

function stored(ledger: TinyLedger): string {
  const directory = join(folder, `store-${(files += 1)}`);
  writeLedger(directory, ledger);
  return directory;
}

const leavesFile = written(Buffer.concat(treeOf(honest).leaves));

describe("postern-verify store", () => {
  test("reproduces the head from the segments, without any key", () => {
    const directory = stored(honest);
    assert.ok(readdirSync(directory).length > 5);
    const ran = verifyStore(directory);
    assert.match(ran.out, /300 records, tree of the head reproduced\./);
    assert.match(ran.out, /signed by the log \(Ed25519 and ML-DSA-65\)/);
    assert.equal(ran.code, 0);
    assert.match(verifyStore(directory, noteOf(200)).out, /reproduced; 100 more came since\./);
  });

  test("takes the file that the witness keeps for the head", () => {
    const file = join(witnessFolder, "witness.head");
    const ran = run(["store", stored(honest), "--head", file, "--log-keys", keysFile]);
    assert.match(ran.out, /300 records, tree of the head reproduced\./);
  });

  test("counts what the format says counts: torn batches and later zeros do not", () => {
    const directory = stored(honest);
    const names = readdirSync(directory).sort();
    const last = join(directory, names.at(-1) ?? "");
    const octets = readFileSync(last);
    const used = octets.findLastIndex((octet) => octet !== 0);
    const at = (Math.floor(used / 8192) + 1) * 8192;
    // A batch that a power cut left: garbage where its first page should stand.
    assert.ok(at < octets.length);
    random.bytes(3000).copy(octets, at);
    writeFileSync(last, octets);
    writeFileSync(join(directory, segmentName(names.length + 1)), Buffer.alloc(8192 * 4));
    writeFileSync(join(directory, "segment-00000001.compact"), random.bytes(99));
    assert.match(verifyStore(directory).out, /300 records, tree of the head reproduced\./);
  });

  test("names the page that is damaged, the file that is missing, and goes no further", () => {
    const directory = stored(honest);
    const path = join(directory, segmentName(2));
    const octets = readFileSync(path);
    octets[8192 * 3 + 5000] = (octets[8192 * 3 + 5000] ?? 0) ^ 1;
    writeFileSync(path, octets);
    refused(verifyStore(directory), /segment-00000002, page 3 is damaged: its checksum is wrong/);
    rmSync(path);
    refused(verifyStore(directory), /segment-00000002 is missing/);
  });

  test("says what it cannot read, and how it is called", () => {
    assert.equal(run([]).code, 64);
    assert.match(run(["store", folder]).err, /usage:/);
    assert.equal(verifyStore(join(folder, "nowhere")).code, 66);
    assert.equal(run(["store", folder, "--head", "nowhere", "--log-keys", keysFile]).code, 66);
    const noWitness = written(JSON.stringify({ format: "postern-keys-1", log: [], witnesses: [] }));
    const args = ["store", folder, "--head", written(noteOf(300)), "--log-keys", noWitness];
    assert.match(run(args).err, /names no witness, and without one nothing is shown/);
  });

  test("says how old a head may be, when asked to mind", () => {
    const directory = stored(honest);
    refused(verifyStore(directory, noteOf(300), "--max-age", "1"), /The head is too old/);
    assert.equal(verifyStore(directory, noteOf(300), "--max-age", "9999999").code, 0);
  });

  test("reads random octets and random damage without falling over", () => {
    const sound = segmentsOf(honest);
    const directory = stored(honest);
    for (let round = 0; round < 25; round += 1) {
      const index = pick(random, sound.length);
      const octets = Buffer.from(sound[index] as Buffer);
      const at = pick(random, octets.length / 8192) * 8192;
      const page = octets.subarray(at, at + 8192);
      for (let hits = 1 + pick(random, 4); hits > 0; hits -= 1) {
        page[pick(random, round % 2 === 0 ? 200 : 8192)] = pick(random, 256);
      }
      if (round % 3 !== 0) sealed(page);
      writeFileSync(join(directory, segmentName(index + 1)), octets);
      const ran = verifyStore(directory);
      assert.equal(ran.err, "");
      assert.ok(ran.code === 0 || ran.code === 1, ran.out);
      writeFileSync(join(directory, segmentName(index + 1)), sound[index] as Buffer);
    }
  });
});

/** Issue 3, row G2: each of them from the last cosigned head, by a program of its own. */
describe("the fourteen manipulations", () => {
  let directory = "";
  const lastBut = (change: Partial<TinyRecord>, lsn = 40): TinyRecord => ({
    ...(all[lsn - 1] as TinyRecord),
    ...change,
  });

  test("1 edit: a record's octets, with every checksum made right", async () => {
    const edited = withRecords(all.with(39, lastBut({ sealed: random.bytes(300) })));
    directory = stored(edited);
    refused(verifyStore(directory), /Among the first 300 records something was changed/);
    refused(
      verifyStore(directory, noteOf(300), "--leaves", leavesFile),
      /The first record that was changed is record 40 \(segment-0000000\d, batch at page \d+\)/,
    );
    assert.equal(await ask({ ledger: edited, size: 300 }, 300), "fork");
  });

  test("2 delete: a record taken out, the others moved up or left", async () => {
    const without = all.toSpliced(69, 1);
    const renumbered = withRecords(without);
    refused(verifyStore(stored(renumbered)), /There are 299 records; the witness saw 300/);
    const left = without.map((record, at) => ({ ...record, lsn: at < 69 ? at + 1 : at + 2 }));
    refused(verifyStore(stored(withRecords(left))), /record 71 stands where record 70 should/);
    const filled = withRecords([...without, recordAt(300)]);
    directory = stored(filled);
    refused(verifyStore(directory), /Among the first 300 records something was changed/);
    refused(verifyStore(directory, noteOf(300), "--leaves", leavesFile), /changed is record 70 /);
    assert.equal(await ask({ ledger: filled, size: 300 }, 300), "fork");
  });

  test("3 insert: a record that never was", async () => {
    const inserted = withRecords(all.toSpliced(20, 0, recordAt(21)));
    directory = stored(inserted);
    refused(verifyStore(directory), /Among the first 300 records something was changed/);
    refused(verifyStore(directory, noteOf(300), "--leaves", leavesFile), /changed is record 21 /);
    assert.equal(await ask({ ledger: inserted, size: 301 }, 300), "fork");
  });

  test("4 reorder: two records exchanged", async () => {
    const [one, other] = [lastBut({}, 100), lastBut({}, 101)];
    const turned = withRecords(all.with(99, other).with(100, one));
    directory = stored(turned);
    refused(verifyStore(directory, noteOf(300), "--leaves", leavesFile), /changed is record 100 /);
    assert.equal(await ask({ ledger: turned, size: 300 }, 300), "fork");
  });

  test("5 cut the tail: the last records gone without a trace", async () => {
    const cut = withRecords(all.slice(0, 290));
    refused(verifyStore(stored(cut)), /There are 290 records; the witness saw 300: 10 are missing/);
    assert.equal(await ask({ ledger: cut, size: 290 }, 290), "rolled-back");
  });

  test("6 fork: the past written anew from a point on, and longer", async () => {
    const forked = withRecords([...all.slice(0, 250), ...ledgerOf(120).batches.flat()]);
    refused(verifyStore(stored(forked)), /Among the first 300 records something was changed/);
    assert.equal(await ask({ ledger: forked, size: 370 }, 300), "fork");
  });

  test("7 roll back the whole disk, and go on from there", async () => {
    const older = withRecords(all.slice(0, 200));
    refused(verifyStore(stored(older)), /There are 200 records; the witness saw 300/);
    assert.equal(await ask({ ledger: older, size: 200 }, 200), "rolled-back");
    const onwards = withRecords([...all.slice(0, 200), ...ledgerOf(150).batches.flat()]);
    assert.equal(await ask({ ledger: onwards, size: 350 }, 300), "fork");
  });

  test("8 clock back: a record dated before the head that it came after", async () => {
    const longer = withRecords([...all, recordAt(301)]);
    const timeMs = startMs + 5 * minuteMs;
    assert.equal(await ask({ ledger: longer, size: 301, timeMs }, 300), "time-went-back");
    // Its own head being right, a record may still say that it is old: an earlier head knows better.
    const dated = backdated();
    const proof = await proofOf([40], { ledger: dated.ledger, note: dated.note });
    refused(
      prove({ ...proof, earlier: dated.earlier }),
      /the witness saw the ledger without it at .*: it is dated back/,
    );
  });

  test("9 re-sign: another past under the log's stolen keys", async () => {
    const edited = withRecords(all.with(39, lastBut({ sealed: random.bytes(300) })));
    directory = stored(edited);
    const text = textOf({ ledger: edited, size: 300 });
    const resigned = formatNote({ text, signatures: signed(text) });
    refused(
      verifyStore(directory, resigned),
      /is not cosigned by a witness you trust with Ed25519/,
    );
    const old = noteOf(300)
      .slice(noteOf(300).indexOf("\n\n") + 2)
      .split("\n");
    const cosignatures = old.filter((line) => line.includes("witness")).join("\n");
    refused(
      verifyStore(directory, `${resigned}${cosignatures}\n`),
      /not cosigned by a witness you trust: the Ed25519 signature is false/,
    );
    assert.equal(await ask({ ledger: edited, size: 300 }, 300), "fork");
  });

  test("10 swap two segments", () => {
    directory = stored(honest);
    const [one, other] = [2, 3].map((number) => join(directory, segmentName(number)));
    renameSync(one ?? "", `${one}.away`);
    renameSync(other ?? "", one ?? "");
    renameSync(`${one}.away`, other ?? "");
    refused(
      verifyStore(directory),
      /segment-00000002, page 0 belongs elsewhere: to segment-00000003/,
    );
    // Also when each page is made to fit its new place.
    for (const number of [2, 3]) {
      const path = join(directory, segmentName(number));
      const octets = readFileSync(path);
      for (let at = 0; at < octets.length; at += 8192) {
        const page = octets.subarray(at, at + 8192);
        if (page.readUInt32LE(0) === 0) continue;
        page.writeUInt32LE(number, 40);
        sealed(page);
      }
      writeFileSync(path, octets);
    }
    refused(verifyStore(directory), /page 0 is of batch \d+, where batch \d+ should stand/);
  });

  test("11 replace the store id, in all pages and in the head", async () => {
    const other = { ...honest, storeId: "f".repeat(16) };
    directory = stored(other);
    refused(verifyStore(directory), /segment-00000001, page 0 belongs to another store, ffff/);
    const text = textOf({ size: 300, id: "f".repeat(16) });
    refused(
      verifyStore(directory, formatNote({ text, signatures: signed(text) })),
      /is not cosigned by a witness you trust/,
    );
    assert.equal(await ask({ size: 300, id: "f".repeat(16) }, 300), "other-log");
  });

  test("12 replay an old head for a store that was cut to it", async () => {
    const older = stored(withRecords(all.slice(0, 200)));
    // The old head is genuine: what shows the fraud is the witness's own last one, or its age.
    assert.equal(verifyStore(older, noteOf(200)).code, 0);
    refused(verifyStore(older, noteOf(200), "--max-age", "1"), /The head is too old/);
    const file = join(witnessFolder, "witness.head");
    refused(run(["store", older, "--head", file, "--log-keys", keysFile]), /the witness saw 300/);
    assert.equal(await ask({ size: 200, timeMs: clock.nowMs() }, 200), "rolled-back");
  });

  test("13 drop the cosignature, whole or by half", () => {
    directory = stored(honest);
    const lines = noteOf(300).split("\n");
    const own = lines.filter((line) => line.includes("mx.example.org/witness"));
    assert.equal(own.length, 2);
    const without = (gone: readonly string[]): string =>
      lines.filter((line) => !gone.includes(line)).join("\n");
    refused(verifyStore(directory, without(own)), /not cosigned .* with Ed25519/);
    refused(verifyStore(directory, without(own.slice(0, 1))), /not cosigned .* with Ed25519/);
    refused(verifyStore(directory, without(own.slice(1))), /not cosigned .* with ML-DSA-65/);
    const byLog = lines.filter((line) => line.includes(`\u2014 ${origin}`));
    for (const one of byLog)
      refused(verifyStore(directory, without([one])), /not signed by the log/);
  });

  test("14 forge the cosignature: with other keys, for another text, or at another time", () => {
    directory = stored(honest);
    const text = textOf({ size: 300 });
    const timeS = Math.floor(clock.nowMs() / 1000);
    const [classic, quantum] = [ed25519(), mlDsa65()];
    const name = "mx.example.org/witness";
    const forged = [
      cosignHead(text, timeS, noteKey(name, "ed25519-cosignature", classic), classic),
      cosignHead(text, timeS, noteKey(name, "ml-dsa-65-cosignature", quantum), quantum),
    ];
    const withCosignatures = (made: readonly NoteSignature[]): string =>
      formatNote({ text, signatures: [...signed(text), ...made] });
    refused(verifyStore(directory, withCosignatures(forged)), /not cosigned/);
    // Under the ids of the witness's own keys.
    const named = forged.map((one, at) => ({ ...one, keyId: witnessKeys[at]?.id ?? "" }));
    refused(verifyStore(directory, withCosignatures(named)), /the Ed25519 signature is false/);
    // The genuine ones, dated otherwise.
    const lines = noteOf(300).slice(noteOf(300).indexOf("\n\n") + 2);
    const genuine = parseSignatures(lines);
    assert.ok(genuine.ok);
    const dated = genuine.value.map((one) => {
      const signature = Buffer.from(one.signature);
      if (one.name === name) signature.writeBigUInt64BE(1n);
      return { ...one, signature };
    });
    const note = formatNote({
      text: noteOf(300).slice(0, noteOf(300).indexOf("\n\n") + 1),
      signatures: dated,
    });
    refused(verifyStore(directory, note), /the Ed25519 signature is false/);
  });
});

// --- Proofs. ---

interface ProofOf {
  readonly ledger?: TinyLedger;
  readonly note?: string;
  readonly size?: number;
}

async function proofOf(
  lsns: readonly number[],
  { ledger = honest, note, size = 300 }: ProofOf = {},
) {
  const tree = treeOf(ledger);
  const records = ledger.batches.flat();
  const leaves = [];
  for (const lsn of lsns) {
    const record = records[lsn - 1] as TinyRecord;
    leaves.push({
      index: lsn - 1,
      kind: record.kind,
      commitment: commitmentOf(record).toString("hex"),
      sealedHash: sha(record.sealed).toString("hex"),
      path: (await tree.inclusion(lsn - 1, size)).map((node) => node.toString("hex")),
      ...(record.statement !== undefined && { statement: record.statement }),
    });
  }
  return { format: "postern-proof-1", note: note ?? noteOf(size), leaves, message: opened };
}

function prove(proof: object, ...more: string[]): Ran {
  return run(["proof", written(JSON.stringify(proof)), "--log-keys", keysFile, ...more]);
}

/** A ledger whose record 40 says that it is older than a head that has no such record. */
function backdated() {
  const [kind, facts] = tale[40] as [number, object];
  const said = { v: 1, seq: 40, ...facts, atMs: startMs - 90 * minuteMs, salt: hexOf(16) };
  const record = { ...(all[39] as TinyRecord), kind, statement: JSON.stringify(said) };
  const ledger = withRecords(all.with(39, record));
  const note = cosignedByOther(textOf({ ledger, size: 300 }), clock.nowMs());
  const timeMs = startMs + 3 * minuteMs;
  return { ledger, note, earlier: cosignedByOther(textOf({ ledger, size: 39, timeMs }), timeMs) };
}

describe("postern-verify proof", () => {
  test("tells of a message that came and was not changed", async () => {
    const ran = prove(
      { ...(await proofOf([40, 50])), earlier: noteOf(30) },
      "--message",
      messageFile,
    );
    assert.equal(ran.code, 0, ran.out + ran.err);
    assert.match(
      ran.out,
      /Record 40 is in that ledger: message (ab){16} was accepted at 2026-01-05T12:04:00\.000Z, for acc-ana, mailbox 3, UID 17; acc-ben, mailbox 8, UID 5\./,
    );
    assert.match(ran.out, /It was not there yet when the witness saw the ledger at/);
    assert.match(ran.out, /is that message, octet for octet: it was not changed since\./);
    assert.match(
      ran.out,
      /No record of this proof deletes these copies: acc-ana, mailbox 3, UID 17; acc-ben/,
    );
    assert.match(ran.out, /It cannot show that nothing else did\./);
  });

  test("follows every copy, and tells who deleted which and when", async () => {
    const some = prove(await proofOf([40, 60, 70, 81]));
    assert.equal(some.code, 0, some.out);
    assert.match(
      some.out,
      /Record 60 .* moved to acc-ana, mailbox 4, a UID from 30 to 31 at 2026-01-05T12:06:00\.000Z by the owner of acc-ana\./,
    );
    assert.match(
      some.out,
      /Record 70 .*UID from 30 to 31 was deleted at 2026-01-05T12:07:00\.000Z by the owner of acc-ana\./,
    );
    assert.match(some.out, /deletes these copies: acc-ben, mailbox 8, UID 5\./);
    assert.match(some.out, /Record 81 .*read-by-other/);
    assert.ok(!some.out.includes("\u001b"), "what others wrote moves no cursor");
    const whole = prove(await proofOf([40, 60, 70, 80]));
    assert.match(
      whole.out,
      /Record 80 .*acc-ben, mailbox 8, UID 5 was deleted at .* by admin@example\.org\./,
    );
    assert.match(
      whole.out,
      /All copies that these records tell of are gone; the last was deleted at 2026-01-05T12:08:00\.000Z by admin@example\.org\./,
    );
  });

  test("without the digest's salt still tells when it came and went, and nothing of what it was", async () => {
    const { message: _, ...proof } = await proofOf([40, 60, 70, 80]);
    const ran = prove(proof);
    assert.equal(ran.code, 0);
    assert.match(ran.out, /What the message said is not shown/);
    refused(prove(proof, "--message", messageFile), /cannot be shown any more/);
  });

  test("refuses a message of which one octet is another, also when head and content are shifted", async () => {
    const proof = await proofOf([40]);
    for (let round = 0; round < 8; round += 1) {
      const octets = readFileSync(messageFile);
      const at = pick(random, octets.length);
      octets[at] = (octets[at] ?? 0) ^ (1 << pick(random, 8));
      refused(
        prove(proof, "--message", written(octets)),
        /is not that message, or was changed since/,
      );
    }
    refused(prove(proof, "--message", written(content)), /is not that message/);
    refused(
      prove(
        { ...proof, message: { ...opened, headBytes: head.length + 1 } },
        "--message",
        messageFile,
      ),
      /is not that message/,
    );
    refused(
      prove({ ...proof, message: { ...opened, contentHash: hexOf(32) } }),
      /hashes are not those that were recorded/,
    );
  });

  test("refuses a proof of which anything is another", async () => {
    const proof = await proofOf([40, 60, 70]);
    const [first, ...rest] = proof.leaves;
    assert.ok(first?.statement);
    const withFirst = (change: object) => ({
      ...proof,
      leaves: [{ ...first, ...change }, ...rest],
    });
    const cases: readonly (readonly [object, RegExp])[] = [
      [withFirst({ index: 40 }), /Record 41 is not in the ledger/],
      [withFirst({ index: 300 }), /is not below the head/],
      [withFirst({ index: -1 }), /is not whole/],
      [withFirst({ kind: 6 }), /Record 40 is not in the ledger/],
      [withFirst({ sealedHash: hexOf(32) }), /Record 40 is not in the ledger/],
      [withFirst({ commitment: hexOf(32) }), /Record 40 is not in the ledger/],
      [withFirst({ path: first.path.slice(1) }), /Record 40 is not in the ledger/],
      [withFirst({ path: [...first.path, first.path[0]] }), /Record 40 is not in the ledger/],
      [withFirst({ path: first.path.toReversed() }), /Record 40 is not in the ledger/],
      [withFirst({ path: ["zz"] }), /is not whole/],
      [
        withFirst({ statement: first.statement.replace("acc-ana", "acc-eve") }),
        /not the one that was committed to/,
      ],
      [withFirst({ statement: undefined }), /not the one that was committed to/],
      [{ ...proof, leaves: proof.leaves.toReversed() }, /not in order/],
      [{ ...proof, leaves: [first, first] }, /not in order/],
      [{ ...proof, leaves: rest }, /no record of a message that came/],
      [{ ...proof, leaves: [] }, /is no proof/],
      [{ ...proof, note: noteOf(200) }, /Record 40 is not in the ledger/],
      [{ ...proof, note: noteOf(300).replace("\n300\n", "\n301\n") }, /signature is false/],
      [{ ...proof, note: 5 }, /is no tree head/],
      [{ ...proof, earlier: "x" }, /is no tree head/],
      [{ ...proof, format: "x" }, /is no proof/],
    ];
    for (const [change, why] of cases) refused(prove(change), why);
  });

  test("refuses a statement that could be read in two ways", async () => {
    const twice = (statement: string): TinyLedger =>
      withRecords(all.with(39, { ...(all[39] as TinyRecord), statement }));
    const plain = (all[39] as TinyRecord).statement ?? "";
    for (const statement of [
      plain.replace('"v":1', '"v":1,"v":1'),
      plain.replace('"v":1', '"v": 1'),
      plain.replace('"seq":40', '"seq":41'),
      plain.replace("accepted", "appended"),
      "null",
      "[".repeat(50_000),
      "{",
    ]) {
      const ledger = twice(statement);
      const text = textOf({ ledger, size: 300 });
      const note = cosignedByOther(text, clock.nowMs());
      refused(
        prove(await proofOf([40], { ledger, note })),
        /Record 40: the statement is not (one of this record|JSON)/,
      );
    }
  });

  test("on a Node without ML-DSA says so, and is no success unless asked for Ed25519 alone", async (t) => {
    const old = "/usr/bin/node";
    const major = ((): number => {
      try {
        return Number(
          execFileSync(old, ["-p", "process.versions.node"], { encoding: "utf8" }).split(".")[0],
        );
      } catch {
        return 0;
      }
    })();
    if (major < 20 || major >= 24) return t.skip("needs a Node 20 or 22 beside the own one");
    const args = ["proof", written(JSON.stringify(await proofOf([40]))), "--log-keys", keysFile];
    const strict = run(args, old);
    assert.equal(strict.code, 69, strict.out + strict.err);
    assert.match(strict.out, /signed by the log \(Ed25519\)/);
    assert.match(
      strict.out,
      /ML-DSA-65 was NOT checked: Node v2\d.* The Ed25519 signatures hold\./,
    );
    assert.equal(run([...args, "--classical"], old).code, 0);
    const store = ["store", stored(honest), "--head", written(noteOf(300)), "--log-keys", keysFile];
    assert.match(
      run([...store, "--classical"], old).out,
      /300 records, tree of the head reproduced/,
    );
    // A missing signature stays missing, whatever this Node can check.
    const without = noteOf(300).split("\n");
    const proof = { ...(await proofOf([40])), note: without.toSpliced(8, 1).join("\n") };
    const half = ["proof", written(JSON.stringify(proof)), "--log-keys", keysFile, "--classical"];
    assert.equal(run(half, old).code, 1);
  });

  test("imports nothing but Node, and runs from anywhere", async () => {
    const text = readFileSync(program, "utf8");
    const imports = [...text.matchAll(/from "([^"]+)"/g)].map(([, name]) => name ?? "");
    assert.ok(imports.length > 3 && imports.every((name) => name.startsWith("node:")));
    const alone = mkdtempSync(join(folder, "alone-"));
    cpSync(program, join(alone, "v.mjs"));
    const file = written(JSON.stringify(await proofOf([40])));
    const args = [join(alone, "v.mjs"), "proof", file, "--log-keys", keysFile];
    assert.equal(spawnSync(process.execPath, args, { cwd: alone }).status, 0);
  });

  test("agrees with the check by hand in docs/witness.md", async () => {
    const page = readFileSync(join(application, "docs/witness.md"), "utf8");
    const blocks = [...page.matchAll(/(?:^ {4}.*\n|^\n)+/gm)].map(([block]) =>
      block.replaceAll(/^ {4}/gm, ""),
    );
    const byHand = (word: string): string => blocks.find((block) => block.includes(word)) ?? "";
    const place = mkdtempSync(join(folder, "by-hand-"));
    writeFileSync(join(place, "FILE.json"), JSON.stringify(await proofOf([40, 60, 61])));
    writeFileSync(join(place, "note"), noteOf(300));
    const shell = (script: string): string =>
      execFileSync("bash", ["-euc", script], { cwd: place, encoding: "utf8" });
    const roots = shell(byHand("python3 -")).trim().split("\n");
    const root = treeOf(honest).rootAt(300).toString("base64");
    assert.deepEqual(
      roots.map((line) => line.split(" ")[0]),
      [root, root, root],
    );
    const key = formatNoteKey((log[0] as Pair)[0]);
    const script = byHand("openssl pkeyutl").replace("NAME+ID+BASE64", key);
    assert.match(shell(script), /^Signature Verified Successfully\n$/);
  });

  test("reads damaged proofs without falling over", async () => {
    const good = JSON.stringify(await proofOf([40, 60]));
    const pieces = ['"', "}", "null", "[]", "-1", "1e99", "{}", "\\u0000", "\u00e9", ","];
    for (let round = 0; round < 25; round += 1) {
      const at = pick(random, good.length);
      const piece = pieces[pick(random, pieces.length)] as string;
      const file = written(good.slice(0, at) + piece + good.slice(at + pick(random, 6)));
      const ran = run(["proof", file, "--log-keys", keysFile]);
      assert.equal(ran.err, "", good.slice(at - 20, at + 20));
      assert.ok(ran.code === 0 || ran.code === 1);
    }
  });
});
