import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Unavailable } from "#base/errors";
import type { Log } from "#base/log";
import { Registry } from "#base/measures";
import { type Link, type LinkStream, linkPair } from "#contracts/link";
import type { HeadSource } from "#contracts/witness";
import { openWitness, type Witness } from "#edge/witness";
import { cosignedAt, isSignedBy, parseSignedHead, type SignedHead } from "#formats/checkpoint";
import { type FakeClock, fakeClock } from "../../tests/kit/fake-clock.ts";
import { MemoryTree } from "../../tests/kit/memory-tree.ts";
import { openCurrentLog } from "../keys/custody/log/current-log.ts";
import { type LogSigner, logSigner } from "./log-signer.ts";
import { witnessEvents } from "./witness-events.ts";
import { type Cosigned, startWitnessing, type Witnessing } from "./witnessing.ts";

let folder = "";
let clock: FakeClock;
let hubLink: Link;
let edgeLink: Link;
let witness: Witness;
let signer: LogSigner;
/** The log's keys as somebody copied them: they remember nothing of what was signed since. */
let thief: LogSigner;
let ledger: MemoryTree;
let registry: Registry;
let told: string[];
let kept: Cosigned[];
let running: Witnessing[];
let serve: (stream: LinkStream) => void;

async function signerIn(directory: string): Promise<LogSigner> {
  const log = await openCurrentLog(directory, "mail.example.org");
  return logSigner({
    logKeys: async () => log.keys,
    signHead: (text) => log.sign(Buffer.from(text)),
    renewLog: (name) => log.renew(name),
  });
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "witnessing-"));
  clock = fakeClock();
  signer = await signerIn(join(folder, "log"));
  cpSync(join(folder, "log"), join(folder, "stolen"), { recursive: true });
  thief = await signerIn(join(folder, "stolen"));
  witness = await witnessIn(folder);
  [hubLink, edgeLink] = linkPair();
  serve = (stream) =>
    void witness.cosign(stream.header).then(({ answer }) => stream.answer(answer));
  edgeLink.onStream((stream) => serve(stream));
  ledger = new MemoryTree().grow(10);
  registry = new Registry();
  told = [];
  kept = [];
  running = [];
});

afterEach(async () => {
  for (const one of running) await one[Symbol.asyncDispose]();
  hubLink.close("test is over");
  edgeLink.close("test is over");
  await witness.close();
  rmSync(folder, { recursive: true });
});

const witnessIn = (directory: string): Promise<Witness> =>
  openWitness({
    folder: directory,
    name: "mx.example.org/witness",
    logKeys: () => signer.keys,
    clock,
  });

interface Start {
  readonly source?: HeadSource;
  readonly signer?: LogSigner;
  readonly storeId?: string;
  readonly last?: Cosigned;
  readonly linkNow?: () => Link | undefined;
}

function start(change: Start = {}): Witnessing {
  const log: Log = {
    write(level, event, fields = {}) {
      told.push(`${level} ${event} ${fields["reason"] ?? ""}`.trim());
    },
  };
  const made = startWitnessing({
    source: ledger,
    signer,
    storeId: "0011223344556677",
    linkNow: () => hubLink,
    clock,
    events: witnessEvents(log, registry),
    cosigned: (newest) => void kept.push(newest),
    ...change,
  });
  running.push(made);
  return made;
}

async function until(holds: () => boolean): Promise<void> {
  for (const deadlineMs = Date.now() + 20_000; !holds(); await turn()) {
    assert.ok(Date.now() < deadlineMs, `it never came so far: ${told.join(", ")}`);
  }
}

/** Lets a second of the fake clock pass, again and again. */
async function seconds(count: number): Promise<void> {
  for (let passed = 0; passed < count; passed += 1) await clock.advance(1000);
}

function headIn(one: Cosigned | undefined): SignedHead {
  const read = parseSignedHead(one?.note ?? "");
  assert.ok(read.ok);
  return read.value;
}

const refusals = (): string[] =>
  registry
    .samples()
    .filter(({ name }) => name === "witness_refused_total")
    .map(({ labels, value }) => `${labels["reason"]} ${value}`);

describe("startWitnessing()", () => {
  test("has a head cosigned at once, and hands on a note that an auditor can check", async () => {
    start();
    await clock.advance(0);
    await until(() => kept.length === 1);
    const signed = headIn(kept[0]);
    assert.deepEqual(
      { ...signed.head, root: "" },
      {
        origin: signer.origin,
        size: 10,
        root: "",
        timeMs: clock.nowMs(),
        storeId: "0011223344556677",
      },
    );
    assert.ok(isSignedBy(signed, signer.keys));
    const timeS = cosignedAt(signed, kept[0]?.witnessKeys ?? []);
    assert.equal(timeS, Math.floor(clock.nowMs() / 1000));
    const samples = registry.samples().map(({ name, value }) => [name, value]);
    assert.deepEqual(samples, [
      ["witness_heads_total", 1],
      ["witness_size", 10],
      ["witness_cosigned_at", timeS],
    ]);
  });

  test("comes again after a minute, or after a thousand leaves, and not sooner", async () => {
    start();
    await clock.advance(0);
    await until(() => kept.length === 1);
    ledger.grow(999);
    await seconds(58);
    assert.equal(kept.length, 1);
    await seconds(3);
    await until(() => kept.length === 2);
    ledger.grow(1000);
    await seconds(2);
    await until(() => kept.length === 3);
    assert.deepEqual(
      kept.map((one) => headIn(one).head.size),
      [10, 1009, 2009],
    );
    await seconds(61);
    await until(() => kept.length === 4); // a ledger that did not grow shows that it lives
    assert.deepEqual(refusals(), []);
  });

  test("goes on after a restart, with its memory or without", async () => {
    await start().now();
    ledger.grow(90);
    await start().now();
    ledger.grow(900);
    const last = kept.at(-1);
    assert.ok(last);
    await start({ last }).now();
    assert.deepEqual(
      kept.map((one) => headIn(one).head.size),
      [10, 100, 1000],
    );
    assert.deepEqual(refusals(), []);
  });

  test("says that the witness forgot, and goes on", async () => {
    await start().now();
    ledger.grow(5);
    await witness.close();
    rmSync(join(folder, "witness.head"));
    witness = await witnessIn(folder);
    const [last] = kept;
    assert.ok(last);
    await start({ last }).now();
    assert.equal(headIn(kept[1]).head.size, 15);
    assert.deepEqual(refusals(), ["forgot 1"]);
    assert.ok(told.includes("error witness.refused forgot"));
  });

  test("does not take another witness for the one it knows", async () => {
    await start().now();
    const [last] = kept;
    assert.ok(last);
    await witness.close();
    witness = await witnessIn(mkdtempSync(join(folder, "other-")));
    await assert.rejects(start({ last }).now(), /other-witness/);
    assert.equal(kept.length, 1);
    assert.deepEqual(refusals(), ["forgot 1", "other-witness 1"]);
  });

  test("does not take what a link says for a cosignature", async () => {
    const answers = [null, {}, { keys: [], cosignatures: "" }, { keys: [], cosignatures: "x\n" }];
    for (const answer of answers) {
      serve = (stream) => stream.answer(answer);
      await assert.rejects(start().now(), Unavailable);
    }
    assert.equal(kept.length, 0);
    assert.deepEqual(refusals(), ["misshapen 2", "other-witness 2"]);
  });

  test("waits five seconds after a failure, and sends nothing without a link", async () => {
    let link: Link | undefined;
    serve = (stream) => stream.abort("not now");
    const asked: number[] = [];
    const made = start({
      linkNow: () => {
        asked.push(clock.nowMs());
        return link;
      },
    });
    await seconds(10);
    assert.deepEqual(told, []);
    await assert.rejects(made.now(), /no link to the witness/);
    link = hubLink;
    told.length = 0;
    await seconds(1);
    await until(() => told.length === 1);
    assert.deepEqual(told, ["warn witness.failed"]);
    serve = (stream) =>
      void witness.cosign(stream.header).then(({ answer }) => stream.answer(answer));
    await seconds(4);
    assert.equal(kept.length, 0);
    await seconds(2);
    await until(() => kept.length === 1);
  });

  test("tells a refusal once a minute, and waits only a moment for a policy on its way", async () => {
    const answers = ["fork", "not-ready"];
    serve = (stream) => stream.answer({ keys: [], refused: answers[0] });
    start();
    await seconds(1);
    await until(() => told.length === 1);
    await seconds(58);
    assert.deepEqual(told, ["error witness.refused fork"]);
    answers.shift();
    await seconds(4);
    await until(() => told.length === 2);
    await seconds(7);
    await until(() => told.length === 3);
    assert.deepEqual(told.slice(1), Array(2).fill("warn witness.refused not-ready"));
  });

  test("gives up on a witness that says nothing", async () => {
    serve = () => {};
    const outcome = assert.rejects(start().now(), Unavailable);
    await until(() => clock.pending() > 1);
    await seconds(11);
    await outcome;
  });
});

describe("what it finds", () => {
  beforeEach(async () => {
    await start().now();
    ledger.grow(90);
    await start().now();
  });

  async function refuses(reason: string, change: Start): Promise<void> {
    await assert.rejects(start({ ...change, linkNow: () => hubLink }).now(), Unavailable);
    assert.deepEqual(refusals(), [`${reason} 1`]);
    assert.ok(told.includes(`error witness.refused ${reason}`));
    assert.equal(kept.length, 2);
  }
  const lastKept = (): Cosigned => {
    const last = kept.at(-1);
    assert.ok(last);
    return last;
  };

  test("a store that is behind its last cosigned head", () =>
    refuses("own-history", { source: new MemoryTree().grow(50), last: lastKept() }));

  test("a store whose past is another", () =>
    refuses("own-history", { source: new MemoryTree().grow(200, "x"), last: lastKept() }));

  test("another store in its place", () =>
    refuses("own-history", { storeId: "f".repeat(16), last: lastKept() }));

  test("a disk rolled back with everything on it but the keyring", () =>
    refuses("keyring", { source: new MemoryTree().grow(50) }));

  test("a machine rolled back whole", () =>
    refuses("rolled-back", { source: new MemoryTree().grow(50), signer: thief }));

  test("a past written anew with the log's stolen keys", () =>
    refuses("fork", { source: new MemoryTree().grow(150, "x"), signer: thief }));

  test("another store under the log's stolen name", () =>
    refuses("other-log", { signer: thief, storeId: "f".repeat(16) }));

  test("a clock that was set back", async () => {
    clock = fakeClock(clock.nowMs() - 3_600_000);
    await refuses("time-went-back", {});
  });
});
