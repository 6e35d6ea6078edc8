import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { systemClock } from "#base/clock";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { simulatedNet } from "#base/net-sim";
import { pick, type Random, seededRandom } from "#base/random";
import type { Deposit, DepositEnd } from "#contracts/deposit";
import {
  type LinkClass,
  LinkSet,
  type LinkStream,
  linkClasses,
  linkPair,
  muxOver,
} from "#contracts/link";
import { makeSealKeys, openSealed } from "#contracts/sealed";
import type { Reply } from "#model/reply";
import { createDepositor, type DepositPorts } from "./deposit.ts";
import { edgeEvents } from "./events.ts";
import type { SpoolFile } from "./spool/files.ts";
import { openSpool, type SealedSpool, sealedSpool } from "./spool/index.ts";

const limits = { linkWaitMs: 3000, answerWaitMs: 500, depositsAtOnce: 50, depositsWaiting: 500 };
const idOf = (number: number): string => number.toString(16).padStart(32, "0");

function depositOf(number: number): Deposit {
  return {
    id: idOf(number),
    receivedBy: "mx.example.org",
    connection: {
      listener: "smtp",
      clientAddress: "192.0.2.1",
      clientPort: 1,
      helo: "a",
      extended: true,
    },
    envelope: { reversePath: "a@a.example", recipients: [{ path: "b@b.example" }] },
    receivedAtMs: 0,
    steps: [],
  };
}

function endOf(content: Buffer): DepositEnd {
  const contentId = createHash("sha256").update(content).digest("hex");
  return {
    contentId,
    sizeBytes: content.length,
    verdicts: [],
    decision: { disposition: "accept", opinions: [] },
    source: { kind: "direct", address: "192.0.2.1", helo: "a", passed: 0 },
    steps: [],
  };
}

/** The inside as it promises to be: commits once per id, slowly, and answers what it is asked. */
class MemoryHub {
  readonly committed = new Map<string, Buffer>();
  commits = 0;
  delayMs = 0;

  serve(stream: LinkStream): void {
    if (stream.kind === "asked") {
      stream.answer({ committed: this.committed.has((stream.header as { id: string }).id) });
      return;
    }
    const parts: Buffer[] = [];
    stream.receive({
      data: (chunk) => void parts.push(Buffer.from(chunk)),
      end: (trailer) => this.#take(stream, Buffer.concat(parts), trailer as DepositEnd),
      broken() {},
    });
  }

  #take(stream: LinkStream, content: Buffer, end: DepositEnd): void {
    const { id } = stream.header as { id: string };
    if (stream.kind === "deposit") assert.deepEqual(endOf(content).contentId, end.contentId);
    const commit = (): void => {
      const repeated = this.committed.has(id);
      if (!repeated) this.commits += 1;
      this.committed.set(id, content);
      stream.answer({ committed: true, repeated });
    };
    if (this.delayMs > 0) setTimeout(commit, this.delayMs).unref();
    else commit();
  }
}

function portsOn(links: LinkSet, change: Partial<DepositPorts> = {}): DepositPorts {
  const events = edgeEvents(silentLog, new Registry());
  return { links, clock: systemClock, events, limits, ...change };
}

/** An edge's links to a hub in memory, both classes up. */
function joined(hub: MemoryHub): LinkSet {
  const links = new LinkSet();
  for (const linkClass of linkClasses) {
    const [edgeEnd, hubEnd] = linkPair();
    hubEnd.onStream((stream) => hub.serve(stream));
    links.add(linkClass, edgeEnd);
  }
  return links;
}

function memorySpoolFiles(): SpoolFile[] {
  return [0, 1, 2].map(() => {
    const bytes = Buffer.alloc(1 << 20);
    return {
      sizeBytes: bytes.length,
      read: async (into: Buffer, offset: number) => bytes.copy(into, 0, offset),
      write: async (parts: readonly Uint8Array[], offset: number) =>
        void Buffer.concat(parts).copy(bytes, offset),
      close: async () => {},
    };
  });
}

async function spoolOn(
  links: LinkSet,
  keys: ReturnType<typeof makeSealKeys>,
): Promise<SealedSpool> {
  return sealedSpool({
    spool: await openSpool(memorySpoolFiles()),
    links,
    clock: systemClock,
    sealTo: () => keys.publicKeys,
    onDrained() {},
  });
}

async function streamed(ports: DepositPorts, number: number, content: Buffer): Promise<Reply> {
  const handover = await createDepositor(ports).stream(depositOf(number));
  for (let at = 0; at < content.length; at += 65_536) {
    await handover.write(content.subarray(at, at + 65_536));
  }
  return handover.end(endOf(content));
}

describe("createDepositor()", () => {
  test("says 250 for what was committed, small and large", async () => {
    const hub = new MemoryHub();
    const ports = portsOn(joined(hub));
    const small = Buffer.alloc(20_000, 1);
    const large = Buffer.alloc(3_000_000, 2);
    const depositor = createDepositor(ports);
    const reply = await depositor.whole(depositOf(1), [small], endOf(small));
    assert.equal(reply.code, 250);
    assert.equal((await streamed(ports, 2, large)).code, 250);
    assert.deepEqual([...hub.committed.values()], [small, large]);
  });

  test("passes on what the inside refuses, and takes nothing else for a 250", async () => {
    const links = new LinkSet();
    const [edgeEnd, hubEnd] = linkPair();
    links.add("bulk", edgeEnd);
    const answers: unknown[] = [
      { committed: false, reply: { code: 550, status: "5.1.1", text: "no such\r\nuser" } },
      { committed: false, reply: { code: 250, status: "2.0.0", text: "fine" } },
      { committed: "true" },
      null,
      "committed",
    ];
    hubEnd.onStream((stream) => stream.answer(answers.shift()));
    const depositor = createDepositor(portsOn(links));
    const refused = await depositor.whole(depositOf(1), [], endOf(Buffer.alloc(0)));
    assert.deepEqual(refused, { code: 550, status: "5.1.1", text: "no such  user" });
    while (answers.length > 0) {
      const reply = await depositor.whole(depositOf(2), [], endOf(Buffer.alloc(0)));
      assert.equal(reply.code, 451);
    }
  });

  test("asks after a break, and does not hand in again what was committed", async () => {
    const hub = new MemoryHub();
    const links = new LinkSet();
    const ports = portsOn(links);
    const connect = (breakAfterCommit: boolean): void => {
      for (const linkClass of linkClasses) {
        const [edgeEnd, hubEnd] = linkPair();
        hubEnd.onStream((stream) => {
          hub.serve(stream);
          if (!breakAfterCommit || stream.kind !== "deposit") return;
          setImmediate(() => {
            hub.committed.set(idOf(1), Buffer.alloc(1)); // committed, and then the answer is lost
            hub.commits += 1;
            hubEnd.close("power");
          });
        });
        links.add(linkClass, edgeEnd);
      }
    };
    connect(true);
    hub.delayMs = 100_000;
    const answer = createDepositor(ports).whole(
      depositOf(1),
      [Buffer.alloc(1)],
      endOf(Buffer.alloc(1)),
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    hub.delayMs = 0;
    connect(false);
    assert.equal((await answer).code, 250);
    assert.equal(hub.commits, 1);
  });

  test("puts off after the wait when the link stays down", async () => {
    const links = new LinkSet();
    const ports = portsOn(links, { limits: { ...limits, linkWaitMs: 30 } });
    const depositor = createDepositor(ports);
    assert.equal(depositor.open(), false);
    const reply = await depositor.whole(depositOf(1), [Buffer.alloc(9)], endOf(Buffer.alloc(9)));
    assert.deepEqual([reply.code, reply.status], [451, "4.4.0"]);
    assert.equal((await streamed(ports, 2, Buffer.alloc(400_000))).code, 451);
  });

  test("turns away more than may wait", async () => {
    const hub = new MemoryHub();
    hub.delayMs = 50;
    const few = { ...limits, depositsAtOnce: 1, depositsWaiting: 1 };
    const depositor = createDepositor(portsOn(joined(hub), { limits: few }));
    const empty = endOf(Buffer.alloc(0));
    const replies = await Promise.all(
      [1, 2, 3].map((n) => depositor.whole(depositOf(n), [], empty)),
    );
    assert.deepEqual(
      replies.map((reply) => reply.code).sort((a, b) => a - b),
      [250, 250, 451],
    );
  });

  test("spools sealed while the link is down, and hands in when it is back", async () => {
    const keys = makeSealKeys();
    const links = new LinkSet();
    const spool = await spoolOn(links, keys);
    const ports = portsOn(links, { spool });
    const small = Buffer.from("Subject: hi\r\n\r\nsmall\r\n");
    const large = Buffer.alloc(300_000, 65);
    const depositor = createDepositor(ports);
    assert.equal(depositor.open(), true);
    assert.equal((await depositor.whole(depositOf(1), [small], endOf(small))).code, 250);
    assert.equal((await streamed(ports, 2, large)).code, 250);
    assert.equal(spool.waiting(), 2);

    const hub = new MemoryHub();
    const [edgeEnd, hubEnd] = linkPair();
    hubEnd.onStream((stream) => hub.serve(stream));
    links.add("bulk", edgeEnd);
    while (spool.waiting() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    for (const [id, content] of [
      [idOf(1), small],
      [idOf(2), large],
    ] as const) {
      const opened = openSealed(keys.privateKeys, [hub.committed.get(id) ?? Buffer.alloc(0)]);
      assert.ok(opened.ok);
      assert.deepEqual(Buffer.concat(opened.value.content), content);
      assert.equal((opened.value.header as Deposit).id, id);
      assert.deepEqual(opened.value.trailer, endOf(content));
    }
    await spool.close();
  });

  test("says 452 when the spool is full", async () => {
    const links = new LinkSet();
    const spool = await spoolOn(links, makeSealKeys());
    const ports = portsOn(links, { spool });
    const codes: number[] = [];
    for (let number = 1; number <= 8; number += 1) {
      codes.push((await streamed(ports, number, Buffer.alloc(500_000))).code);
    }
    assert.ok(codes.includes(250) && codes.includes(452));
    assert.ok(codes.every((code) => code === 250 || code === 452));
  });
});

test("a link that answers no question ends the wait in time", async () => {
  const links = new LinkSet();
  const [edgeEnd, hubEnd] = linkPair();
  links.add("bulk", edgeEnd); // no link of the other class to ask on
  hubEnd.onStream((stream) => stream.abort("always"));
  const ports = portsOn(links, { limits: { ...limits, linkWaitMs: 100 } });
  const depositor = createDepositor(ports);
  const reply = await depositor.whole(depositOf(1), [], endOf(Buffer.alloc(0)));
  assert.equal(reply.code, 451);
});

describe("model: links that break all the time", () => {
  for (const seed of [1, 2, 3, 4]) {
    test(`nothing acknowledged is lost or doubled (seed ${seed})`, async () => {
      const random = seededRandom(seed);
      const net = simulatedNet(random);
      const hub = new MemoryHub();
      hub.delayMs = seed % 2;
      const links = new LinkSet();
      const at = (linkClass: LinkClass) => ({ host: linkClass, port: 7000 });
      const state = { stopped: false };
      for (const linkClass of linkClasses) {
        await net.listen(at(linkClass), (stream) => {
          links.add(linkClass, muxOver(stream, "opener-even", { peer: "hub" }));
        });
      }
      const keep = async (linkClass: LinkClass): Promise<void> => {
        while (!state.stopped) {
          const stream = await net.dial(at(linkClass), 1000).catch(() => undefined);
          if (stream === undefined) continue;
          const link = muxOver(stream, "opener-odd", { peer: "edge" });
          link.onStream((opened) => hub.serve(opened));
          await link.closed;
        }
      };
      // Sooner or later every connection is cut; a deposit of 5 KiB meets that about once in twenty.
      net.faults({ refuse: 0.2, cut: 1, cutWithinBytes: 200_000 });
      const keepers = linkClasses.map(keep);
      const acknowledged = await depositMany(portsOn(links), random);
      for (const [id, content] of acknowledged) assert.deepEqual(hub.committed.get(id), content);
      assert.equal(hub.commits, hub.committed.size);
      assert.ok(net.stats.cut > 5, "the run met faults");
      assert.ok(acknowledged.size >= 300, "in the end everything gets through");
      state.stopped = true;
      links.closeAll("done");
      net.cutAll();
      await Promise.all(keepers);
    });
  }
});

async function depositMany(ports: DepositPorts, random: Random): Promise<Map<string, Buffer>> {
  const acknowledged = new Map<string, Buffer>();
  const depositor = createDepositor(ports);
  let number = 0;
  const client = async (): Promise<void> => {
    while (number < 300) {
      const deposit = depositOf((number += 1));
      const content = random.bytes(1 + pick(random, 10_000));
      // A sender that is told 451 comes again, and so does the edge under the same id.
      for (let tries = 0; tries < 50 && !acknowledged.has(deposit.id); tries += 1) {
        const reply = await depositor.whole(deposit, [content], endOf(content));
        if (reply.code === 250) acknowledged.set(deposit.id, content);
      }
    }
  };
  await Promise.all(Array.from({ length: 20 }, client));
  return acknowledged;
}
