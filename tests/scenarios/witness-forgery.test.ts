import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, type TestContext, test } from "node:test";
import { type Clock, systemClock } from "#base/clock";
import { realDisk } from "#base/disk";
import { systemRandom } from "#base/random";
import { formatWitnessRequest, type HeadSource, parseWitnessAnswer } from "#contracts/witness";
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
import { type OpenStore, openStore, verifyStore } from "#store";
import { openLog } from "../../src/keys/custody/log/log-keys.ts";
import type { ContentRecord } from "../../src/store/content-records.ts";
import {
  acceptMail,
  account,
  fixedMaster,
  head,
  mail,
  mailboxNamed,
  messageId,
} from "../../src/store/fixture.ts";
import { headerOf, pageBytes, sealPage } from "../../src/store/pages.ts";
import type { LedgerRecord } from "../../src/store/records.ts";
import { segmentName } from "../../src/store/segments.ts";
import { holds, refused, type Verified, verify } from "../kit/auditor.ts";
import {
  closed,
  layDown,
  type OwnedRecord,
  type OwnedStore,
  ownStore,
  recordsIn,
  renamed,
  treeOf,
  withRecords,
} from "../kit/forger.ts";

/**
 * Issue 3, row G2, on a real store: whoever forges has all files, all keys of the store, and the keys
 * of the log. What he leaves opens without complaint; the witness and the verifier are not his.
 */

const folder = mkdtempSync(join(tmpdir(), "forgery-"));
after(() => rmSync(folder, { recursive: true }));
let made = 0;
const fresh = (what: string): string => join(folder, `${what}-${(made += 1)}`);
const hourMs = 3_600_000;

// --- The store as it was, twice: on an early day, and when it was stopped. ---

const early = join(folder, "early");
const late = join(folder, "late");

function openAt(directory: string, clock: Clock = systemClock): Promise<OpenStore> {
  const parts = { disk: realDisk, clock, random: systemRandom, directory, master: fixedMaster };
  const sizes = { segmentBytes: 256 * 1024, reserveBytes: 32 * 1024, inlineBytes: 64 * 1024 };
  return openStore({
    ...parts,
    ...sizes,
    indexPath: join(directory, "index.sqlite"),
    minFreeBytes: 0,
  });
}

async function accept(store: OpenStore, numbers: readonly number[], clock = systemClock) {
  for (const number of numbers) {
    const octets = mail(`mail ${number}`, 3000);
    await acceptMail(store, number, octets, { acceptedAtMs: clock.nowMs() });
  }
}

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** What is deleted, moved and left alone afterwards is told by the UIDs: the n-th mail has UID n. */
async function firstDays(store: OpenStore): Promise<void> {
  const person = { id: account, address: "alice@example.org", displayName: "Alice" };
  await store.people.putAccount({ ...person, createdAtMs: 1 }, "test");
  await accept(store, numbers(1, 40));
}

async function laterDays(store: OpenStore): Promise<void> {
  const inbox = await mailboxNamed(store, "INBOX");
  const archive = await mailboxNamed(store, "Archive");
  await accept(store, numbers(41, 120));
  await store.mailboxes.setFlags(inbox, [{ from: 1, to: 9 }], { mode: "add", flags: ["\\Seen"] });
  await store.mailboxes.copy(inbox, [{ from: 10, to: 12 }], archive, "move");
  await store.mailboxes.expunge(inbox, [{ from: 20, to: 24 }], "any");
  await store.mailboxes.expunge(inbox, [{ from: 30, to: 30 }], "any", "admin@example.org");
  await accept(store, numbers(121, 160));
}

// --- The log, whose keys are stolen; the witness, whose keys are not. ---

const logFolder = join(folder, "log");
const witnessFolder = join(folder, "witness");
const keysFile = join(folder, "keys.json");
let log: readonly (readonly [NoteKey, KeyObject])[] = [];
let origin = "";
let witness: Witness;
let witnessKeys: readonly NoteKey[] = [];
let notes: Readonly<Record<"early" | "late", string>>;
let leavesFile = "";
let honest: OwnedStore;
/** Records below the last cosigned head. */
let seen = 0;

interface HeadOf {
  readonly tree: HeadSource;
  readonly storeId: string;
  readonly timeMs?: number;
}

function signedHead({ tree, storeId, timeMs = systemClock.nowMs() }: HeadOf) {
  const text = formatHead({ origin, ...tree.head(), timeMs, storeId });
  return { text, signatures: log.map(([key, secret]) => signHead(text, key, secret)) };
}

/** The witness's answer to a head that bears the log's genuine signatures: a word, or a note. */
async function ask(of: HeadOf, oldSize = seen): Promise<string> {
  const head = signedHead(of);
  const { size } = of.tree.head();
  const proof = oldSize <= size ? await of.tree.consistency(oldSize, size) : [];
  const request = formatWitnessRequest({ note: formatNote(head), oldSize, proof });
  const answer = parseWitnessAnswer((await witness.cosign(request)).answer);
  assert.ok(answer);
  witnessKeys = answer.keys;
  if ("refused" in answer) return answer.refused;
  const added = parseSignatures(answer.cosignatures);
  assert.ok(added.ok);
  return formatNote({ ...head, signatures: [...head.signatures, ...added.value] });
}

const witnessIn = (directory: string): Promise<Witness> => {
  const logKeys = log.map(([key]) => key);
  const name = "mx.example.org/witness";
  return openWitness({ folder: directory, name, logKeys: () => logKeys, clock: systemClock });
};

before(async () => {
  origin = (await openLog(logFolder, "mail.example.org")).keys.name;
  log = (["ed25519", "ml-dsa-65"] as const).map((algorithm) => {
    const secret = createPrivateKey(readFileSync(join(logFolder, `${algorithm}.pem`)));
    return [noteKey(origin, algorithm, secret), secret];
  });
  mkdirSync(witnessFolder);
  witness = await witnessIn(witnessFolder);
  const cosigned = async (work: (store: OpenStore) => Promise<void>): Promise<string> => {
    await using store = await openAt(late);
    await work(store);
    const note = await ask({ tree: store.history, storeId: store.storeId });
    seen = store.history.head().size;
    return note;
  };
  const first = await cosigned(firstDays);
  cpSync(late, early, { recursive: true });
  notes = { early: first, late: await cosigned(laterDays) };
  await witness.close();
  honest = await ownStore(late);
  leavesFile = fresh("leaves");
  writeFileSync(leavesFile, Buffer.concat(treeOf(honest).leaves.slice(0, seen)));
  const lines = (keys: readonly NoteKey[]): string[] => keys.map(formatNoteKey);
  const keys = { log: lines(log.map(([key]) => key)), witnesses: [lines(witnessKeys)] };
  writeFileSync(keysFile, JSON.stringify({ format: "postern-keys-1", ...keys }));
});

/** Each fraud finds the witness as the last honest head left it. */
beforeEach(async () => {
  const copy = fresh("witness");
  cpSync(witnessFolder, copy, { recursive: true });
  witness = await witnessIn(copy);
});
afterEach(() => witness.close());

// --- What is checked of each. ---

function note(text: string): string {
  const path = fresh("note");
  writeFileSync(path, text);
  return path;
}

/** By the auditor, from the witness's own file unless another head is given. */
function check(directory: string, ...more: string[]): Verified {
  const head = more.includes("--head") ? [] : ["--head", join(witnessFolder, "witness.head")];
  return verify(["store", directory, ...head, "--log-keys", keysFile, ...more]);
}

function copyOf(from: string): string {
  const directory = fresh("store");
  cpSync(from, directory, { recursive: true });
  return directory;
}

/** The forged ledger in a store's folder; the store itself finds nothing wrong with it. */
async function laid(store: OwnedStore): Promise<string> {
  const directory = copyOf(late);
  layDown(directory, store);
  await assertOpens(directory);
  return directory;
}

/** Opening makes what was removed anew: views, parity, and the second copy. */
async function assertOpens(directory: string): Promise<void> {
  await (await openAt(directory))[Symbol.asyncDispose]();
  assert.deepEqual((await verifyStore(realDisk, directory, fixedMaster)).damages, []);
}

const idOf = ({ storeId }: OwnedStore): string => storeId.toString("hex");

async function answerTo(store: OwnedStore): Promise<string> {
  return ask({ tree: treeOf(store), storeId: idOf(store) });
}

/** The first record of the kind that fits. */
function find<Kind extends LedgerRecord["kind"]>(
  kind: Kind,
  fits: (record: Extract<LedgerRecord, { kind: Kind }>) => boolean = () => true,
): OwnedRecord & { readonly record: Extract<LedgerRecord, { kind: Kind }> } {
  type Found = OwnedRecord & { readonly record: Extract<LedgerRecord, { kind: Kind }> };
  const isFound = (one: OwnedRecord): one is Found =>
    one.record.kind === kind && fits(one.record as Found["record"]);
  return recordsIn(honest).find(isFound) ?? assert.fail(kind);
}

function changed(record: LedgerRecord, at: OwnedRecord): OwnedStore {
  const all = recordsIn(honest);
  return withRecords(honest, all.with(at.lsn - 1, closed(honest.keys, { ...at, record })));
}

/** Both ways to check, and what the witness says to the head that would cover it up. */
async function found(
  t: TestContext,
  store: OwnedStore,
  {
    first,
    why = /Among the first \d+ records something was changed: their tree is another/,
  }: {
    readonly first?: number;
    readonly why?: RegExp;
  },
): Promise<string> {
  const directory = await laid(store);
  t.diagnostic(refused(check(directory), why));
  if (first !== undefined) {
    const place = `segment-0000000\\d, batch at page \\d+`;
    const named = new RegExp(`first record that was changed is record ${first} \\(${place}\\)`);
    t.diagnostic(refused(check(directory, "--leaves", leavesFile), named));
  }
  return directory;
}

describe("fourteen manipulations of a stopped store, by who has all its keys", () => {
  test("none: it is as the witness saw it, in several segments", async () => {
    const sound = /records, tree of the head reproduced; 1 more came since\./;
    holds(check(late), sound);
    holds(check(late, "--leaves", leavesFile), sound);
    holds(check(late, "--head", note(notes.early)), /reproduced; \d+ more came since\./);
    const names = readdirSync(late).join();
    for (const kind of [/segment-00000004/, /parity-00000001/, /tail-/]) assert.match(names, kind);
    await assertOpens(copyOf(late));
    // What the forger lays out is what the store would have: the way back is the same ledger.
    const directory = copyOf(late);
    layDown(directory, honest);
    holds(check(directory), sound);
  });

  test("1 edit: when a message came, and who deleted one", async (t) => {
    const one = find("accepted", ({ id }) => id === messageId(60));
    const forged = changed({ ...one.record, acceptedAtMs: one.record.acceptedAtMs - hourMs }, one);
    await found(t, forged, { first: one.lsn });
    assert.equal(await answerTo(forged), "fork");
    const act = find("expunged", ({ by }) => by === "admin@example.org");
    const { by: _, ...byOwner } = act.record;
    const blamed = changed(byOwner, act);
    await found(t, blamed, { first: act.lsn });
    assert.equal(await answerTo(blamed), "fork");
  });

  test("2 delete: a deletion that never was, the rest moved up", async (t) => {
    const { lsn } = find("expunged", ({ by }) => by === undefined);
    const without = withRecords(honest, recordsIn(honest).toSpliced(lsn - 1, 1));
    await found(t, without, { first: lsn });
    assert.equal(await answerTo(without), "fork");
    const left = honest.batches.map((batch) => batch.filter((one) => one.lsn !== lsn));
    const directory = copyOf(late);
    layDown(directory, { ...honest, batches: left });
    const gap = new RegExp(`record ${lsn + 1} stands where record ${lsn} should`);
    t.diagnostic(refused(check(directory), gap));
  });

  test("3 insert: a reading by somebody else that never was", async (t) => {
    const record: LedgerRecord = {
      ...{ kind: "read-by-other", account, message: messageId(3), reason: "slander" },
      ...{ by: "admin@example.org", atMs: systemClock.nowMs() },
    };
    const { lsn } = find("accepted", ({ id }) => id === messageId(100));
    const one = closed(honest.keys, { record, lsn: lsn + 1, blob: Buffer.alloc(0) });
    const forged = withRecords(honest, recordsIn(honest).toSpliced(lsn, 0, one));
    await found(t, forged, { first: lsn + 1 });
    assert.equal(await answerTo(forged), "fork");
  });

  test("4 reorder: two deletions exchanged", async (t) => {
    const one = find("expunged", ({ by }) => by === undefined);
    const other = find("expunged", ({ by }) => by !== undefined);
    const all = recordsIn(honest)
      .with(one.lsn - 1, other)
      .with(other.lsn - 1, one);
    const forged = withRecords(honest, all);
    await found(t, forged, { first: one.lsn });
    assert.equal(await answerTo(forged), "fork");
  });

  test("5 cut the tail: the last day gone without a trace", async (t) => {
    const cut = { ...honest, batches: honest.batches.slice(0, -45) };
    await found(t, cut, { why: /There are \d+ records; the witness saw \d+: \d+ are missing/ });
    assert.equal(await answerTo(cut), "rolled-back");
  });

  test("6 fork: the store goes on from an early copy, and further", async (t) => {
    const directory = copyOf(early);
    {
      await using store = await openAt(directory);
      await accept(store, numbers(200, 330));
      assert.ok(store.history.head().size > seen);
      assert.equal(await ask({ tree: store.history, storeId: store.storeId }), "fork");
    }
    t.diagnostic(refused(check(directory), /something was changed: their tree is another/));
    t.diagnostic(
      refused(check(directory, "--leaves", leavesFile), /first record that was changed/),
    );
    assert.deepEqual((await verifyStore(realDisk, directory, fixedMaster)).damages, []);
  });

  test("7 roll back the whole disk", async (t) => {
    t.diagnostic(
      refused(check(early), /There are \d+ records; the witness saw \d+: \d+ are missing/),
    );
    const forged = await ownStore(early);
    assert.equal(await answerTo(forged), "rolled-back");
  });

  test("8 clock back: a message dated before a head that does not have it", async (t) => {
    const directory = copyOf(late);
    const yesterday: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() - 24 * hourMs };
    await using store = await openAt(directory, yesterday);
    await accept(store, [200], yesterday);
    const of = { tree: store.history, storeId: store.storeId };
    assert.equal(await ask({ ...of, timeMs: yesterday.nowMs() }), "time-went-back");
    // With the right time in the head alone: the record's own is shown to be false.
    const head = await ask(of);
    const proof = await store.prove(messageId(200), store.history.head().size);
    const path = fresh("proof");
    const whole = { format: "postern-proof-1", note: head, earlier: notes.late, ...proof };
    writeFileSync(path, JSON.stringify(whole));
    const ran = verify(["proof", path, "--log-keys", keysFile]);
    t.diagnostic(
      refused(ran, /but the witness saw the ledger without it at \S+: it is dated back/),
    );
  });

  test("9 re-sign: another past under the log's stolen keys", async (t) => {
    const one = find("accepted", ({ id }) => id === messageId(60));
    const forged = changed({ ...one.record, acceptedAtMs: one.record.acceptedAtMs - hourMs }, one);
    const directory = await laid(forged);
    const head = signedHead({ tree: treeOf(forged), storeId: idOf(forged) });
    const by = (lines: readonly NoteSignature[]): string[] => {
      const text = formatNote({ ...head, signatures: [...head.signatures, ...lines] });
      return ["--head", note(text)];
    };
    t.diagnostic(refused(check(directory, ...by([])), /is not cosigned by a witness you trust/));
    const genuine = witnessLines(notes.late);
    t.diagnostic(
      refused(check(directory, ...by(genuine)), /cosigned .*the Ed25519 signature is false/),
    );
    assert.equal(await answerTo(forged), "fork");
  });

  test("10 swap two segments, as files, as pages, and as records", async (t) => {
    const directory = copyOf(late);
    const paths = [2, 3].map((number) => join(directory, segmentName(number)));
    const [one = "", other = ""] = paths;
    renameSync(one, `${one}.away`);
    renameSync(other, one);
    renameSync(`${one}.away`, other);
    t.diagnostic(
      refused(check(directory), /page 0 belongs elsewhere: to segment-00000003, page 0/),
    );
    for (const [index, path] of paths.entries()) refit(path, index + 2);
    t.diagnostic(refused(check(directory), /is of batch \d+, where batch \d+ should stand/));
    const batches = [...honest.batches];
    const swapped = [...batches.splice(80, 20), ...batches.splice(60, 20)];
    const turned = { ...honest, batches: batches.toSpliced(60, 0, ...swapped) };
    layDown(directory, turned);
    t.diagnostic(refused(check(directory), /record \d+ stands where record \d+ should/));
    const renumbered = withRecords(turned, recordsIn(turned));
    layDown(directory, renumbered);
    t.diagnostic(refused(check(directory), /something was changed: their tree is another/));
    assert.equal(await answerTo(renumbered), "fork");
  });

  test("11 replace the store id, in keys, records, pages and head", async (t) => {
    const directory = copyOf(late);
    const other = await renamed(honest, directory, Buffer.alloc(8, 0xee));
    layDown(directory, other);
    await assertOpens(directory);
    t.diagnostic(refused(check(directory), /page 0 belongs to another store, eeeeeeeeeeeeeeee/));
    const text = formatNote(signedHead({ tree: treeOf(other), storeId: idOf(other) }));
    t.diagnostic(refused(check(directory, "--head", note(text)), /is not cosigned by a witness/));
    assert.equal(await answerTo(other), "other-log");
  });

  test("12 replay an old head for a store that was cut to it", async (t) => {
    // The old head is genuine: what shows the fraud is the witness's own last one, or its age.
    const old = ["--head", note(notes.early)];
    holds(check(early, ...old), /tree of the head reproduced/);
    t.diagnostic(
      refused(check(early, ...old, "--max-age", "0.00001"), /The head is too old: it was/),
    );
    t.diagnostic(refused(check(early), /There are \d+ records; the witness saw \d+/));
    assert.equal(await answerTo(await ownStore(early)), "rolled-back");
  });

  test("13 drop the cosignature, whole or by half", (t) => {
    const lines = notes.late.split("\n");
    const own = lines.filter((line) => line.includes("mx.example.org/witness"));
    const without = (gone: readonly string[]): string[] => {
      return ["--head", note(lines.filter((line) => !gone.includes(line)).join("\n"))];
    };
    const [classic = "", quantum = ""] = own;
    t.diagnostic(refused(check(late, ...without(own)), /not cosigned .* with Ed25519/));
    t.diagnostic(refused(check(late, ...without([classic])), /not cosigned .* with Ed25519/));
    t.diagnostic(refused(check(late, ...without([quantum])), /not cosigned .* with ML-DSA-65/));
  });

  test("14 forge the cosignature: other keys, another text, another time", async (t) => {
    const head = signedHead({ tree: treeOf(honest), storeId: idOf(honest) });
    const name = "mx.example.org/witness";
    const timeS = Math.floor(systemClock.nowMs() / 1000);
    const secrets = [
      generateKeyPairSync("ed25519").privateKey,
      generateKeyPairSync("ml-dsa-65").privateKey,
    ];
    const forged = (["ed25519-cosignature", "ml-dsa-65-cosignature"] as const).map(
      (algorithm, index) => {
        const secret = secrets[index] ?? assert.fail();
        return cosignHead(head.text, timeS, noteKey(name, algorithm, secret), secret);
      },
    );
    const by = (more: readonly NoteSignature[], { text, signatures } = head): Verified =>
      check(late, "--head", note(formatNote({ text, signatures: [...signatures, ...more] })));
    t.diagnostic(refused(by(forged), /is not cosigned by a witness you trust with Ed25519/));
    const named = forged.map((one, at) => ({ ...one, keyId: witnessKeys[at]?.id ?? "" }));
    t.diagnostic(refused(by(named), /the Ed25519 signature is false/));
    t.diagnostic(refused(by(witnessLines(notes.late)), /the Ed25519 signature is false/));
    const dated = witnessLines(notes.late).map((one) => {
      const signature = Buffer.from(one.signature);
      signature.writeBigUInt64BE(BigInt(timeS + 600));
      return { ...one, signature };
    });
    const text = notes.late.slice(0, notes.late.indexOf("\n\n") + 1);
    const signatures = log.map(([key, secret]) => signHead(text, key, secret));
    t.diagnostic(refused(by(dated, { text, signatures }), /the Ed25519 signature is false/));
  });
});

describe("what no leaf covers", () => {
  test("octets exchanged under a message's own key: its proof refuses them, as does the store", async () => {
    const { record } = find("accepted", ({ id }) => id === messageId(60));
    const content = find("content", ({ id }) => id === record.content);
    const blob = encrypted(content.record, mail("mail 6O", 3000));
    const all = recordsIn(honest).with(content.lsn - 1, { ...content, blob });
    const directory = copyOf(late);
    layDown(directory, withRecords(honest, all));
    holds(check(directory), /tree of the head reproduced/);
    const [damage, ...more] = (await verifyStore(realDisk, directory, fixedMaster)).damages;
    assert.deepEqual([damage?.what, damage?.messages], ["content", [messageId(60)]]);
    assert.deepEqual(more, []);

    await using store = await openAt(directory);
    const proof = await store.prove(messageId(60), seen);
    const path = fresh("proof");
    const whole = { format: "postern-proof-1", note: notes.late, ...proof };
    writeFileSync(path, JSON.stringify(whole));
    const withMessage = (octets: Buffer): Verified => {
      const message = note(Buffer.concat([head, octets]).toString());
      return verify(["proof", path, "--log-keys", keysFile, "--message", message]);
    };
    holds(withMessage(mail("mail 60", 3000)), /it was not changed since/);
    refused(withMessage(mail("mail 6O", 3000)), /is not that message, or was changed since/);
  });

  function encrypted({ epoch, keys: sealed }: ContentRecord, octets: Buffer): Buffer {
    const { keys } = honest;
    const own = find("holder-key", ({ holder }) => holder === account).record;
    const holderKey = keys.openHolderKey(own.epoch, account, own.sealed) ?? assert.fail();
    const [, wrapped] = sealed.find(([holder]) => holder === account) ?? assert.fail();
    const secret = keys.openContentKey(epoch, holderKey, wrapped) ?? assert.fail();
    return Buffer.concat(keys.cipher.encrypt(secret.key, Buffer.alloc(12), [octets]));
  }
});

function witnessLines(text: string): readonly NoteSignature[] {
  const read = parseSignatures(text.slice(text.indexOf("\n\n") + 2));
  assert.ok(read.ok);
  return read.value.filter(({ name }) => name.endsWith("/witness"));
}

/** Makes every page of a segment's file one of another segment. */
function refit(path: string, segment: number): void {
  const octets = readFileSync(path);
  for (let at = 0; at < octets.length; at += pageBytes) {
    const page = octets.subarray(at, at + pageBytes);
    if (page.readUInt32LE(0) === 0) continue;
    sealPage(page, honest.storeId, { ...headerOf(page), segment });
  }
  writeFileSync(path, octets);
}
