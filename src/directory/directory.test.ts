import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { seededRandom } from "#base/random";
import { directoryParameters, openDirectory } from "#directory";
import { fakeClock } from "../../tests/kit/fake-clock.ts";
import { memoryFactors, memoryPeople } from "../../tests/kit/memory-people.ts";
import type { Derive } from "./passwords.ts";

/** Stands for Argon2id where the number of hashes matters, not their strength. */
function countedDerive(): { readonly derive: Derive; readonly costs: string[] } {
  const costs: string[] = [];
  return {
    costs,
    derive: async (password, salt, cost, tagBytes) => {
      costs.push(`${cost.memoryKib}/${cost.passes}/${tagBytes}`);
      const mixed = Buffer.from(`${password}\0${salt.toString("hex")}\0${cost.passes}`);
      return Buffer.alloc(tagBytes, mixed.length > 0 ? mixed : "x");
    },
  };
}

const password = "correct horse";

async function house(
  options: {
    limits?: object;
    derive?: Derive;
    needsSecondFactor?: boolean;
    gatewayDomains?: readonly string[];
  } = {},
) {
  const people = memoryPeople();
  const factors = memoryFactors();
  const clock = fakeClock();
  const counted = countedDerive();
  const open = (limits: object = {}) =>
    openDirectory({
      people,
      factors,
      needsSecondFactor: options.needsSecondFactor ?? false,
      gatewayDomains: options.gatewayDomains ?? [],
      clock,
      random: seededRandom(1),
      log: silentLog,
      registry: new Registry(),
      limits: { ...defaultsOf(directoryParameters), ...options.limits, ...limits },
      derive: options.derive ?? counted.derive,
    });
  const directory = await open();
  await directory.addDomain("Example.ORG", "test");
  await directory.addAccount(
    { address: "Alice@example.org", displayName: "Alice", password },
    "test",
  );
  await directory.addAccount({ address: "bob@example.org", displayName: "Bob", password }, "test");
  counted.costs.length = 0;
  return { people, clock, directory, open, costs: counted.costs };
}

describe("openDirectory()", () => {
  test("hashes with Argon2id for real, and knows right from wrong", async () => {
    const people = memoryPeople();
    const directory = await openDirectory({
      people,
      factors: memoryFactors(),
      needsSecondFactor: false,
      clock: fakeClock(),
      random: seededRandom(7),
      log: silentLog,
      registry: new Registry(),
      limits: defaultsOf(directoryParameters),
    });
    await directory.addDomain("example.org", "test");
    await directory.addAccount({ address: "a@example.org", displayName: "A", password }, "test");
    const [account] = await people.accounts();
    assert.match(account?.passwordHash ?? "", /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    const right = await directory.login("A@Example.org", password, "imap", "192.0.2.1");
    assert.equal(right.ok && right.person.address, "a@example.org");
    const wrong = await directory.login("a@example.org", "Correct horse", "imap", "192.0.2.1");
    assert.deepEqual(wrong, { ok: false, reason: "refused" });
  });

  test("reads the store when it opens again", async () => {
    const { open, directory } = await house();
    await directory.addAlias("team@example.org", ["alice@example.org"], "test");
    const again = await open();
    assert.equal(again.personByAddress("ALICE@example.org")?.displayName, "Alice");
    assert.equal(again.resolve("team@example.org").length, 1);
    assert.ok((await again.login("alice@example.org", password, "web", "192.0.2.1")).ok);
  });

  test("tells listeners of each change until they stop", async () => {
    const { directory } = await house();
    let changes = 0;
    const stop = directory.onChange(() => {
      changes += 1;
    });
    await directory.addAlias("x@example.org", ["bob@example.org"], "test");
    await directory.addAlias("x@nowhere.test", ["bob@example.org"], "test");
    stop();
    await directory.removeAlias("x@example.org", "test");
    assert.equal(changes, 1);
  });
});

describe("login()", () => {
  test("does the same work for unknown names, wrong passwords and accounts without one (W11)", async () => {
    const { directory, costs } = await house();
    await directory.addAccount({ address: "carol@example.org", displayName: "Carol" }, "test");
    const work: string[][] = [];
    for (const name of [
      "alice@example.org",
      "nobody@example.org",
      "x@y.test",
      "carol@example.org",
      "",
    ]) {
      costs.length = 0;
      const outcome = await directory.login(name, "wrong", "imap", "192.0.2.1");
      assert.deepEqual(outcome, { ok: false, reason: "refused" });
      work.push([...costs]);
    }
    for (const one of work) assert.deepEqual(one, ["19456/2/32"]);
  });

  test("slows down known and unknown names after as many failures (W10, W11)", async () => {
    const { directory } = await house();
    const tries = async (name: string): Promise<string[]> => {
      const reasons: string[] = [];
      for (let count = 0; count < 12; count += 1) {
        const from = `198.51.100.${count}`;
        const outcome = await directory.login(name, `guess ${count}`, "imap", from);
        reasons.push(outcome.ok ? "ok" : outcome.reason);
      }
      return reasons;
    };
    const known = await tries("alice@example.org");
    assert.deepEqual(known, await tries("nobody@example.org"));
    assert.equal(known[9], "refused");
    assert.equal(known[10], "slow-down");
  });

  test("W10 counts guesses at one account together, however its name is spelled", async () => {
    const { directory } = await house();
    const spelled = ["alice@example.org", "ALICE@example.org", "Alice@Example.ORG"];
    const outcomes = [];
    for (let round = 0; round < 11; round += 1) {
      const name = spelled[round % 3] ?? "";
      const outcome = await directory.login(name, "wrong", "web", `198.51.100.${round}`);
      outcomes.push(outcome.ok ? "ok" : outcome.reason);
    }
    assert.deepEqual(outcomes.slice(9), ["refused", "slow-down"]);
  });

  test("W10 of 100,000 guesses from 10,000 networks ten are tried, and the owner enters throughout", async () => {
    const { directory, costs } = await house();
    const owner = (): Promise<{ ok: boolean }> =>
      directory.login("alice@example.org", password, "web", "192.0.2.1");
    assert.ok((await owner()).ok);
    costs.length = 0;
    for (let round = 0; round < 100_000; round += 1) {
      const from = `10.${(round >> 8) % 40}.0.${round & 255}`;
      await directory.login("alice@example.org", `guess ${round}`, "web", from);
      if (round % 20_000 === 0) assert.ok((await owner()).ok);
    }
    assert.equal(costs.length, 10);
  });

  test("slows down a network that tries many names", async () => {
    const { directory } = await house();
    let last = "";
    for (let count = 0; count < 31; count += 1) {
      const outcome = await directory.login(`u${count}@example.org`, "x", "web", "2001:db8::1");
      last = outcome.ok ? "ok" : outcome.reason;
    }
    assert.equal(last, "slow-down");
    const neighbour = await directory.login("u@example.org", "x", "web", "2001:db8:0:1::1");
    assert.deepEqual(neighbour, { ok: false, reason: "refused" });
  });

  test("never shuts out who logged in from there before, even with a new password (W10)", async () => {
    const { directory, clock } = await house();
    const home = "203.0.113.9";
    assert.ok((await directory.login("alice@example.org", password, "imap", home)).ok);
    await clock.advance(3_600_000);
    for (let count = 0; count < 50; count += 1) {
      await directory.login("alice@example.org", `guess ${count}`, "imap", `198.51.100.${count}`);
      await directory.login(`u${count}@example.org`, "guess", "imap", home);
    }
    assert.ok((await directory.login("alice@example.org", password, "imap", home)).ok);
    await directory.setPassword("alice@example.org", "another password", "test");
    assert.ok((await directory.login("alice@example.org", "another password", "web", home)).ok);
  });

  test("lets strangers in again after a while", async () => {
    const { directory, clock } = await house();
    for (let count = 0; count < 20; count += 1) {
      await directory.login("bob@example.org", `guess ${count}`, "imap", `198.51.100.${count}`);
    }
    const login = () => directory.login("bob@example.org", password, "imap", "192.0.2.7");
    assert.deepEqual(await login(), { ok: false, reason: "slow-down" });
    await clock.advance(31_000);
    assert.ok((await login()).ok);
  });

  test("recognises a correct password without hashing it again, until it changes or expires", async () => {
    const { directory, clock, costs } = await house();
    const login = (word = password) =>
      directory.login("alice@example.org", word, "imap", "192.0.2.1");
    await login();
    await login();
    assert.equal(costs.length, 1);
    await clock.advance(601_000);
    await login();
    assert.equal(costs.length, 2);
    await directory.setPassword("alice@example.org", "a new password", "test");
    assert.deepEqual(await login(), { ok: false, reason: "refused" });
    assert.ok((await login("a new password")).ok);
  });

  test("hashes once for connections that log in together", async () => {
    const { directory, costs } = await house();
    const login = () => directory.login("alice@example.org", password, "imap", "192.0.2.1");
    const outcomes = await Promise.all([login(), login(), login(), login(), login()]);
    assert.ok(outcomes.every((outcome) => outcome.ok));
    assert.equal(costs.length, 1);
  });

  test("turns away more than it can hash, and charges nobody for that", async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { derive } = countedDerive();
    let hold = false;
    const { directory } = await house({
      limits: { hashWidth: 1, hashDepth: 1 },
      derive: async (...args) => {
        if (hold) await held;
        return derive(...args);
      },
    });
    hold = true;
    const tries = [1, 2, 3].map((at) =>
      directory.login(`u${at}@example.org`, "x", "imap", "192.0.2.1"),
    );
    assert.deepEqual(await tries[2], { ok: false, reason: "busy" });
    release();
    assert.deepEqual(await Promise.all(tries.slice(0, 2)), [
      { ok: false, reason: "refused" },
      { ok: false, reason: "refused" },
    ]);
  });

  test("refuses who was removed, though the password was right a moment ago", async () => {
    const { directory } = await house();
    assert.ok((await directory.login("bob@example.org", password, "imap", "192.0.2.1")).ok);
    await directory.removeAccount("bob@example.org", "test");
    const outcome = await directory.login("bob@example.org", password, "imap", "192.0.2.1");
    assert.deepEqual(outcome, { ok: false, reason: "refused" });
  });

  test("hashes anew when the parameters have changed", async () => {
    const { open, people } = await house();
    const stricter = await open({ hashPasses: 3 });
    assert.ok((await stricter.login("bob@example.org", password, "imap", "192.0.2.1")).ok);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(people.writes.at(-1), "login put bob@example.org");
    const bob = (await people.accounts()).find(({ address }) => address.startsWith("bob"));
    assert.match(bob?.passwordHash ?? "", /t=3,/);
    assert.ok((await stricter.login("bob@example.org", password, "imap", "192.0.2.1")).ok);
  });

  test("fails closed on a damaged hash", async () => {
    const { people, open } = await house();
    const [alice] = await people.accounts();
    assert.ok(alice);
    await people.putAccount(
      { ...alice, passwordHash: "$argon2id$v=19$m=9999999,t=2,p=1$YWJj$x" },
      "t",
    );
    const directory = await open();
    const outcome = await directory.login(alice.address, password, "imap", "192.0.2.1");
    assert.deepEqual(outcome, { ok: false, reason: "refused" });
  });
});

describe("resolve() and sending", () => {
  test("folds case and sub-addresses, and knows nobody elsewhere", async () => {
    const { directory } = await house();
    const alice = directory.personByAddress("alice@example.org")?.id;
    for (const address of ["alice@example.org", "ALICE@EXAMPLE.ORG", "alice+tag@example.org"]) {
      assert.deepEqual(directory.resolve(address), [{ kind: "account", account: alice }]);
    }
    for (const address of [
      "carol@example.org",
      "alice@elsewhere.test",
      "+x@example.org",
      "",
      "@",
    ]) {
      assert.deepEqual(directory.resolve(address), []);
    }
  });

  test("follows aliases once each, through loops, at most 10 deep", async () => {
    const { people, open } = await house();
    const put = (name: string, ...targets: string[]): Promise<void> => {
      const paths = targets.map((target) => `${target}@example.org`);
      return people.putAlias({ address: `${name}@example.org`, targets: paths }, "test");
    };
    await put("a", "b", "alice");
    await put("b", "a", "alice");
    for (let depth = 0; depth < 15; depth += 1) {
      await put(`d${depth}`, depth === 14 ? "bob" : `d${depth + 1}`);
    }
    const directory = await open();
    await directory.addAlias("out@example.org", ["Friend@elsewhere.test", "a@example.org"], "test");
    assert.equal(directory.resolve("a@example.org").length, 1);
    assert.deepEqual(directory.resolve("out@example.org")[0], {
      kind: "elsewhere",
      address: "Friend@elsewhere.test",
    });
    assert.deepEqual(directory.resolve("d0@example.org"), []);
    assert.equal(directory.resolve("d5@example.org").length, 1);
  });

  test("in a gateway domain who is here stays here, and all others are inside", async () => {
    const { directory } = await house({ gatewayDomains: ["example.org"] });
    const alice = directory.personByAddress("alice@example.org")?.id ?? "";
    const here = { kind: "account", account: alice };
    const inside = (address: string) => ({ kind: "elsewhere", address });
    await directory.addAlias("team@example.org", ["alice@example.org", "Zoe@example.org"], "test");
    for (const [address, ...destinations] of [
      ["Alice+tag@example.org", here],
      ["Zoe+tag@example.org", inside("Zoe+tag@example.org")],
      ["postmaster@example.org", inside("postmaster@example.org")],
      ["team@example.org", here, inside("Zoe@example.org")],
      ["zoe@elsewhere.test"],
    ] as const) {
      assert.deepEqual(directory.resolve(address), destinations, address);
    }
    assert.ok(!directory.maySendAs(alice, "zoe@example.org"));
    const listed = directory.deliverableAddresses();
    assert.ok(listed.includes("postmaster@example.org") && !listed.includes("zoe@example.org"));
  });

  test("takes mail for postmaster even when nobody was named (RFC 5321 §4.5.1)", async () => {
    const { directory } = await house();
    const [first] = directory.resolve("Postmaster@example.org");
    assert.equal(first?.kind, "account");
    await directory.addAlias("postmaster@example.org", ["bob@example.org"], "test");
    assert.deepEqual(directory.resolve("postmaster@example.org"), [
      { kind: "account", account: directory.personByAddress("bob@example.org")?.id },
    ]);
  });

  test("lets an account send as itself and as aliases that lead to it alone", async () => {
    const { directory } = await house();
    const alice = directory.personByAddress("alice@example.org")?.id ?? "";
    await directory.addAlias("sales@example.org", ["alice@example.org"], "test");
    await directory.addAlias("all@example.org", ["alice@example.org", "bob@example.org"], "test");
    assert.ok(directory.maySendAs(alice, "Alice+list@example.org"));
    assert.ok(directory.maySendAs(alice, "sales@example.org"));
    assert.ok(!directory.maySendAs(alice, "all@example.org"));
    assert.ok(!directory.maySendAs(alice, "bob@example.org"));
    assert.ok(!directory.maySendAs(alice, "alice@elsewhere.test"));
    assert.ok(!directory.maySendAs("", "carol@example.org"));
    assert.deepEqual(directory.identities(alice), ["alice@example.org", "sales@example.org"]);
  });

  test("lists what can be delivered", async () => {
    const { directory } = await house();
    await directory.addAccount({ address: "gone@example.org", displayName: "" }, "test");
    await directory.addAlias("dead@example.org", ["gone@example.org"], "test");
    await directory.removeAccount("gone@example.org", "test");
    assert.deepEqual([...directory.deliverableAddresses()].sort(), [
      "alice@example.org",
      "bob@example.org",
      "postmaster@example.org",
    ]);
  });
});

describe("administration", () => {
  test("refuses what would be ambiguous, unusable or weak", async () => {
    const { directory } = await house();
    const add = async (address: string, word = password): Promise<string> => {
      const outcome = await directory.addAccount({ address, displayName: "", password: word }, "t");
      return outcome.ok ? "ok" : outcome.fault;
    };
    assert.equal(await add("alice@example.org"), "exists");
    assert.equal(await add("alice@elsewhere.test"), "not-local");
    assert.equal(await add("a b@example.org"), "bad-address");
    assert.equal(await add("a\r\n@example.org"), "bad-address");
    assert.equal(await add("dora@example.org", "short"), "weak-password");
    assert.equal(await add("größe@example.org"), "ok");
    const domain = await directory.removeDomain("example.org", "t");
    assert.deepEqual(domain, { ok: false, fault: "in-use" });
    assert.deepEqual(await directory.addDomain("-bad.test", "t"), {
      ok: false,
      fault: "bad-domain",
    });
  });

  test("refuses aliases that lead to nobody, or in a circle", async () => {
    const { directory } = await house();
    const set = async (name: string, ...targets: string[]): Promise<string> => {
      const outcome = await directory.addAlias(`${name}@example.org`, targets, "t");
      return outcome.ok ? "ok" : outcome.fault;
    };
    assert.equal(await set("team", "alice@example.org", "nobody@example.org"), "no-such-target");
    assert.equal(await set("team", "Team@example.org"), "loop");
    assert.equal(await set("team", "team+tag@example.org"), "loop");
    assert.equal(await set("team", "anybody@elsewhere.test", "alice+tag@example.org"), "ok");
    assert.equal(await set("all", "team@example.org", "postmaster@example.org"), "ok");
    assert.equal(await set("team", "bob@example.org", "all@example.org"), "loop");
    let last = "bob";
    for (let depth = 1; depth <= 10; depth += 1) {
      assert.equal(await set(`d${depth}`, `${last}@example.org`), "ok");
      last = `d${depth}`;
    }
    assert.equal(await set("d11", "d10@example.org"), "no-such-target");
    assert.equal(directory.resolve("d10@example.org").length, 1);
  });

  test("makes one of two accounts asked for at the same moment", async () => {
    const { directory } = await house();
    const account = { address: "eve@example.org", displayName: "Eve", password };
    const both = await Promise.all([
      directory.addAccount(account, "t"),
      directory.addAccount(account, "t"),
    ]);
    assert.deepEqual(
      both.map((outcome) => Number(outcome.ok)).sort((a, b) => a - b),
      [0, 1],
    );
  });
});
