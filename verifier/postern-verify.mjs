#!/usr/bin/env node
/* oxlint-disable max-lines -- one file on purpose: whoever checks can read it and carry it away */
// postern-verify: checks what a Postern ledger claims about its past, and trusts nothing of it.
//
//   postern-verify proof FILE.json --log-keys KEYS.json [--message FILE.eml]
//   postern-verify store DIRECTORY --head NOTE --log-keys KEYS.json [--leaves FILE]
//   both: [--max-age HOURS] [--classical]
//
// One file, Node 20 or later and nothing else; written from docs/witness.md and docs/store-format.md
// alone, so that a mistake in the ledger's own code is not repeated here. ML-DSA-65 (FIPS 204) needs
// Node 24.7 or later: without it the result says so and is no success, unless --classical asks for
// Ed25519 alone. Exit codes: 0 holds, 1 does not, 64 usage, 66 a file cannot be read, 69 this Node
// cannot check all signatures.

import * as crypto from "node:crypto";
import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import * as zlib from "node:zlib";

/** What is claimed does not hold. */
class Wrong extends Error {}
/** Nothing was checked: the command or a file is not as it should be. */
class Cannot extends Error {
  constructor(message, exitCode) {
    super(message);
    this.exitCode = exitCode;
  }
}

const say = (text) => process.stdout.write(`${text}\n`);
/** All in one call where this Node has it, at half the price; most of the work is this. */
const hashOf = crypto.hash
  ? (octets) => crypto.hash("sha256", octets, "buffer")
  : (octets) => crypto.createHash("sha256").update(octets).digest();
const sha256 = (...parts) => hashOf(parts.length === 1 ? parts[0] : Buffer.concat(parts));
/** Text of others on its way to a terminal. */
const shown = (text) =>
  String(text)
    .replace(/[^\x20-\x7e]/g, "?")
    .slice(0, 200);
const isHex = (text, bytes) =>
  typeof text === "string" && new RegExp(`^[0-9a-f]{${bytes * 2}}$`).test(text);
const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
/** What a Date cannot hold is shown as the number it is. */
const moment = (ms) => (Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : `${ms} ms`);

function file(path) {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Cannot(`${path}: cannot be read (${error.code ?? error.message})`, 66);
  }
}

function jsonFile(path) {
  try {
    return JSON.parse(file(path).toString("utf8"));
  } catch (error) {
    throw error instanceof Cannot ? error : new Wrong(`${path}: is not JSON`);
  }
}

// --- The tree (RFC 6962 §2.1) ---------------------------------------------------------------------

const nodeOctets = Buffer.alloc(65, 1);
function nodeOf(left, right) {
  nodeOctets.set(left, 1);
  nodeOctets.set(right, 33);
  return hashOf(nodeOctets);
}

/** docs/witness.md, "Leaves". */
const leafOctets = Buffer.alloc(75);
function leafOf(lsn, kind, commitment, sealedHash) {
  leafOctets.writeUIntLE(lsn, 1, 6);
  leafOctets.writeUInt16LE(kind, 9);
  leafOctets.set(commitment, 11);
  leafOctets.set(sealedHash, 43);
  return hashOf(leafOctets);
}

/** Roots of complete subtrees, the largest first: [leaves, root]. */
class Tree {
  size = 0;
  #roots = [];

  add(leaf) {
    let one = [1, leaf];
    while (this.#roots.at(-1)?.[0] === one[0]) {
      one = [one[0] * 2, nodeOf(this.#roots.pop()[1], one[1])];
    }
    this.#roots.push(one);
    this.size += 1;
  }

  root() {
    if (this.size === 0) return sha256();
    return this.#roots.map(([, root]) => root).reduceRight((right, left) => nodeOf(left, right));
  }
}

/** The root that a leaf and its audit path lead to (§2.1.1, read backwards), or undefined. */
function rootBy(index, size, leaf, path) {
  if (size === 1) return path.length === 0 ? leaf : undefined;
  const last = path.at(-1);
  if (last === undefined) return undefined;
  let left = 1;
  while (left * 2 < size) left *= 2;
  const rest = path.slice(0, -1);
  const inLeft = index < left;
  const side = inLeft
    ? rootBy(index, left, leaf, rest)
    : rootBy(index - left, size - left, leaf, rest);
  return side && (inLeft ? nodeOf(side, last) : nodeOf(last, side));
}

// --- Heads and who signed them --------------------------------------------------------------------

const algorithms = [
  { word: "Ed25519", role: "log", type: Buffer.of(1), keyBytes: 32 },
  { word: "ML-DSA-65", role: "log", type: longType("postern/ml-dsa-65/v1"), keyBytes: 1952 },
  { word: "Ed25519", role: "witness", type: Buffer.of(4), keyBytes: 32 },
  {
    word: "ML-DSA-65",
    role: "witness",
    type: longType("postern/ml-dsa-65-cosignature/v1"),
    keyBytes: 1952,
  },
];
/** DER before the raw key (RFC 8410, RFC 9881). */
const derBefore = {
  Ed25519: Buffer.from("302a300506032b6570032100", "hex"),
  "ML-DSA-65": Buffer.from("308207b2300b0609608648016503040312038207a100", "hex"),
};
const canMlDsa = (() => {
  try {
    return crypto.generateKeyPairSync("ml-dsa-65") !== undefined;
  } catch {
    return false;
  }
})();

function longType(name) {
  return Buffer.concat([Buffer.of(0xff), Buffer.from(name)]);
}

function base64(text) {
  const octets = Buffer.from(text, "base64");
  return octets.toString("base64") === text ? octets : undefined;
}

/** A key as the keys file has it: NAME+ID+BASE64. */
function keyOf(line, role) {
  const [, name, id, encoded] = /^([^\s+]+)\+([0-9a-f]{8})\+([0-9A-Za-z+/=]+)$/.exec(line) ?? [];
  const octets = base64(encoded ?? "") ?? Buffer.alloc(0);
  const algorithm = algorithms.find(
    ({ type, keyBytes }) =>
      octets.length === type.length + keyBytes && octets.subarray(0, type.length).equals(type),
  );
  const right = sha256(Buffer.from(`${name}\n`), octets).toString("hex", 0, 4) === id;
  if (algorithm?.role !== role || !right) throw new Wrong(`${shown(line)}: is no key of a ${role}`);
  return { name, id, word: algorithm.word, raw: octets.subarray(algorithm.type.length) };
}

/** KEYS.json: whom to believe. It must come from elsewhere than what is checked. */
function readKeys(path) {
  const { format, log, witnesses, store } = jsonFile(path) ?? {};
  const isPair = (value) => Array.isArray(value) && value.every((line) => typeof line === "string");
  if (format !== "postern-keys-1" || !isPair(log) || !Array.isArray(witnesses)) {
    throw new Cannot(`${path}: is no file of keys (docs/witness.md)`, 64);
  }
  if (witnesses.length === 0 || !witnesses.every(isPair)) {
    throw new Cannot(`${path}: names no witness, and without one nothing is shown`, 64);
  }
  return {
    log: log.map((line) => keyOf(line, "log")),
    witnesses: witnesses.map((pair) => pair.map((line) => keyOf(line, "witness"))),
    store,
  };
}

const headLines =
  /^([^\s+]{1,255})\n(0|[1-9]\d{0,15})\n([0-9A-Za-z+/]{43}=)\ntime (0|[1-9]\d{0,15})\nstore ([0-9a-f]{16})\n$/;
const signatureLine = /^\u2014 ([^\s+]{1,255}) ([0-9A-Za-z+/]+={0,2})$/;

/** Reads a note: five lines, an empty one, a line for each signature. Nothing is believed yet. */
function parseNote(note) {
  const end = typeof note === "string" && note.length < 100_000 ? note.lastIndexOf("\n\n") : -1;
  const text = note?.slice?.(0, end + 1);
  const [, origin, size, encoded, timeMs, store] = headLines.exec(text ?? "") ?? [];
  const root = base64(encoded ?? "");
  if (end < 0 || !note.endsWith("\n") || root === undefined)
    throw new Wrong("The head is no tree head.");
  const head = { origin, size: Number(size), root, timeMs: Number(timeMs), store, text };
  if (!isCount(head.size) || !isCount(head.timeMs)) throw new Wrong("The head is no tree head.");
  const signatures = note
    .slice(end + 2, -1)
    .split("\n")
    .map((line) => {
      const [, name, signed] = signatureLine.exec(line) ?? [];
      const octets = base64(signed ?? "");
      if (!(octets?.length > 4)) throw new Wrong("A signature line of the head is none.");
      return { name, id: octets.toString("hex", 0, 4), octets: octets.subarray(4) };
    });
  return { ...head, signatures };
}

/** The note as text, or the newer of the two that a witness keeps in witness.head. */
function noteFile(path) {
  const octets = file(path);
  const places = [0, 32_768]
    .map((at) => octets.subarray(at, at + 32_768))
    .filter((place) => {
      return place.length === 32_768 && sha256(place.subarray(32)).equals(place.subarray(0, 32));
    });
  const [newest] = places.sort((a, b) => Number(b.readBigUInt64BE(32) - a.readBigUInt64BE(32)));
  if (newest === undefined) return octets.toString("utf8");
  return newest.toString("utf8", 44, 44 + newest.readUInt32BE(40));
}

/** "holds", "missing", "false", or "unchecked" where this Node cannot say. */
function stateOf(note, key, messageOf) {
  const own = note.signatures.filter(({ name, id }) => name === key.name && id === key.id);
  if (own.length === 0) return "missing";
  if (key.word === "ML-DSA-65" && !canMlDsa) return "unchecked";
  const der = Buffer.concat([derBefore[key.word], key.raw]);
  const publicKey = crypto.createPublicKey({ key: der, format: "der", type: "spki" });
  const holds = own.every(({ octets }) => {
    const { message, signature } = messageOf(octets);
    return crypto.verify(null, message, publicKey, signature);
  });
  return holds ? "holds" : "false";
}

const plain = (note) => (octets) => ({ message: Buffer.from(note.text), signature: octets });
const timed = (note) => (octets) => {
  const timeS = octets.length > 8 ? octets.readBigUInt64BE() : 0n;
  const message = Buffer.from(`cosignature/v1\ntime ${timeS}\n${note.text}`);
  return { message, signature: octets.subarray(8), timeS: Number(timeS) };
};

/** States of both algorithms; the best of several generations of keys. */
function states(note, keys, messageOf) {
  const order = ["holds", "unchecked", "false", "missing"];
  return Object.fromEntries(
    ["Ed25519", "ML-DSA-65"].map((word) => {
      const found = keys
        .filter((key) => key.word === word)
        .map((key) => stateOf(note, key, messageOf));
      return [word, order.find((state) => found.includes(state)) ?? "missing"];
    }),
  );
}

/**
 * Believes a head only when the log signed it twice and a known witness cosigned it twice.
 *
 * @returns the head, and when the witness saw it
 */
function believe(what, text, keys, options) {
  const note = parseNote(text);
  const own = keys.log.filter(({ name }) => name === note.origin);
  demand(what, "signed by the log", states(note, own, plain(note)), options);
  const found = keys.witnesses.map((pair) => ({ pair, by: states(note, pair, timed(note)) }));
  const fits = (wanted) => found.find(({ by }) => wanted(Object.values(by)));
  const best =
    fits((by) => by.every((state) => state === "holds" || state === "unchecked")) ??
    fits((by) => by.includes("false")) ??
    found[0];
  demand(what, "cosigned by a witness you trust", best.by, options);
  const seenMs = seenAt(note, best.pair);
  if (keys.store !== undefined && keys.store !== note.store) {
    throw new Wrong(`${what} is of store ${note.store}; the keys are for ${shown(keys.store)}.`);
  }
  const apart = Math.round(Math.abs(note.timeMs - seenMs) / 60_000);
  if (apart > 10) say(`Beware: the log's clock and the witness's were ${apart} minutes apart.`);
  const ageHours = (Date.now() - seenMs) / 3_600_000;
  if (options.maxAge !== undefined && ageHours > options.maxAge) {
    const age = `${moment(seenMs)}, ${Math.round(ageHours)} hours ago`;
    throw new Wrong(`${what} is too old: it was cosigned at ${age}.`);
  }
  return { ...note, seenMs, witness: best.pair[0].name };
}

/** Both cosignatures say the same time: whoever broke one algorithm cannot move it. */
function seenAt(note, pair) {
  const isOwn = ({ name, id }) => pair.some((key) => key.name === name && key.id === id);
  const times = note.signatures.filter(isOwn).map(({ octets }) => timed(note)(octets).timeS);
  if (new Set(times).size !== 1) throw new Wrong("The two cosignatures are of different times.");
  return times[0] * 1000;
}

const toleranceMs = 10 * 60 * 1000;

function demand(what, done, by, options) {
  for (const [word, state] of Object.entries(by)) {
    if (state === "missing") throw new Wrong(`${what} is not ${done} with ${word}.`);
    if (state === "false")
      throw new Wrong(`${what} is not ${done}: the ${word} signature is false.`);
    if (state === "unchecked") options.unchecked = true;
  }
}

function tellHead(head, options) {
  const by = options.unchecked ? "Ed25519" : "Ed25519 and ML-DSA-65";
  say(`The head of ${shown(head.origin)} with ${head.size} records is signed by the log (${by}).`);
  say(
    `The witness ${shown(head.witness)} saw it at ${moment(head.seenMs)}, and it continued all that it had seen before.`,
  );
}

// --- A proof about one message --------------------------------------------------------------------

/** Kinds whose statements are understood here; others are told as they are. */
const acts = {
  3: "accepted",
  6: "appended",
  7: "flags",
  8: "copied",
  9: "expunged",
  12: "mailbox-removed",
  20: "account-removed",
  27: "epoch-ended",
  32: "read-by-other",
};

/** Checks that a leaf is in the tree and says what it commits to. */
function readLeaf(leaf, head) {
  const { index, kind, commitment, sealedHash, path } = leaf ?? {};
  const name = `Record ${isCount(index) ? index + 1 : "?"}`;
  const whole = isCount(index) && isCount(kind) && kind < 65_536 && isHex(commitment, 32);
  if (
    !whole ||
    !isHex(sealedHash, 32) ||
    !Array.isArray(path) ||
    !path.every((one) => isHex(one, 32))
  ) {
    throw new Wrong(`${name} of the proof is not whole.`);
  }
  if (index >= head.size) throw new Wrong(`${name} is not below the head, which has ${head.size}.`);
  const hashed = leafOf(
    index + 1,
    kind,
    Buffer.from(commitment, "hex"),
    Buffer.from(sealedHash, "hex"),
  );
  const root = rootBy(
    index,
    head.size,
    hashed,
    path.map((one) => Buffer.from(one, "hex")),
  );
  if (!root?.equals(head.root))
    throw new Wrong(`${name} is not in the ledger: its path does not lead to the head.`);
  return { name, lsn: index + 1, kind, said: readStatement(name, leaf) };
}

function readStatement(name, { index, kind, commitment, statement }) {
  if (statement === undefined && /^0+$/.test(commitment)) return { act: "nothing" };
  if (typeof statement !== "string" || sha256(statement).toString("hex") !== commitment) {
    throw new Wrong(`${name}: the statement is not the one that was committed to.`);
  }
  let said;
  let again;
  try {
    said = JSON.parse(statement);
    again = JSON.stringify(said);
  } catch {
    throw new Wrong(`${name}: the statement is not JSON.`);
  }
  // One text, one meaning: no key twice, no other way of writing it.
  const exact = again === statement && said?.v === 1 && said.seq === index + 1;
  if (!exact || typeof said.act !== "string" || (acts[kind] ?? said.act) !== said.act) {
    throw new Wrong(`${name}: the statement is not one of this record.`);
  }
  return said;
}

const isSpans = (value) =>
  Array.isArray(value) &&
  value.every((one) => isCount(one?.[0]) && isCount(one[1]) && one[0] <= one[1]);
const covers = (spans, { from, to }) => spans.some(([first, last]) => first <= from && to <= last);
const touches = (spans, { from, to }) => spans.some(([first, last]) => first <= to && from <= last);

/** One copy of the message; its UID is known, or between two bounds. */
const placeOf = ({ account, mailbox, from, to }) =>
  `${shown(account)}, mailbox ${mailbox}, ${from === to ? `UID ${from}` : `a UID from ${from} to ${to}`}`;

/**
 * Where the copy of an entry is: copies get UIDs in order from the first on, but the spans may cover
 * UIDs that were not there any more, so without all of them the place is known within bounds only.
 */
function copyPlace(copy, { uids, firstUid, count, to }) {
  const upTo = (end) =>
    uids.reduce((sum, [first, last]) => sum + Math.max(0, Math.min(last + 1, end) - first), 0);
  const width = upTo(Infinity);
  const missing = Math.max(0, width - count);
  const [lowest, highest] = [upTo(copy.from), upTo(copy.to)];
  const from = firstUid + lowest - Math.min(missing, lowest);
  const atMost = firstUid + highest - Math.max(0, missing - (width - 1 - highest));
  return { ...copy, mailbox: to, from, to: atMost };
}

const actor = (said, account) =>
  said.by === undefined ? `the owner of ${shown(account)}` : shown(said.by);

/** What a later record does to the copies that are followed. @returns sentences */
function follow(message, { said }) {
  const told = [];
  for (const copy of [...message.copies]) {
    if (said.account !== copy.account) continue;
    if (said.act === "account-removed") told.push(gone(message, copy, said, " with its account"));
    else if (said.mailbox !== copy.mailbox) continue;
    else if (said.act === "mailbox-removed")
      told.push(gone(message, copy, said, " with its mailbox"));
    else if (isSpans(said.uids) && touches(said.uids, copy)) told.push(...act(message, copy, said));
  }
  return told;
}

function gone(message, copy, said, how) {
  const when = isCount(said.atMs) ? ` at ${moment(said.atMs)}` : "";
  message.copies.delete(copy);
  message.lastGone = `deleted${how}${when} by ${actor(said, copy.account)}`;
  return `the copy in ${placeOf(copy)} was ${message.lastGone}`;
}

/** @param said of entries among which the copy is, or may be */
function act(message, copy, said) {
  const isSure = covers(said.uids, copy);
  if (said.act === "expunged" && isSure) return [gone(message, copy, said, "")];
  if (said.act === "expunged") return [`the copy in ${placeOf(copy)} may have been deleted`];
  if (said.act !== "copied" || !isCount(said.firstUid) || !isCount(said.count)) return [];
  const [verb, isMove] = said.mode === "move" ? ["moved", true] : ["copied", false];
  if (!isSure) return [`the copy in ${placeOf(copy)} may have been ${verb}`];
  const made = copyPlace(copy, said);
  message.copies.add(made);
  if (isMove) message.copies.delete(copy);
  const when = isCount(said.atMs) ? ` at ${moment(said.atMs)}` : "";
  return [
    `the copy in ${placeOf(copy)} was ${verb} to ${placeOf(made)}${when} by ${actor(said, copy.account)}`,
  ];
}

function accepted({ name, said }) {
  const isPlace = (one) => typeof one?.[0] === "string" && isCount(one[1]) && isCount(one[2]);
  if (
    !isHex(said.digest, 32) ||
    !isCount(said.atMs) ||
    !Array.isArray(said.deliveries) ||
    !said.deliveries.every(isPlace)
  ) {
    throw new Wrong(`${name}: the statement is not one of this record.`);
  }
  const copies = said.deliveries.map(([account, mailbox, uid]) => ({
    account,
    mailbox,
    from: uid,
    to: uid,
  }));
  return { id: said.message, digest: said.digest, atMs: said.atMs, name, copies: new Set(copies) };
}

/** The record cannot be older than the last head without it, nor younger than the first with it. */
function checkTimes({ name, lsn, said }, head, earlier) {
  if (!isCount(said.atMs)) return;
  if (said.atMs > head.seenMs + toleranceMs) {
    throw new Wrong(
      `${name} says that it is of ${moment(said.atMs)}, which is after the witness saw it: that time is false.`,
    );
  }
  if (earlier !== undefined && lsn > earlier.size && said.atMs < earlier.seenMs - toleranceMs) {
    throw new Wrong(
      `${name} says that it is of ${moment(said.atMs)}, but the witness saw the ledger without it at ${moment(earlier.seenMs)}: it is dated back.`,
    );
  }
}

/** Opens the digest, and compares a message with it. */
function checkMessage(message, opened, emlPath) {
  const { salt, headBytes, headHash, contentHash } = opened ?? {};
  if (opened === undefined) {
    if (emlPath !== undefined)
      throw new Wrong(
        "The proof does not open the message's digest: what it was cannot be shown any more.",
      );
    return say("What the message said is not shown: the proof does not open its digest.");
  }
  if (!isHex(salt, 16) || !isHex(headHash, 32) || !isHex(contentHash, 32) || !isCount(headBytes)) {
    throw new Wrong("The proof's part about the message is not whole.");
  }
  const digestOf = (...hashes) => sha256(Buffer.from(salt, "hex"), ...hashes).toString("hex");
  const fromHex = [headHash, contentHash].map((one) => Buffer.from(one, "hex"));
  if (digestOf(...fromHex) !== message.digest)
    throw new Wrong("The message's hashes are not those that were recorded.");
  if (emlPath === undefined) return say(`Its content has SHA-256 ${contentHash}.`);
  const octets = file(emlPath);
  if (
    octets.length < headBytes ||
    digestOf(sha256(octets.subarray(0, headBytes)), sha256(octets.subarray(headBytes))) !==
      message.digest
  ) {
    throw new Wrong(`${emlPath} is not that message, or was changed since.`);
  }
  say(`${emlPath} is that message, octet for octet: it was not changed since.`);
}

function verifyProof(path, keys, options) {
  const proof = jsonFile(path);
  if (
    proof?.format !== "postern-proof-1" ||
    !Array.isArray(proof.leaves) ||
    proof.leaves.length === 0
  ) {
    throw new Wrong(`${path}: is no proof (docs/witness.md)`);
  }
  const head = believe("The head", proof.note, keys, options);
  tellHead(head, options);
  const anyAge = { ...options, maxAge: undefined };
  const earlier =
    proof.earlier === undefined
      ? undefined
      : believe("The earlier head", proof.earlier, keys, anyAge);
  if (
    earlier !== undefined &&
    (["origin", "store", "witness"].some((fact) => earlier[fact] !== head[fact]) ||
      earlier.size > head.size)
  ) {
    throw new Wrong("The earlier head is not one of the same ledger and witness.");
  }
  let message;
  let before = 0;
  for (const one of proof.leaves) {
    const record = readLeaf(one, head);
    if (record.lsn <= before) throw new Wrong("The records of the proof are not in order.");
    before = record.lsn;
    checkTimes(record, head, earlier);
    message = tellRecord(record, message, earlier);
  }
  if (message === undefined) throw new Wrong("The proof has no record of a message that came.");
  checkMessage(message, proof.message, options.message);
  conclude(message, head);
}

/** @returns the message that is followed from here on */
function tellRecord(record, message, earlier) {
  const { name, lsn, said } = record;
  if (said.act === "accepted" || said.act === "appended") {
    if (message !== undefined) throw new Wrong("The proof is about more than one message.");
    const made = accepted(record);
    const places = [...made.copies].map(placeOf).join("; ") || "nobody here";
    say(
      `${name} is in that ledger: message ${shown(made.id)} was ${said.act} at ${moment(made.atMs)}, for ${places}.`,
    );
    if (earlier !== undefined && lsn > earlier.size) {
      say(`It was not there yet when the witness saw the ledger at ${moment(earlier.seenMs)}.`);
    }
    return made;
  }
  const told = message === undefined ? [] : follow(message, record);
  if (told.length > 0) for (const sentence of told) say(`${name} is in that ledger: ${sentence}.`);
  else {
    const { v: _v, seq: _s, act, salt: _t, ...facts } = said;
    say(`${name} is in that ledger: ${shown(act)} ${shown(JSON.stringify(facts))}.`);
  }
  return message;
}

function conclude(message, head) {
  say("");
  say(
    `So the message exists since ${moment(message.atMs)} by the log's clock, and at the latest since ${moment(head.seenMs)} by the witness's.`,
  );
  if (message.copies.size > 0) {
    const places = [...message.copies].map(placeOf).join("; ");
    say(`No record of this proof deletes these copies: ${places}.`);
  } else if (message.lastGone !== undefined)
    say(`All copies that these records tell of are gone; the last was ${message.lastGone}.`);
  say("A proof shows what happened. It cannot show that nothing else did.");
}

// --- A whole store --------------------------------------------------------------------------------

const pageBytes = 8192;
const headerBytes = 64;
const crcTable = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});
const crc32 =
  zlib.crc32 ??
  ((octets) => {
    let crc = -1;
    for (const octet of octets) crc = crcTable[(crc ^ octet) & 255] ^ (crc >>> 8);
    return ~crc >>> 0;
  });

const nameOf = (segment) => `segment-${String(segment).padStart(8, "0")}`;

/** Pages of the segments of one store, one file open at a time. */
class Segments {
  #directory;
  #store;
  #open;
  #handle;

  constructor(directory, store) {
    this.#directory = directory;
    this.#store = store;
    try {
      const names = readdirSync(directory).filter((name) => /^segment-\d{8}$/.test(name));
      this.numbers = names.map((name) => Number(name.slice(8))).sort((a, b) => a - b);
    } catch (error) {
      throw new Cannot(`${directory}: cannot be read (${error.code})`, 66);
    }
    if (this.numbers.length === 0) throw new Cannot(`${directory}: holds no segments`, 66);
  }

  /** A page as it stands there, judged by its checksum and its place; undefined behind the end. */
  page(segment, number) {
    if (this.#open !== segment) {
      if (this.#handle !== undefined) closeSync(this.#handle);
      this.#handle = openSync(join(this.#directory, nameOf(segment)), "r");
      this.#open = segment;
    }
    const octets = Buffer.alloc(pageBytes);
    if (readSync(this.#handle, octets, 0, pageBytes, number * pageBytes) < pageBytes)
      return undefined;
    return this.#judge(octets, segment, number);
  }

  #judge(octets, segment, number) {
    const stored = octets.readUInt32LE(4);
    if (stored === 0 && octets.every((octet) => octet === 0)) return { fault: "is empty" };
    octets.writeUInt32LE(0, 4);
    if (crc32(octets) !== stored) return { fault: "is damaged: its checksum is wrong" };
    if (octets.readUInt32LE(0) !== 0x50535432 || octets.readUInt16LE(24) !== 2) {
      return { fault: "is of another version of the format", odd: true };
    }
    const store = octets.toString("hex", 32, 40);
    if (this.#store !== store)
      return { fault: `belongs to another store, ${store}`, odd: number === 0 };
    const [ownSegment, ownNumber] = [octets.readUInt32LE(40), octets.readUInt32LE(28)];
    if (ownSegment !== segment || ownNumber !== number) {
      const place = `${nameOf(ownSegment)}, page ${ownNumber}`;
      return { fault: `belongs elsewhere: to ${place}`, odd: number === 0 };
    }
    const length = Math.min(octets.readUInt16LE(44), pageBytes - headerBytes);
    return {
      first: (octets.readUInt16LE(26) & 1) !== 0,
      last: (octets.readUInt16LE(26) & 2) !== 0,
      generation: octets.readUIntLE(48, 6),
      payload: octets.subarray(headerBytes, headerBytes + length),
    };
  }

  /** The whole batch that should stand there, or what is wrong with its first wrong page. */
  batch(segment, first, generation) {
    const parts = [];
    for (let number = first; ; number += 1) {
      const page = this.page(segment, number) ?? { fault: "is missing" };
      const fault =
        page.fault ??
        (page.generation !== generation
          ? `is of batch ${page.generation}, where batch ${generation} should stand`
          : page.first !== (number === first) && "breaks its batch");
      if (fault) return { fault: `${nameOf(segment)}, page ${number} ${fault}` };
      parts.push(page.payload);
      if (page.last) return { segment, first, pages: parts.length, payload: Buffer.concat(parts) };
    }
  }

  /** Batch by batch as docs/store-format.md says under "What counts". @returns what is wrong */
  scan(take) {
    let at = { segment: this.numbers[0], page: 0 };
    for (let generation = 1; ; generation += 1) {
      let batch = this.batch(at.segment, at.page, generation);
      const { fault } = batch;
      for (const number of this.numbers.filter((one) => one > at.segment)) {
        if (batch.fault === undefined) break;
        batch = this.batch(number, 0, generation);
      }
      if (batch.fault !== undefined) {
        return this.#isEnd(at, generation) ? undefined : this.#why(at, generation, fault);
      }
      take(batch);
      at = { segment: batch.segment, page: batch.first + batch.pages };
    }
  }

  /** Unless a sound page of a later batch shows that what is missing was durable once. */
  #isEnd(at, generation) {
    for (const segment of this.numbers.filter((number) => number >= at.segment)) {
      for (let number = segment === at.segment ? at.page : 0; ; number += 1) {
        const page = this.page(segment, number);
        if (page === undefined) break;
        if (page.odd || page.generation > generation) return false;
      }
    }
    return true;
  }

  /** Where one file ends as it should, the fault is that of the next. */
  #why(at, generation, fault) {
    const lacking = this.numbers.findIndex((number, index) => number !== index + 1) + 1;
    if (lacking > 0) return `${nameOf(lacking)} is missing`;
    const next = at.segment + 1;
    const isOver = / is (empty|missing)$/.test(fault) && this.numbers.includes(next);
    return isOver ? this.batch(next, 0, generation).fault : fault;
  }
}

/** Calls with the number, place and leaf of each record of a batch. */
function recordsOf({ payload, segment, first }, take) {
  for (let at = 0; at < payload.length; ) {
    const place = `${nameOf(segment)}, batch at page ${first}`;
    const region = at + 24 <= payload.length ? payload.readUInt32LE(at) : 0;
    const end = region >= 60 ? at + 24 + region + payload.readUInt32LE(at + 4) : Infinity;
    if (end > payload.length) throw new Wrong(`${place}: holds no records to its end.`);
    const commitment = payload.subarray(at + 24, at + 56);
    const sealedHash = sha256(payload.subarray(at + 56, at + 24 + region));
    const lsn = payload.readUIntLE(at + 16, 6);
    take({ lsn, place, leaf: leafOf(lsn, payload.readUInt16LE(at + 8), commitment, sealedHash) });
    at = end;
  }
}

/** The leaf hashes that were exported before, once they are shown to be of this head. */
function readLeaves(path, head) {
  const octets = file(path);
  const tree = new Tree();
  for (let at = 0; at < Math.min(octets.length, head.size * 32); at += 32)
    tree.add(octets.subarray(at, at + 32));
  if (tree.size !== head.size || octets.length % 32 !== 0 || !tree.root().equals(head.root)) {
    throw new Wrong(`${path}: these leaf hashes are not those of the head either.`);
  }
  return octets;
}

function verifyStore(directory, keys, options) {
  const head = believe("The head", noteFile(options.head), keys, options);
  tellHead(head, options);
  const leaves = options.leaves === undefined ? undefined : readLeaves(options.leaves, head);
  const segments = new Segments(directory, head.store);
  const tree = new Tree();
  let count = 0;
  let differs;
  let root = head.size === 0 ? tree.root() : undefined;
  let wrong;
  const take = ({ lsn, place, leaf }) => {
    if (lsn !== count + 1)
      throw new Wrong(`${place}: record ${lsn} stands where record ${count + 1} should.`);
    const wanted = leaves?.subarray(count * 32, count * 32 + 32);
    if (count < head.size && wanted?.equals(leaf) === false) differs ??= `record ${lsn} (${place})`;
    count += 1;
    if (count > head.size) return;
    tree.add(leaf);
    if (count === head.size) root = tree.root();
  };
  try {
    const fault = segments.scan((batch) => recordsOf(batch, take));
    if (fault) wrong = `${fault}.`;
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    wrong = error.message;
  }
  const rest = wrong === undefined ? "" : ` Behind record ${count}: ${wrong}`;
  if (differs !== undefined) {
    throw new Wrong(`The first record that was changed is ${differs}.${rest}`);
  }
  if (count < head.size) {
    const seen = `There are ${count} records; the witness saw ${head.size}`;
    const lost = wrong === undefined ? `: ${head.size - count} are missing at the end.` : ".";
    throw new Wrong(`${seen}${lost}${leaves ? " Those that are there are right." : ""}${rest}`);
  }
  if (!root.equals(head.root)) {
    const hint = leaves ? "" : " Exported leaf hashes (--leaves) would tell which.";
    const what = `Among the first ${head.size} records something was changed`;
    throw new Wrong(`${what}: their tree is another.${hint}${rest}`);
  }
  if (wrong !== undefined) {
    throw new Wrong(`The first ${head.size} records are right; what follows is not. ${wrong}`);
  }
  const since = count - head.size;
  say(
    `${head.size} records, tree of the head reproduced${since > 0 ? `; ${since} more came since` : ""}.`,
  );
}

// --- The command ----------------------------------------------------------------------------------

const usage = `usage: postern-verify proof FILE.json --log-keys KEYS.json [--message FILE.eml]
       postern-verify store DIRECTORY --head NOTE --log-keys KEYS.json [--leaves FILE]
       with --max-age HOURS: an older head does not do; with --classical: without ML-DSA-65
`;

function parse() {
  const text = { type: "string" };
  const options = { "log-keys": text, message: text, head: text, leaves: text, "max-age": text };
  try {
    const { values, positionals } = parseArgs({
      options: { ...options, classical: { type: "boolean" } },
      allowPositionals: true,
    });
    const [command, target, more] = positionals;
    const needed = command === "store" ? values.head : command === "proof";
    const maxAge = values["max-age"] === undefined ? undefined : Number(values["max-age"]);
    if (!target || more || !needed || !values["log-keys"] || Number.isNaN(maxAge))
      throw new Error();
    return { ...values, command, target, maxAge };
  } catch (error) {
    throw new Cannot(`${error.message}\n${usage}`.trim(), 64);
  }
}

function main() {
  const options = parse();
  const keys = readKeys(options["log-keys"]);
  if (options.command === "proof") verifyProof(options.target, keys, options);
  else verifyStore(options.target, keys, options);
  if (!options.unchecked) return 0;
  say("");
  say(
    `ML-DSA-65 was NOT checked: Node ${process.version} cannot do it (Node 24.7 or later can). The Ed25519 signatures hold.`,
  );
  return options.classical ? 0 : 69;
}

try {
  process.exitCode = main();
} catch (error) {
  if (!(error instanceof Wrong || error instanceof Cannot)) throw error;
  if (error instanceof Wrong) say(`NOT PROVED. ${error.message}`);
  else process.stderr.write(`${error.message}\n`);
  process.exitCode = error instanceof Cannot ? error.exitCode : 1;
}
