import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Clock } from "#base/clock";
import { Full } from "#base/errors";
import type { Store } from "#contracts/store";
import type { RetentionRule } from "#model/retention";
import {
  acceptMail,
  account,
  mail,
  mailboxNamed,
  newDisk,
  openOn,
  recordsOn,
  storeWithAlice,
} from "./fixture.ts";
import { ruleFor } from "./retention.ts";

const dayMs = 86_400_000;
const startMs = 1_800_000_000_000;

/** Two clocks: one that can be set, and one that only goes on. */
function twoClocks(): Clock & { passDays(days: number): void; setBy(days: number): void } {
  let wallMs = startMs;
  let tickMs = 0;
  return {
    nowMs: () => wallMs,
    tickMs: () => tickMs,
    after: () => ({ cancel: () => undefined }),
    passDays(days) {
      wallMs += days * dayMs;
      tickMs += days * dayMs;
    },
    setBy(days) {
      wallMs += days * dayMs;
    },
  };
}

function rule(mailbox: string, days: number, whose = "*"): RetentionRule {
  return { account: whose, mailbox, days };
}

async function subjectsIn(store: Store, name: string): Promise<string[]> {
  const entries = await store.mailboxes.entries(await mailboxNamed(store, name));
  const found = entries.map(({ message }) => store.messages.describe(message));
  return (await Promise.all(found)).map(({ envelope }) => envelope.subject ?? "");
}

/** As the retention's daily run does, for so many days. */
async function live(
  store: Awaited<ReturnType<typeof openOn>>,
  clock: ReturnType<typeof twoClocks>,
  days: number,
): Promise<number> {
  let expunged = 0;
  for (let day = 0; day < days; day += 1) {
    clock.passDays(1);
    expunged += (await store.retain(clock.nowMs())).expunged;
  }
  return expunged;
}

describe("ruleFor()", () => {
  const trash = { account: "alice", role: "trash", name: "Trash" } as const;
  const cases: [string, RetentionRule[], number | undefined][] = [
    ["no rule", [], undefined],
    ["a role", [rule("trash", 30)], 30],
    ["another role", [rule("junk", 30)], undefined],
    ["another account", [rule("trash", 30, "bob")], undefined],
    ["a role before everything", [rule("*", 900), rule("trash", 30)], 30],
    ["a name before its role", [rule("Trash", 7), rule("trash", 30)], 7],
    ["the account's own before those of all", [rule("Trash", 7), rule("*", 900, "alice")], 900],
    ["the closest of its own", [rule("*", 900, "alice"), rule("trash", 90, "alice")], 90],
  ];
  for (const [what, rules, days] of cases) {
    test(`takes ${what}`, () => {
      assert.equal(ruleFor(rules, trash)?.days, days);
      assert.equal(ruleFor(rules.toReversed(), trash)?.days, days);
    });
  }
});

describe("retain()", () => {
  test("lets mail go so many days after it came into the mailbox, not after it was received", async () => {
    const clock = twoClocks();
    const disk = newDisk();
    const store = await storeWithAlice(disk, { clock });
    await store.retention.putRule(rule("trash", 30), "an administrator");
    await acceptMail(store, 1, mail("old"), { acceptedAtMs: clock.nowMs() });
    await acceptMail(store, 2, mail("kept"), { acceptedAtMs: clock.nowMs() });
    assert.equal(await live(store, clock, 300), 0, "nothing in Trash");
    const inbox = await mailboxNamed(store, "INBOX");
    const trash = await mailboxNamed(store, "Trash");
    await store.mailboxes.copy(inbox, [{ from: 1, to: 1 }], trash, "move");
    assert.equal(await live(store, clock, 29), 0);
    assert.deepEqual(await subjectsIn(store, "Trash"), ["old"]);
    assert.equal(await live(store, clock, 2), 1);
    assert.deepEqual(await subjectsIn(store, "Trash"), []);
    assert.deepEqual(await subjectsIn(store, "INBOX"), ["kept"]);
    await store[Symbol.asyncDispose]();
    const records = (await recordsOn(disk.kill())).map(({ record }) => record);
    const expunged = records.find(({ kind }) => kind === "expunged");
    assert.equal(expunged?.kind === "expunged" && expunged.by, "retention");
    const put = records.find(({ kind }) => kind === "retention-put");
    assert.equal(put?.kind === "retention-put" && put.by, "an administrator");
  });

  test("an appended mail counts from when it was appended, whatever its date", async () => {
    const clock = twoClocks();
    await using store = await storeWithAlice(newDisk(), { clock });
    await store.retention.putRule(rule("archive", 30), "test");
    const writer = store.stage();
    await writer.write(mail("of 1990"));
    const archive = await mailboxNamed(store, "Archive");
    const facts = { flags: [], receivedAtMs: 650_000_000_000 };
    await store.mailboxes.append(account, archive, await writer.finish(), facts);
    assert.equal(await live(store, clock, 29), 0);
    assert.equal(await live(store, clock, 2), 1);
  });

  test("keeps to the rules as they are: none, the closest, replaced, removed", async () => {
    const clock = twoClocks();
    const disk = newDisk();
    const store = await storeWithAlice(disk, { clock });
    await acceptMail(store, 1, mail("one"), { acceptedAtMs: clock.nowMs() });
    assert.equal(await live(store, clock, 3), 0);
    const { retention } = store;
    await retention.putRule(rule("*", 1), "test");
    await retention.putRule(rule("inbox", 50, account), "test");
    assert.equal(await live(store, clock, 3), 0);
    await retention.putRule(rule("inbox", 60, account), "test");
    assert.equal(await retention.removeRule("*", "*", "test"), true);
    assert.equal(await retention.removeRule("*", "*", "test"), false);
    await store[Symbol.asyncDispose]();
    await using again = await openOn(disk.kill(), { clock });
    assert.deepEqual(await again.retention.rules(), [rule("inbox", 60, account)]);
    assert.equal(await live(again, clock, 50), 0);
    assert.equal(await live(again, clock, 10), 1);
    await again.people.removeAccount(account, "test");
    assert.deepEqual(await again.retention.rules(), []);
  });

  test("goes by the order of arrival where a wrong clock dated mail (D9)", async () => {
    const clock = twoClocks();
    await using store = await storeWithAlice(newDisk(), { clock });
    await store.retention.putRule(rule("inbox", 30), "test");
    const put = (number: number, subject: string, atDays: number): Promise<unknown> =>
      acceptMail(store, number, mail(subject), { acceptedAtMs: startMs + atDays * dayMs });
    await put(1, "first", 0);
    await put(2, "dated ten years ahead", 3650);
    await put(3, "third", 1);
    await put(4, "young", 20);
    await put(5, "dated ten years back", -3650);
    assert.equal(await live(store, clock, 32), 3, "what came before the third went with it");
    assert.deepEqual(await subjectsIn(store, "INBOX"), ["young", "dated ten years back"]);
    assert.equal(await live(store, clock, 20), 2);
  });

  for (const days of [3650, 2, -2, -3650]) {
    test(`does nothing once when the clock is set by ${days} days (D9)`, async () => {
      const clock = twoClocks();
      await using store = await storeWithAlice(newDisk(), { clock });
      await store.retention.putRule(rule("inbox", 1), "test");
      assert.deepEqual(await store.retain(clock.nowMs()), { expunged: 0 });
      await acceptMail(store, 1, mail("one"), { acceptedAtMs: clock.nowMs() });
      clock.passDays(1);
      clock.setBy(days);
      const report = await store.retain(clock.nowMs());
      assert.deepEqual(report, { expunged: 0, jumpedMs: days * dayMs });
      clock.setBy(-days); // mended, which is a jump again
      clock.passDays(1);
      assert.equal((await store.retain(clock.nowMs())).jumpedMs, -days * dayMs);
      assert.equal(await live(store, clock, 1), 1);
    });
  }

  test("summer time, a leap second and a restart are no jump; a long absence is one", async () => {
    const clock = twoClocks();
    const disk = newDisk();
    let store = await storeWithAlice(disk, { clock });
    const restart = async (): Promise<void> => {
      await store[Symbol.asyncDispose]();
      store = await openOn(disk, { clock });
    };
    const jumped = async (): Promise<boolean> =>
      (await store.retain(clock.nowMs())).jumpedMs !== undefined;
    assert.equal(await jumped(), false);
    clock.passDays(1);
    clock.setBy(1 / 24);
    assert.equal(await jumped(), false);
    clock.passDays(0.9);
    await restart();
    clock.passDays(0.1);
    assert.equal(await jumped(), false, "a run a day ago, by the process before");
    clock.passDays(1.9);
    await restart();
    assert.equal(await jumped(), false, "most of a day off");
    clock.passDays(40);
    await restart();
    assert.equal(await jumped(), true);
    await restart();
    assert.equal(await jumped(), false);
    clock.setBy(-40);
    await restart();
    assert.equal(await jumped(), true);
    await store[Symbol.asyncDispose]();
  });

  test("takes a large mailbox in slices, tells who watches, and leaves what comes meanwhile", async () => {
    const clock = twoClocks();
    await using store = await storeWithAlice(newDisk(), { clock });
    await store.retention.putRule(rule("inbox", 10), "test");
    const old = Array.from({ length: 1200 }, (_, index) =>
      acceptMail(store, index + 1, mail(`m ${index}`, 50), { acceptedAtMs: startMs }),
    );
    await Promise.all(old);
    await live(store, clock, 9);
    let told = 0;
    let acts = 0;
    store.watch(({ expunged }) => {
      told += expunged.length;
      acts += expunged.length > 0 ? 1 : 0;
    });
    clock.passDays(2);
    const arriving = Array.from({ length: 20 }, (_, index) =>
      acceptMail(store, 2000 + index, mail("new"), { acceptedAtMs: clock.nowMs() }),
    );
    const [report] = await Promise.all([store.retain(clock.nowMs()), ...arriving]);
    assert.deepEqual(report, { expunged: 1200 });
    assert.equal(told, 1200);
    assert.ok(acts >= 3, `${acts} slices`);
    const inbox = await mailboxNamed(store, "INBOX");
    assert.equal((await store.mailboxes.get(inbox))?.messages, 20);
    assert.equal(store.lastRunAtMs("retention"), clock.nowMs());
  });

  test("works while the disk is full for new mail (D10)", async () => {
    const clock = twoClocks();
    const disk = newDisk({ roomBytes: 600 * 1024 });
    await using store = await storeWithAlice(disk, { clock });
    await store.retention.putRule(rule("inbox", 1), "test");
    let kept = 0;
    await assert.rejects(async () => {
      for (;;) {
        await acceptMail(store, kept++, mail(`m ${kept}`, 10_000), { acceptedAtMs: startMs });
      }
    }, Full);
    assert.equal(await live(store, clock, 2), kept - 1);
  });
});
