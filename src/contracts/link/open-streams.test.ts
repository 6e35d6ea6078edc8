import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Full } from "#base/errors";
import type { Link, LinkStream } from "./link.ts";
import { linkPair, muxDefaults } from "./mux.ts";

const answering = (stream: LinkStream): void => {
  stream.answer({ ok: true });
};

/** An end that answers and then says nothing more, as a page that waits for news is served. */
function waiting(link: Link): void {
  link.onStream(answering);
}

async function settled(): Promise<void> {
  for (let index = 0; index < 20; index += 1) await turn();
}

describe("streams that last long", () => {
  test("ten thousand pages wait for news, and a login is answered", async () => {
    const [edge, hub] = linkPair();
    waiting(hub);
    const pages = Array.from({ length: 10_000 }, () => edge.open("web", {}, { end: {} }));
    await Promise.all(pages.map(({ answered }) => answered));
    assert.deepEqual(await edge.open("login", {}).answered, { ok: true });
    edge.close("done");
  });

  test("are Full at their own bound, and take no place of a login", async () => {
    const [edge, hub] = linkPair();
    waiting(hub);
    const open: LinkStream[] = [];
    assert.throws(() => {
      for (;;) open.push(edge.open("web", {}, { end: {} }));
    }, Full);
    const { maxLongStreams } = muxDefaults;
    assert.equal(open.length, maxLongStreams - maxLongStreams / 16);
    assert.deepEqual(await edge.open("login", {}).answered, { ok: true });
    open[0]?.abort("client went away");
    edge.open("web", {}, { end: {} });
    await settled();
    assert.deepEqual(await edge.open("asked", {}).answered, { ok: true }, "the link is up");
    edge.close("done");
  });

  test("others are counted without them", () => {
    const [edge] = linkPair({ maxStreams: 2, maxLongStreams: 2 });
    edge.open("login", {});
    edge.open("login", {});
    assert.throws(() => edge.open("login", {}), Full);
    edge.open("web", {}, { end: {} });
    edge.close("done");
  });

  test("a peer of an older version gets no more of them than it takes", () => {
    const [edge] = linkPair({ version: 2, maxStreams: 4 });
    for (let index = 0; index < 4; index += 1) edge.open("web", {}, { end: {} });
    assert.throws(() => edge.open("web", {}, { end: {} }), Full);
    edge.close("done");
  });
});

describe("what waits on a link is bounded in all", () => {
  const windowBytes = 16 * 1024;
  const stalled: Parameters<LinkStream["receive"]>[0] = {
    data: () => new Promise(() => {}),
    end() {},
    broken() {},
  };

  test("the stream with the most gives way, and the others go on", async () => {
    const [edge, hub] = linkPair({ windowBytes, maxHeldBytes: 10 * windowBytes });
    hub.onStream((stream) => {
      stream.receive({ data() {}, end() {}, broken() {} });
      stream.answer({});
      if ((stream.header as { large?: true }).large) stream.send(Buffer.alloc(windowBytes));
      else stream.send(Buffer.from("a little"));
    });
    const broken: number[] = [];
    const read = (large: boolean, index: number): void => {
      const stream = edge.open("web", large ? { large } : {}, { end: {} });
      stream.receive({ ...stalled, broken: () => void broken.push(index) });
    };
    for (let index = 0; index < 100; index += 1) read(false, index);
    for (let index = 100; index < 140; index += 1) read(true, index);
    await settled();
    assert.ok(broken.length >= 30, `${broken.length} gave way`);
    assert.ok(
      broken.every((index) => index >= 100),
      "only those that hold much",
    );
    const login = edge.open("web", {}, { end: {} });
    assert.deepEqual(await login.answered, {});
    edge.close("done");
  });

  test("what is over, taken or broken counts no more", async () => {
    const [edge, hub] = linkPair({ windowBytes, maxHeldBytes: 4 * windowBytes });
    let whole = 0;
    hub.onStream((stream) => {
      let got = 0;
      stream.receive({
        data: async (chunk) => {
          got += chunk.length;
          await turn();
        },
        end() {
          if (got === 10 * windowBytes) whole += 1;
          stream.answer({});
          stream.end();
        },
        broken() {},
      });
    });
    for (let round = 0; round < 50; round += 1) {
      const stream = edge.open("web", { pad: "x".repeat(1000) });
      stream.receive({ data() {}, end() {}, broken() {} });
      for (let part = 0; part < 10; part += 1) {
        if (!stream.send(Buffer.alloc(windowBytes))) await stream.drained();
      }
      stream.end();
      await stream.answered;
      const left = edge.open("web", {});
      left.send(Buffer.alloc(3 * windowBytes)); // more than there is credit for
      left.abort("client went away");
    }
    assert.equal(whole, 50);
    edge.close("done");
  });

  test("headers count: who opens many large ones loses them, not the link", async () => {
    const [edge, hub] = linkPair({ maxHeldBytes: 1024 * 1024 });
    let seen = 0;
    hub.onStream((stream) => {
      seen += 1;
      if (stream.kind === "login") stream.answer({ ok: true });
    });
    const refused: Promise<unknown>[] = [];
    for (let index = 0; index < 40; index += 1) {
      refused.push(edge.open("web", { pad: "x".repeat(100_000) }, { end: {} }).answered);
    }
    const outcomes = Promise.allSettled(refused);
    await settled();
    assert.deepEqual(await edge.open("login", {}).answered, { ok: true });
    edge.close("done");
    const reasons = (await outcomes).map((one) =>
      one.status === "rejected" ? String(one.reason) : "",
    );
    assert.ok(reasons.filter((why) => why.includes("too much waits")).length >= 30);
    assert.equal(seen, 41);
  });
});
