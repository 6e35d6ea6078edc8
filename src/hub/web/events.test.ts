import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#base/clock";
import { type LinkStream, linkPair } from "#contracts/link";
import type { WebRequest, WebResponse } from "#contracts/web";
import type { AccountId } from "#model/mailbox";
import { eventCounts, pushEvents } from "./events.ts";
import { exchangeOn } from "./exchange.ts";
import type { WebJmap } from "./ports.ts";

test("W14 one person's open pages take no more than their share of the link", async () => {
  const [edge, hub] = linkPair();
  const counts = eventCounts();
  let watched = 0;
  const watch = (): (() => void) => {
    watched += 1;
    return () => (watched -= 1);
  };
  hub.onStream((stream) => {
    const exchange = exchangeOn(stream, stream.header as WebRequest);
    assert.ok(exchange);
    const address = exchange.ask.host;
    const person = { id: address as AccountId, address, displayName: "" };
    const pulse = { clock: systemClock, stillValid: () => true, counts };
    void pushEvents({ watch } as unknown as WebJmap, person, exchange, pulse);
  });
  const page = async (host: string): Promise<readonly [LinkStream, WebResponse]> => {
    const stream = edge.open("web", { method: "GET", target: "/jmap/events", host }, { end: {} });
    return [stream, (await stream.answered) as WebResponse];
  };
  const statusOf = ([, answer]: readonly [LinkStream, WebResponse]) =>
    "status" in answer && answer.status;
  const pages = await Promise.all(Array.from({ length: 100 }, () => page("ana")));
  assert.equal(pages.filter((one) => statusOf(one) === 200).length, 64);
  assert.equal(pages.filter((one) => statusOf(one) === 429).length, 36);
  assert.equal(statusOf(await page("ben")), 200);
  for (const [stream] of pages) stream.abort("page closed");
  for (let turn = 0; turn < 100 && watched > 1; turn += 1) await new Promise(setImmediate);
  assert.equal(watched, 1);
  assert.equal(statusOf(await page("ana")), 200);
  edge.close("done");
});
