/** One gateway's answers, whatever its source says. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#base/clock";
import { Unavailable } from "#base/errors";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { systemRandom } from "#base/random";
import { fakeClock, settle } from "../../../tests/kit/fake-clock.ts";
import { gatewayEvents } from "./events.ts";
import { completeGateway, gatewayParameters } from "./settings.ts";
import { Verifier } from "./verifier.ts";

const given = { ...defaultsOf(gatewayParameters), domains: ["example.org"] };
const ports = {
  clock: systemClock,
  random: systemRandom,
  events: gatewayEvents(silentLog, new Registry()),
};

test("the spellings of one address are one question", async () => {
  const asked: string[] = [];
  const source = {
    async has(address: string) {
      asked.push(address);
      return true;
    },
    async [Symbol.asyncDispose]() {},
  };
  const gateway = completeGateway("old", { ...given, recipients: "list", listFile: "people" });
  await using verifier = new Verifier(gateway, source, ports);
  for (const name of ["Ana", "ana", "aNa", "ANA"]) {
    assert.equal(await verifier.ask(`${name}@example.org`), "known");
  }
  assert.deepEqual(asked, ["Ana@example.org"]);
});

test("nothing that a server says moves the cursor of an administrator's terminal", async () => {
  const source = {
    has: () => Promise.reject(new Unavailable("said 550 \u001b]0;x\u0007\u009b2J no")),
    async [Symbol.asyncDispose]() {},
  };
  await using verifier = new Verifier(completeGateway("old", given), source, ports);
  assert.equal(await verifier.ask("ana@example.org"), "later");
  assert.equal(verifier.trouble, "said 550  ]0;x  2J no");
});

test("a question that waits for others is answered in time, too", async () => {
  const clock = fakeClock();
  let asked = 0;
  const source = {
    has: () => {
      asked += 1;
      return new Promise<boolean>(() => {});
    },
    async [Symbol.asyncDispose]() {},
  };
  await using verifier = new Verifier(completeGateway("old", given), source, { ...ports, clock });
  const answers: string[] = [];
  for (let nth = 0; nth < 100; nth += 1) {
    void verifier.ask(`u${nth}@example.org`).then((answer) => answers.push(answer));
  }
  await settle(60);
  await clock.advance(15_000);
  await settle(60);
  assert.deepEqual(
    answers,
    Array.from({ length: 100 }, () => "later"),
  );
  assert.equal(asked, 16, "nobody hears the others' answers any more");
});
