import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { type Duplex, duplexPair } from "node:stream";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";
import { pick, seededRandom } from "#base/random";
import { FrameReader, frameHead, frameTypes, textFrame } from "./frames.ts";
import type { LinkStream } from "./link.ts";
import { linkPair, muxOver } from "./mux.ts";

/** Everything that comes on a stream, until it ends. */
function gather(stream: LinkStream): Promise<{ data: Buffer; trailer: unknown }> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    stream.receive({
      data: (chunk) => void parts.push(Buffer.from(chunk)),
      end: (trailer) => resolve({ data: Buffer.concat(parts), trailer }),
      broken: (why) => reject(new Error(why)),
    });
  });
}

/** An end of a link with raw octets on the other side. */
function rawPeer(): { raw: Duplex; link: ReturnType<typeof muxOver>; streams: LinkStream[] } {
  const [raw, other] = duplexPair();
  raw.on("error", () => {});
  const windows = { windowBytes: 1024, maxWindowBytes: 4096 };
  const link = muxOver(other, "opener-even", { peer: "raw", ...windows, maxStreams: 4 });
  const streams: LinkStream[] = [];
  link.onStream((stream) => void streams.push(stream));
  raw.resume();
  return { raw, link, streams };
}

const open = (id: number, number = 1): Buffer => textFrame(frameTypes.open, id, "{}", number);

describe("link", () => {
  test("carries header, data, trailer there and an answer back", async () => {
    const [edge, hub] = linkPair();
    const measure = async (stream: LinkStream): Promise<void> => {
      assert.deepEqual(stream.header, { id: "a" });
      const { data, trailer } = await gather(stream);
      stream.answer({ bytes: data.length, trailer });
    };
    hub.onStream((stream) => void measure(stream));
    const stream = edge.open(
      "deposit",
      { id: "a" },
      { data: Buffer.alloc(20_000, 7), end: { trailer: { sum: 1 } } },
    );
    assert.deepEqual(await stream.answered, { bytes: 20_000, trailer: { sum: 1 } });
    edge.close("done");
    assert.match(await hub.closed, /closed by the peer/);
  });

  test("a window grows fourfold while its taker keeps up, and not while something waits", async () => {
    const { raw, streams } = rawPeer();
    const credits = new Map<number, number[]>([1, 3].map((id) => [id, []]));
    const reader = new FrameReader({
      frame(type, id, payload) {
        if (type === frameTypes.window) credits.get(id)?.push(payload.readUInt32BE(0));
        return undefined;
      },
      dataBegins: () => undefined,
      data: () => undefined,
    });
    raw.on("data", (chunk: Buffer) => void reader.push(chunk));
    raw.write(Buffer.concat([open(1), open(3)]));
    await turn();
    const [prompt, slow] = streams;
    const taker = { end() {}, broken() {} };
    prompt?.receive({ ...taker, data() {} });
    let taken = Promise.withResolvers<void>();
    slow?.receive({ ...taker, data: () => taken.promise });
    const octets = Buffer.alloc(64);
    for (let round = 0; round < 240; round += 1) {
      // A whole window waits, and is taken one piece at a time.
      for (const id of round < 8 ? [1, 3, 3] : [1]) {
        raw.write(Buffer.concat([frameHead(frameTypes.data, id, octets.length), octets]));
      }
      await turn();
      if (round < 8) continue;
      taken.resolve();
      taken = Promise.withResolvers();
    }
    const sum = (id: number): number => (credits.get(id) ?? []).reduce((all, one) => all + one, 0);
    assert.deepEqual(credits.get(1)?.slice(0, 2), [1536, 3072]);
    // What came is given back but for half a window at most, and the growth on top.
    const came = 240 * octets.length;
    assert.ok(sum(1) > came - 2048 + 3072 - 1 && sum(1) <= came + 3072, `${sum(1)} of ${came}`);
    assert.equal(credits.get(3)?.[0], 512);
  });

  test("both ends open streams; data goes both ways after an answer", async () => {
    const [one, other] = linkPair();
    one.onStream((stream) => {
      stream.answer({ address: "192.0.2.1" });
      stream.receive({
        data: (chunk) => void stream.send(chunk),
        end: () => stream.end(),
        broken() {},
      });
    });
    const stream = other.open("dial", { host: "mx.example" });
    assert.deepEqual(await stream.answered, { address: "192.0.2.1" });
    const echo = gather(stream);
    stream.send(Buffer.from("EHLO "));
    stream.send(Buffer.from("x\r\n"));
    stream.end();
    assert.equal((await echo).data.toString(), "EHLO x\r\n");
    one.close("done");
  });

  test("a slow taker slows the sender, and nothing beyond the window is under way", async () => {
    const [one, other] = linkPair({ windowBytes: 4096 });
    let release: () => void = () => {};
    let got = 0;
    other.onStream((stream) => {
      stream.receive({
        data(chunk) {
          got += chunk.length;
          return new Promise<void>((resolve) => (release = resolve));
        },
        end: () => stream.answer(got),
        broken() {},
      });
    });
    const stream = one.open("deposit", {});
    assert.equal(stream.send(Buffer.alloc(4095)), true);
    assert.equal(stream.send(Buffer.alloc(10_000)), false);
    let drained = false;
    void stream.drained().then(() => (drained = true));
    for (let index = 0; index < 20; index += 1) await turn();
    assert.equal(drained, false);
    assert.ok(got <= 4096);
    const pump = setInterval(() => release(), 1);
    await stream.drained();
    stream.end();
    assert.equal(await stream.answered, 14_095);
    clearInterval(pump);
    one.close("done");
  });

  test("who waits for the connection, with credit left, goes on when it drains", async () => {
    const [one, other] = linkPair();
    other.onStream((stream) => stream.receive({ data() {}, end() {}, broken() {} }));
    const streams = Array.from({ length: 16 }, () => one.open("deposit", {}));
    // Less than half a window each: no credit comes back.
    const roomy = streams.map((stream) => stream.send(Buffer.alloc(100_000)));
    assert.ok(roomy[0] && !roomy.at(-1));
    await Promise.all(streams.map((stream) => stream.drained()));
    one.close("done");
  });

  test("data that came before the taker waits for it", async () => {
    const [one, other] = linkPair();
    const accepted = new Promise<LinkStream>((resolve) => other.onStream(resolve));
    one.open("deposit", {}, { data: Buffer.from("early"), end: { trailer: 1 } });
    const stream = await accepted;
    for (let index = 0; index < 10; index += 1) await turn();
    assert.deepEqual(await gather(stream), { data: Buffer.from("early"), trailer: 1 });
    one.close("done");
  });

  test("an abort breaks the stream for both, and the link lives on", async () => {
    const [one, other] = linkPair();
    const whys: string[] = [];
    other.onStream((stream) => {
      stream.receive({ data() {}, end() {}, broken: (why) => void whys.push(why) });
      if (stream.kind === "login") stream.answer({ ok: false });
    });
    const stream = one.open("deposit", {});
    stream.send(Buffer.from("half a mess"));
    stream.abort("client went");
    await assert.rejects(stream.answered, Unavailable);
    await assert.rejects(stream.drained(), Unavailable);
    assert.deepEqual(await one.open("login", {}).answered, { ok: false });
    assert.deepEqual(whys, ["reset by the peer: client went"]);
    one.close("done");
  });

  test("an answer before the end of the data ends the stream, for senders that wait too", async () => {
    const [one, other] = linkPair({ windowBytes: 1024 });
    other.onStream((stream) => stream.answer({ committed: false }));
    const stream = one.open("deposit", {});
    stream.send(Buffer.alloc(5000));
    await stream.drained();
    assert.deepEqual(await stream.answered, { committed: false });
    one.close("done");
  });

  test("when the link goes, every waiting call learns it", async () => {
    const [one, other] = linkPair();
    other.onStream(() => {});
    const stream = one.open("deposit", {});
    const broken = gather(stream);
    other.close("stop");
    await assert.rejects(stream.answered, /closed by the peer/);
    await assert.rejects(broken, /closed by the peer/);
    assert.throws(() => one.open("asked", {}), Unavailable);
  });

  test("an end without an answer breaks the stream, not the link", async () => {
    const [one, other] = linkPair();
    other.onStream((stream) => {
      if (stream.kind === "web") stream.end();
      else stream.answer({ committed: true });
    });
    await assert.rejects(one.open("web", {}).answered, /without an answer/);
    assert.deepEqual(await one.open("asked", {}).answered, { committed: true });
    one.close("done");
  });

  test("a taker that fails breaks its stream alone", async () => {
    const [one, other] = linkPair();
    other.onStream((stream) => {
      if (stream.kind === "asked") stream.answer({ committed: true });
      else {
        stream.receive({
          data: () => Promise.reject(new Error("disk")),
          end() {},
          broken() {},
        });
      }
    });
    const stream = one.open("deposit", {}, { data: Buffer.from("x") });
    await assert.rejects(stream.answered, /taker failed/);
    assert.deepEqual(await one.open("asked", {}).answered, { committed: true });
    one.close("done");
  });

  test("streams without a direction leave no trace, so a link never fills with them", async () => {
    const [one, other] = linkPair({ maxStreams: 2 });
    let seen = 0;
    other.onStream((stream) => {
      seen += 1;
      if (stream.kind === "asked") stream.answer({});
    });
    for (let index = 0; index < 50; index += 1) {
      one.open("refused", { refusals: [] });
      await one.open("asked", { id: "" }).answered;
    }
    assert.equal(seen, 100);
    one.close("done");
  });

  test("refuses more streams than agreed on our own side", () => {
    const [one] = linkPair({ maxStreams: 2 });
    one.open("deposit", {});
    one.open("deposit", {});
    assert.throws(() => one.open("deposit", {}), /no free stream/);
    one.close("done");
  });

  test("pings, and gives up a silent peer after 30 s", async () => {
    const timers: { atMs: number; run: () => void }[] = [];
    let nowMs = 0;
    const clock: Clock = {
      nowMs: () => nowMs,
      tickMs: () => nowMs,
      after(delayMs, run) {
        const entry = { atMs: nowMs + delayMs, run };
        timers.push(entry);
        return { cancel: () => void timers.splice(timers.indexOf(entry), 1) };
      },
    };
    const [raw, end] = duplexPair();
    let pings = 0;
    raw.on("data", (chunk: Buffer) => {
      if (chunk[4] === frameTypes.ping) pings += 1;
    });
    const link = muxOver(end, "opener-odd", { peer: "p", clock });
    for (let step = 0; step < 31; step += 1) {
      nowMs += 1000;
      for (const due of timers.filter((timer) => timer.atMs <= nowMs)) {
        timers.splice(timers.indexOf(due), 1);
        due.run();
      }
      await turn();
      await turn();
    }
    assert.match(await link.closed, /silent/);
    assert.equal(pings, 2);
  });
});

describe("a peer that breaks the protocol loses the link", () => {
  const cases: readonly (readonly [string, readonly Buffer[], RegExp])[] = [
    ["unknown frame", [frameHead(77 as 1, 1, 0)], /unknown frame/],
    ["unknown kind", [open(1, 99)], /unknown kind/],
    ["even number from the odd opener", [open(2)], /out of order/],
    ["number used again", [open(3), open(1)], /out of order/],
    ["number 0", [open(0)], /out of order/],
    ["data on stream 0", [frameHead(frameTypes.data, 0, 5)], /unknown stream/],
    ["data on a stream never opened", [frameHead(frameTypes.data, 1, 5)], /unknown stream/],
    ["empty data", [open(1), frameHead(frameTypes.data, 1, 0)], /empty data/],
    ["more than the window", [open(1), frameHead(frameTypes.data, 1, 1025)], /overrun/],
    ["data where the kind has none", [open(1, 2), frameHead(frameTypes.data, 1, 1)], /stray data/],
    ["an answer from the opener", [open(1), textFrame(frameTypes.answer, 1, "1")], /stray answer/],
    [
      "a second end",
      [open(1), textFrame(frameTypes.end, 1, ""), textFrame(frameTypes.end, 1, "")],
      /stray end/,
    ],
    ["a header that is not JSON", [textFrame(frameTypes.open, 1, "{", 1)], /not JSON/],
    ["a header too long", [frameHead(frameTypes.open, 1, 300_000)], /wrong length/],
    [
      "credit beyond the window",
      [open(1), Buffer.concat([frameHead(frameTypes.window, 1, 4), Buffer.from([0, 0, 12, 1])])],
      /credit overflow/,
    ],
  ];
  for (const [name, frames, why] of cases) {
    test(name, async () => {
      const { raw, link } = rawPeer();
      for (const frame of frames) raw.write(frame);
      assert.match(await link.closed, why);
    });
  }

  test("a stream too many is reset, and the link with its streams goes on", async () => {
    const { raw, link } = rawPeer();
    const kept: LinkStream[] = [];
    link.onStream((stream) => void kept.push(stream));
    let heard = Buffer.alloc(0);
    raw.on("data", (chunk: Buffer) => (heard = Buffer.concat([heard, chunk])));
    for (const id of [1, 3, 5, 7, 9]) raw.write(open(id));
    raw.write(Buffer.concat([frameHead(frameTypes.data, 9, 1), Buffer.from("x")]));
    raw.write(textFrame(frameTypes.end, 1, ""));
    for (let index = 0; index < 10; index += 1) await turn();
    assert.equal(kept.length, 4);
    assert.ok(heard.includes(textFrame(frameTypes.reset, 9, "too many streams")));
    kept[0]?.answer({ committed: true });
    for (let index = 0; index < 10; index += 1) await turn();
    assert.ok(heard.includes('"committed":true'));
    link.close("done");
  });

  test("ten thousand pings are answered by few pongs", async () => {
    const { raw, link } = rawPeer();
    let heard = 0;
    raw.on("data", (chunk: Buffer) => (heard += chunk.length));
    const ping = Buffer.concat([frameHead(frameTypes.ping, 0, 8), Buffer.alloc(8)]);
    raw.write(Buffer.concat(Array.from({ length: 10_000 }, () => ping)));
    for (let index = 0; index < 10; index += 1) await turn();
    assert.ok(heard > 0 && heard < 1000);
    link.close("done");
  });

  test("opening and resetting without end is stopped", async () => {
    const { raw, link } = rawPeer();
    const frames: Buffer[] = [];
    for (let id = 1; id < 12_000; id += 2) {
      frames.push(open(id), textFrame(frameTypes.reset, id, ""));
    }
    raw.write(Buffer.concat(frames));
    assert.match(await link.closed, /too many resets/);
  });

  test("data octet by octet in front of no taker stays within bounds", async () => {
    const { raw, link, streams } = rawPeer();
    const frames = [open(1)];
    for (let index = 0; index < 1024; index += 1) {
      frames.push(frameHead(frameTypes.data, 1, 1), Buffer.from([index & 255]));
    }
    raw.write(Buffer.concat(frames));
    raw.write(textFrame(frameTypes.end, 1, "{}"));
    for (let index = 0; index < 10; index += 1) await turn();
    const [stream] = streams;
    assert.ok(stream);
    const { data } = await gather(stream);
    assert.equal(data.length, 1024);
    assert.ok(data.every((octet, index) => octet === (index & 255)));
    link.close("done");
  });
});

describe("fuzz", () => {
  test("random octets in random pieces never throw and never hang", async () => {
    const random = seededRandom(20261121);
    for (let round = 0; round < 300; round += 1) {
      const { raw, link } = rawPeer();
      const frames: Buffer[] = [];
      let id = 1;
      for (let index = 0; index < 30; index += 1) frames.push(randomFrame());
      const bytes = Buffer.concat(frames);
      if (round % 2 === 0) bytes[pick(random, bytes.length)] = pick(random, 256);
      for (let at = 0; at < bytes.length; ) {
        const next = at + 1 + pick(random, 40);
        raw.write(bytes.subarray(at, next));
        at = next;
      }
      await turn();
      raw.end();
      assert.equal(typeof (await link.closed), "string");

      function randomFrame(): Buffer {
        const some = Math.max(1, id - 2 * pick(random, 4));
        switch (pick(random, 7)) {
          case 0:
            id += 2;
            return open(id - 2, 1 + pick(random, 11));
          case 1:
            return Buffer.concat([frameHead(frameTypes.data, some, 9), random.bytes(9)]);
          case 2:
            return textFrame(frameTypes.end, some, "[1]");
          case 3:
            return textFrame(frameTypes.reset, some, "x");
          case 4:
            return Buffer.concat([frameHead(frameTypes.ping, 0, 8), random.bytes(8)]);
          case 5:
            return textFrame(frameTypes.answer, 2 * pick(random, 3), "{}");
          default:
            return random.bytes(pick(random, 30));
        }
      }
    }
  });

  test("whatever the cuts, the same octets arrive in the same order", async () => {
    const random = seededRandom(7);
    const [one, other] = linkPair({ windowBytes: 3000 });
    const echo = async (stream: LinkStream): Promise<void> => {
      const { data } = await gather(stream);
      stream.answer(data.toString("base64"));
    };
    other.onStream((stream) => void echo(stream));
    const sent = Array.from({ length: 20 }, async () => {
      const bytes = random.bytes(1 + pick(random, 20_000));
      const stream = one.open("deposit", {});
      for (let at = 0; at < bytes.length; ) {
        const next = at + 1 + pick(random, 5000);
        if (!stream.send(bytes.subarray(at, next))) await stream.drained();
        at = next;
      }
      stream.end();
      assert.equal(await stream.answered, bytes.toString("base64"));
    });
    await Promise.all(sent);
    one.close("done");
  });
});
