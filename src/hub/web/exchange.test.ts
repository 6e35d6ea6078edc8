import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { linkPair } from "#contracts/link";
import type { WebRequest } from "#contracts/web";
import { BodyRoom, type Exchange, exchangeOn, wholeBody } from "./exchange.ts";

const ask: WebRequest = {
  ...{ application: "postern", method: "POST", target: "/jmap/api", host: "mail.example" },
  ...{ headers: [], body: 3000, clientAddress: "192.0.2.1" },
};

/** @returns how many of forty requests were answered on a link that takes sixteen at once */
async function answered(serve: (exchange: Exchange) => void | Promise<void>): Promise<number> {
  const [edge, hub] = linkPair({ maxLongStreams: 16 });
  hub.onStream((stream) => {
    const exchange = exchangeOn(stream, ask);
    if (exchange !== undefined) void serve(exchange);
  });
  let count = 0;
  for (; count < 40; count += 1) {
    const stream = edge.open("web", ask, { data: Buffer.alloc(1000) });
    stream.receive({ data() {}, end() {}, broken() {} });
    stream.send(Buffer.alloc(2000));
    stream.end();
    try {
      await stream.answered;
    } catch {
      break;
    }
  }
  edge.close("done");
  return count;
}

describe("exchangeOn()", () => {
  test("a body that nobody reads takes no place on the link", async () => {
    assert.equal(await answered((exchange) => exchange.refuse("session")), 40);
  });

  test("nor does one that is longer than its reader wants", async () => {
    const room = new BodyRoom(1_000_000);
    const serve = async (exchange: Exchange): Promise<void> => {
      const octets = await wholeBody(exchange.body, 500, room, "ana");
      exchange.json(octets === undefined ? 413 : 200, {});
    };
    assert.equal(await answered(serve), 40);
  });
});
