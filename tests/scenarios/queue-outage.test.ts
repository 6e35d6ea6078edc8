/** V1: the link is gone for three days, or comes and goes: nothing is lost, nothing comes twice. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { seededRandom } from "#base/random";
import { NoWayOut } from "#transport/queue";
import { settle } from "../kit/fake-clock.ts";
import { surviveOutage } from "../kit/link-outage.ts";
import { house } from "../kit/outbound.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-outage-"));
after(() => rmSync(folder, { recursive: true }));

describe("V1 without a link", () => {
  test("V1-Q1 three days, a real ledger: each of 2,000 messages arrives once, none is given up", async () => {
    const survived = await surviveOutage({ messages: 2000, domains: 10, hours: 72, folder });
    assert.equal(survived.notices, 2000);
    assert.ok(survived.dials < 2000, `${survived.dials} dials for 10 domains`);
  });

  for (const seed of [1, 2, 3, 4, 5]) {
    test(`V1-Q${seed + 1} a link that breaks at random in the middle of it all (seed ${seed})`, async () => {
      const random = seededRandom(seed);
      let isCalm = false;
      const chance = (of: number): boolean => !isCalm && random.fraction() < of;
      // Not at the end of the content: who breaks off there may have the message (RFC 1047).
      const answer = (line: string) =>
        chance(0.08) && !line.startsWith(".") && line !== "QUIT" ? "close" : undefined;
      const zone = { "one.test A": [{ address: "198.51.100.1" }] };
      const at = house({ "198.51.100.1": { answer } }, { zone });
      const { dial } = at.deps;
      const broken: typeof dial = async (...args) => {
        if (chance(0.2)) at.now.outage = "there is no link to the mail edge";
        if (at.now.outage !== undefined) throw new NoWayOut(at.now.outage);
        return dial(...args);
      };
      const queue = (await import("#transport/queue")).createQueue({ ...at.deps, dial: broken });
      for (let nth = 0; nth < 200; nth += 1) {
        at.store.add(`q${nth}`, `u${nth}@one.test`, at.clock.nowMs(), { message: `m${nth}` });
      }
      await queue.start();
      for (let minute = 0; minute < 300; minute += 1) {
        await at.clock.advance(60_000);
        await settle(20);
        isCalm = minute > 200;
        delete at.now.outage;
        queue.wake();
      }
      const got = at.sinks.get("198.51.100.1")?.mails.flatMap(({ recipients }) => recipients) ?? [];
      assert.deepEqual([got.length, new Set(got).size], [200, 200]);
      const states = new Set([...at.store.items.values()].map(({ state }) => state));
      assert.deepEqual([...states], ["delivered"]);
      await queue.stop();
    });
  }
});
