/**
 * W11: nobody learns from answers or their time who has an account here. The suite takes few samples
 * and a wide bound; run this file as a program with a number for the real figure:
 * `node src/hub/login/enumeration.test.ts 10000`, with a word for the pairs that hold it.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { areaUnderCurve, timeInTurns } from "../../../tests/kit/timing.ts";
import { from, type House, handleOf, host, openHouse, pendingOf } from "./fixture.test.ts";

/** With few samples the figure of equal times strays this far by chance (five standard errors). */
const bound = (samples: number): number =>
  samples >= 5000 ? 0.05 : 5 * Math.sqrt(1 / (6 * samples));

interface Pair {
  readonly what: string;
  one(house: House, round: number): Promise<unknown>;
  other(house: House, round: number): Promise<unknown>;
}

const step = (house: House, name: string) =>
  house.login.step({ step: "password", name, password: "wrong", publicComputer: false, ...from });
const people = 16;
const known = (round: number): string => `p${round % people}@example.org`;
const guarded = (round: number): string => `g${round % people}@example.org`;
const unknown = (round: number): string => `q${round % people}@example.org`;
const elsewhere = (round: number): string => `p${round % people}@example.net`;

const nobody = "00112233445566778899aabbccddeeff";

const pairs: readonly Pair[] = [
  {
    what: "password: known and unknown name",
    one: (house, round) => step(house, known(round)),
    other: (house, round) => step(house, unknown(round)),
  },
  {
    what: "password: unknown name here and elsewhere",
    one: (house, round) => step(house, unknown(round)),
    other: (house, round) => step(house, elsewhere(round)),
  },
  {
    what: "password: with and without a second factor",
    one: (house, round) => step(house, guarded(round)),
    other: (house, round) => step(house, known(round)),
  },
  {
    what: "basic: known and unknown name",
    one: (house, round) => house.login.basic(known(round), "wrong", from.clientAddress),
    other: (house, round) => house.login.basic(unknown(round), "wrong", from.clientAddress),
  },
  {
    what: "passkey: of somebody and of nobody",
    one: (house) => passkey(house, house.id),
    other: (house) => passkey(house, nobody),
  },
];

async function passkey(house: House, handle: string): Promise<unknown> {
  const challenge = { step: "passkey-challenge", publicComputer: false, ...from } as const;
  const pending = pendingOf(await house.login.step(challenge));
  const userHandle = Buffer.from(handle).toString("base64url");
  const credential = JSON.stringify({ id: "AAAA", response: { userHandle } });
  return house.login.step({ step: "passkey", pending, credential, ...from });
}

async function crowd(): Promise<House> {
  const limits = { accountFailures: 1e9, networkFailures: 1e9, hashMemoryKib: 8192, hashPasses: 1 };
  const house = await openHouse({ limits, isReal: true });
  for (let number = 0; number < people; number += 1) {
    for (const address of [known(number), guarded(number)]) {
      await house.directory.addAccount(
        { address, displayName: "", password: "long enough" },
        "test",
      );
    }
    const person = house.directory.personByAddress(guarded(number));
    assert.ok(person);
    const totp = {
      kind: "totp",
      id: "t",
      name: "",
      addedAtMs: 1,
      secret: "AA",
      usedStep: 0,
    } as const;
    await house.directory.changeFactors(person.id, "test", () => [totp]);
  }
  handleOf(await house.enter());
  return house;
}

async function* figures(samples: number, word = ""): AsyncGenerator<readonly [string, number]> {
  const house = await crowd();
  for (const { what, one, other } of pairs.filter((pair) => pair.what.includes(word))) {
    const times = await timeInTurns(
      samples,
      (round) => one(house, round),
      (round) => other(house, round),
    );
    yield [what, areaUnderCurve(...times)];
  }
}

const wanted = Number(process.argv[2]);
if (Number.isSafeInteger(wanted) && wanted > 0) {
  for await (const [what, area] of figures(wanted, process.argv[3])) {
    process.stdout.write(`${area.toFixed(4)}  ${what}, ${wanted} samples each\n`);
  }
} else {
  describe("W11 the time of an answer", () => {
    test("tells nothing of who has an account", async (t) => {
      const samples = 25;
      for await (const [what, area] of figures(samples)) {
        t.diagnostic(`${area.toFixed(3)}  ${what}`);
        assert.ok(Math.abs(area - 0.5) < bound(samples), `${what}: ${area}`);
      }
    });

    test("nor does the answer itself", async () => {
      const house = await crowd();
      const refused = { ok: false, reason: "refused" };
      for (const { one, other } of pairs) {
        assert.deepEqual([await one(house, 3), await other(house, 3)], [refused, refused]);
      }
      const asked = { step: "passkey-challenge", publicComputer: false, ...from } as const;
      const outcome = await house.login.step(asked);
      assert.ok(!outcome.ok && outcome.reason === "challenge");
      assert.deepEqual(Object.keys(JSON.parse(outcome.options) as object).sort(), [
        "challenge",
        "rpId",
        "timeout",
        "userVerification",
      ]);
      assert.equal((JSON.parse(outcome.options) as { rpId: string }).rpId, host);
    });

    test("and the figure itself tells what differs from what does not", () => {
      const few = [1, 2, 3, 4];
      assert.equal(areaUnderCurve(few, few), 0.5);
      assert.equal(areaUnderCurve([5, 6], few), 1);
      assert.equal(areaUnderCurve(few, [5, 6]), 0);
    });
  });
}
