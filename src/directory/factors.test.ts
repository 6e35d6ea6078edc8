import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { pick, seededRandom, systemRandom } from "#base/random";
import {
  directoryParameters,
  type Factor,
  makeAppPassword,
  openDirectory,
  withoutFactor,
} from "#directory";
import { fakeClock } from "../../tests/kit/fake-clock.ts";
import { memoryFactors, memoryPeople } from "../../tests/kit/memory-people.ts";
import { findAppPassword } from "./app-passwords.ts";
import type { AnyDoor } from "./login.ts";

const password = "correct horse";
const totp: Factor = {
  ...{ kind: "totp", id: "t", name: "phone", addedAtMs: 1, secret: "AAAA", usedStep: -1 },
};

async function house(options: { needsSecondFactor?: boolean } = {}) {
  const [people, factors, clock] = [memoryPeople(), memoryFactors(), fakeClock()];
  let hashes = 0;
  const open = () =>
    openDirectory({
      ...{ people, factors, clock, random: seededRandom(1), log: silentLog },
      registry: new Registry(),
      limits: defaultsOf(directoryParameters),
      needsSecondFactor: options.needsSecondFactor ?? false,
      derive: async (given, salt, _cost, tagBytes) => {
        hashes += 1;
        return Buffer.alloc(tagBytes, `${given}\0${salt.toString("hex")}`);
      },
    });
  const directory = await open();
  await directory.addDomain("example.org", "test");
  const made = await directory.addAccount(
    { address: "ana@example.org", displayName: "Ana", password },
    "test",
  );
  assert.ok(made.ok);
  const { id } = made.value;
  const put = (...all: readonly Factor[]) => directory.changeFactors(id, "test", () => all);
  const enter = async (door: AnyDoor, given = password, from = "192.0.2.1"): Promise<string> => {
    const outcome = await directory.login("ana@example.org", given, door, from);
    return outcome.ok ? "ok" : outcome.reason;
  };
  return { directory, open, clock, factors, id, put, enter, hashes: () => hashes };
}

const programs = ["imap", "pop3", "submission", "basic"] as const;

function appPassword(): { password: string; factor: Factor } {
  const made = makeAppPassword(systemRandom);
  const factor = { kind: "app-password", id: "a", name: "tablet", addedAtMs: 1 } as const;
  return { password: made.password, factor: { ...factor, digest: made.digest } };
}

describe("who has a second factor", () => {
  test("enters the form by the password, and programs by an app password only", async () => {
    const { put, enter } = await house();
    for (const door of [...programs, "web"] as const) assert.equal(await enter(door), "ok", door);
    const app = appPassword();
    await put(totp, app.factor);
    assert.equal(await enter("web"), "ok", "a step, which the web login goes on from");
    for (const door of programs) {
      // Also while the right password is remembered.
      assert.equal(await enter(door), "refused", door);
      assert.equal(await enter(door, app.password), "ok", door);
    }
    assert.equal(await enter("web", app.password), "refused", "no person types that");
  });

  test("a refused program costs a hash, right or wrong, so that no time tells", async () => {
    const { put, enter, hashes } = await house();
    await enter("web");
    await put(totp);
    for (const given of [password, "wrong password"]) {
      const before = hashes();
      assert.equal(await enter("imap", given, "198.51.100.1"), "refused");
      assert.equal(hashes() - before, 1, given);
    }
  });

  test("where everybody needs one, no program enters by a password", async () => {
    const { put, enter } = await house({ needsSecondFactor: true });
    assert.equal(await enter("imap"), "refused");
    const app = appPassword();
    await put(app.factor);
    assert.equal(await enter("imap", app.password), "ok");
    assert.equal(await enter("web"), "ok");
  });
});

describe("app passwords", () => {
  test("are 140 random bits, known again however programs spell them", () => {
    const { password: made, factor } = appPassword();
    assert.match(made, /^[a-z2-7]{4}(-[a-z2-7]{4}){6}$/);
    for (const given of [made, made.toUpperCase(), made.replaceAll("-", " "), ` ${made} `]) {
      assert.equal(findAppPassword(given, [factor]), factor.id);
    }
    assert.equal(findAppPassword(appPassword().password, [factor, totp]), undefined);
    const all = Array.from({ length: 200 }, () => appPassword().password);
    assert.equal(new Set(all).size, 200);
    assert.equal(new Set(all.join("").replaceAll("-", "")).size, 32, "every letter comes");
  });

  test("work beside the password without a second factor, and end when they are removed", async () => {
    const { directory, id, put, enter } = await house();
    const app = appPassword();
    await put(app.factor);
    assert.equal(await enter("imap"), "ok");
    assert.equal(await enter("imap", app.password), "ok");
    await directory.changeFactors(id, "test", (factors) => withoutFactor(factors, "a"));
    assert.equal(await enter("imap", app.password), "refused");
  });

  test("are slowed down like passwords when they are guessed (W10)", async () => {
    const { put, enter } = await house();
    const app = appPassword();
    await put(app.factor);
    for (let round = 0; round < 10; round += 1) await enter("imap", appPassword().password);
    assert.equal(await enter("imap", appPassword().password), "slow-down");
    assert.equal(await enter("imap", app.password), "slow-down", "also the right one, from there");
  });

  test("never throw for whatever is given (fuzz)", () => {
    const { password: made, factor } = appPassword();
    const random = seededRandom(3);
    for (let round = 0; round < 5000; round += 1) {
      const at = pick(random, made.length);
      const given = made.slice(0, at) + String.fromCodePoint(pick(random, 0xd7ff)) + made.slice(at);
      const found = findAppPassword(given, [factor]) !== undefined;
      assert.equal(found, given.trim() === made, JSON.stringify(given));
    }
    assert.equal(findAppPassword("a".repeat(1e6), [factor]), undefined);
  });
});

describe("changeFactors()", () => {
  test("is one after the other, durable, and bounded", async () => {
    const { directory, open, factors, id, put } = await house();
    await put(totp);
    // Two uses of the same step at the same moment: only one may find it unused.
    const use = () =>
      directory.changeFactors(id, "login", ([one]) =>
        one?.kind === "totp" && one.usedStep < 5 ? [{ ...one, usedStep: 5 }] : undefined,
      );
    assert.deepEqual((await Promise.all([use(), use(), use()])).filter(Boolean), [true]);
    assert.deepEqual(await factors.all(), [{ account: id, factors: [{ ...totp, usedStep: 5 }] }]);
    assert.deepEqual((await open()).factors(id), [{ ...totp, usedStep: 5 }]);
    const many = Array.from({ length: 51 }, (_, index) => ({ ...totp, id: String(index) }));
    assert.equal(await put(...many), false);
    assert.equal(await directory.changeFactors("nobody", "test", () => [totp]), false);
  });

  test("tells no edge, and factors go with their account", async () => {
    const { directory, id, put } = await house();
    let told = 0;
    directory.onChange(() => {
      told += 1;
    });
    await put(totp);
    assert.equal(told, 0);
    await directory.setPassword("ana@example.org", "another horse", "test");
    assert.deepEqual(directory.factors(id), [totp], "a new password leaves them");
    await directory.removeAccount("ana@example.org", "test");
    assert.deepEqual(directory.factors(id), []);
  });

  test("withoutFactor() takes recovery codes away with the last that they stand in for", () => {
    const codes: Factor = {
      ...{ kind: "recovery-codes", id: "r", name: "", addedAtMs: 1, digests: ["x"] },
    };
    const other = { ...totp, id: "u" };
    assert.deepEqual(withoutFactor([totp, codes, other], "u"), [totp, codes]);
    assert.deepEqual(withoutFactor([totp, codes], "t"), []);
  });
});

describe("tryCode()", () => {
  test("W10 slows down guesses at codes, and not who was let in from there before", async () => {
    const { directory, clock, id } = await house();
    const attempt = (from: string, isRight: boolean) =>
      directory.tryCode(id, from, async () => isRight);
    assert.equal(await attempt("192.0.2.1", true), "right");
    let checked = 0;
    for (let round = 0; round < 1000; round += 1) {
      const outcome = await attempt(`198.51.100.${round % 200}`, false);
      checked += outcome === "wrong" ? 1 : 0;
    }
    assert.equal(checked, 10, "of a thousand guesses from two hundred addresses");
    assert.equal(await attempt("203.0.113.1", true), "slow-down");
    assert.equal(await attempt("192.0.2.1", true), "right");
    await clock.advance(300_000);
    assert.equal(await attempt("203.0.113.1", true), "right");
  });
});
