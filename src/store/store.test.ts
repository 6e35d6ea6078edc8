import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Change } from "#model/mailbox";
import {
  acceptMail,
  account,
  head,
  mail,
  mailboxNamed,
  messageId,
  newDisk,
  openOn,
  stage,
  storeWithAlice,
} from "./fixture.ts";

const queueItem = {
  id: "q1",
  reversePath: "alice@example.org",
  recipient: "carol@Example.com",
  wishes: {},
  utf8: false,
  queuedAtMs: 10,
  nextAttemptAtMs: 10,
};

describe("Store.accept()", () => {
  test("keeps head and content byte-exact, small and large, from any range", async () => {
    await using store = await storeWithAlice();
    for (const [number, bytes] of [0, 10, 7000, 20_000, 100_000].entries()) {
      const octets = mail(`size ${bytes}`, bytes);
      await acceptMail(store, number, octets);
      const whole = Buffer.concat([head, octets]);
      const id = messageId(number);
      assert.deepEqual(await store.messages.read(id), whole);
      assert.equal(await store.messages.sizeBytes(id), whole.length);
      assert.deepEqual(await store.messages.read(id, 20, 60), whole.subarray(20, 60));
      const pieces = [];
      for await (const piece of store.messages.stream(id, 5)) pieces.push(piece);
      assert.deepEqual(Buffer.concat(pieces), whole.subarray(5));
    }
    assert.equal((await store.messages.describe(messageId(1))).envelope.subject, "size 10");
  });

  test("takes an id once, also at the same time, and answers the same again", async () => {
    await using store = await storeWithAlice();
    const [one, two] = await Promise.all([acceptMail(store, 1), acceptMail(store, 1)]);
    const three = await acceptMail(store, 1);
    assert.equal([one, two].filter(({ repeated }) => repeated).length, 1);
    assert.ok(three.repeated);
    assert.deepEqual(one.entries, three.entries);
    assert.equal((await store.stats()).messages, 1);
  });

  test("keeps equal contents once", async () => {
    await using store = await storeWithAlice();
    const octets = mail("the same");
    await Promise.all([acceptMail(store, 1, octets), acceptMail(store, 2, octets)]);
    await acceptMail(store, 3, octets);
    assert.equal((await store.stats()).contents, 1);
    for (const number of [1, 2, 3]) {
      const read = await store.messages.read(messageId(number), head.length);
      assert.deepEqual(read, octets);
    }
  });

  test("commits what comes together with one flush", async () => {
    await using store = await storeWithAlice();
    const before = (await store.stats()).flushes;
    await Promise.all(Array.from({ length: 8 }, (_, number) => acceptMail(store, number)));
    assert.ok((await store.stats()).flushes - before <= 2);
  });

  test("delivers to INBOX what was meant for a mailbox that is gone", async () => {
    await using store = await storeWithAlice();
    const { entries } = await acceptMail(store, 1, mail("x"), {
      deliveries: [{ account, mailbox: "m99", flags: ["\\Seen", "no flag"] }],
    });
    assert.equal(entries[0]?.mailbox, await mailboxNamed(store, "INBOX"));
    assert.deepEqual(entries[0]?.flags, ["\\Seen"]);
  });

  test("tells watchers after the change is there to be read", async () => {
    await using store = await storeWithAlice();
    const seen: Change[] = [];
    const stop = store.watch((change) => void seen.push(change));
    const { entries } = await acceptMail(store, 1);
    stop();
    await acceptMail(store, 2);
    assert.equal(seen.length, 1);
    assert.deepEqual(seen[0]?.added, entries);
    assert.equal(seen[0]?.account, account);
  });
});

describe("Store.stage()", () => {
  test("aborted parts leave nothing that readers could see", async () => {
    await using store = await storeWithAlice();
    const writer = store.stage();
    await writer.write(Buffer.alloc(60_000, 1));
    writer.abort();
    assert.equal((await store.stats()).contents, 0);
    await acceptMail(store, 1);
  });
});

describe("mailboxes", () => {
  test("a new account has its six with their roles (RFC 6154)", async () => {
    await using store = await storeWithAlice();
    const roles = (await store.mailboxes.list(account)).map(({ name, role }) => `${name} ${role}`);
    assert.deepEqual(roles, [
      "INBOX inbox",
      "Drafts drafts",
      "Sent sent",
      "Archive archive",
      "Junk junk",
      "Trash trash",
    ]);
  });

  test("create() makes parents and refuses what cannot be", async () => {
    await using store = await storeWithAlice();
    const made = await store.mailboxes.create(account, "inbox/Work/2026");
    assert.ok(made.ok);
    assert.equal(made.value.name, "INBOX/Work/2026");
    assert.notEqual(await mailboxNamed(store, "INBOX/Work"), "");
    const faults = [];
    for (const name of ["InBox", "", "a//b", "a\u0007", "x".repeat(2000), "50%"]) {
      const outcome = await store.mailboxes.create(account, name);
      faults.push(outcome.ok ? "ok" : outcome.fault);
    }
    assert.deepEqual(faults, ["exists", ...Array(5).fill("bad-name")]);
  });

  test("rename() takes the children along; INBOX gives its messages (RFC 9051 §6.3.6)", async () => {
    await using store = await storeWithAlice();
    await store.mailboxes.create(account, "A/B/C");
    const renamed = await store.mailboxes.rename(await mailboxNamed(store, "A"), "Z/Y");
    assert.ok(renamed.ok);
    assert.notEqual(await mailboxNamed(store, "Z/Y/B/C"), "");
    assert.equal(await mailboxNamed(store, "A/B"), "");
    await acceptMail(store, 1);
    const inbox = await mailboxNamed(store, "INBOX");
    const moved = await store.mailboxes.rename(inbox, "Old mail");
    assert.ok(moved.ok);
    assert.equal(moved.value.messages, 1);
    assert.equal((await store.mailboxes.get(inbox))?.messages, 0);
    assert.equal((await store.mailboxes.get(inbox))?.name, "INBOX");
  });

  test("remove() spares INBOX and roles; a name that comes again has a higher UIDVALIDITY", async () => {
    await using store = await storeWithAlice();
    const first = await store.mailboxes.create(account, "Here");
    assert.ok(first.ok);
    assert.deepEqual(await store.mailboxes.remove(first.value.id), { ok: true, value: true });
    const again = await store.mailboxes.create(account, "Here");
    assert.ok(again.ok && again.value.uidValidity > first.value.uidValidity);
    const faults = [];
    for (const name of ["INBOX", "Sent"]) {
      const outcome = await store.mailboxes.remove(await mailboxNamed(store, name));
      faults.push(outcome.ok ? "ok" : outcome.fault);
    }
    assert.deepEqual(faults, ["is-inbox", "has-role"]);
  });

  test("flags: add, remove, replace, unchangedSince (RFC 7162 §3.1.3)", async () => {
    await using store = await storeWithAlice();
    const inbox = await mailboxNamed(store, "INBOX");
    for (const number of [1, 2, 3]) await acceptMail(store, number);
    const all = [{ from: 1, to: Number.POSITIVE_INFINITY }];
    const add = await store.mailboxes.setFlags(inbox, all, {
      mode: "add",
      flags: ["\\SEEN", "$a"],
    });
    assert.deepEqual(
      add.entries.map(({ flags }) => flags.join()),
      Array(3).fill("\\Seen,$a"),
    );
    const since = add.entries[0]?.modSeq ?? 0;
    const two = [{ from: 2, to: 2 }];
    await store.mailboxes.setFlags(inbox, two, { mode: "remove", flags: ["$A"] });
    const late = await store.mailboxes.setFlags(inbox, all, {
      mode: "replace",
      flags: ["\\Deleted"],
      unchangedSince: since,
    });
    assert.deepEqual(late.modified, [2]);
    const entries = await store.mailboxes.entries(inbox);
    assert.deepEqual(
      entries.map(({ flags }) => flags.join()),
      ["\\Deleted", "\\Seen", "\\Deleted"],
    );
    const { unseen, deleted } = (await store.mailboxes.get(inbox)) ?? {};
    assert.deepEqual([unseen, deleted], [2, 2]);
    assert.deepEqual(await store.mailboxes.expunge(inbox), [1, 3]);
  });

  test("concurrent flag changes do not lose each other", async () => {
    await using store = await storeWithAlice();
    const inbox = await mailboxNamed(store, "INBOX");
    await acceptMail(store, 1);
    const one = [{ from: 1, to: 1 }];
    const names = ["a", "b", "c", "d"];
    await Promise.all(
      names.map((flag) => store.mailboxes.setFlags(inbox, one, { mode: "add", flags: [flag] })),
    );
    const [entry] = await store.mailboxes.entries(inbox);
    assert.deepEqual([...(entry?.flags ?? [])].sort(), names);
  });

  test("copy and move pair UIDs in order; changes and tombstones tell the story", async () => {
    await using store = await storeWithAlice();
    const inbox = await mailboxNamed(store, "INBOX");
    const trash = await mailboxNamed(store, "Trash");
    const archive = await mailboxNamed(store, "Archive");
    for (const number of [1, 2, 3]) await acceptMail(store, number);
    const before = await store.mailboxes.modSeq(account);
    const copies = await store.mailboxes.copy(inbox, [{ from: 1, to: 1 }], archive, "copy");
    assert.deepEqual(
      copies.map(({ uid, copy }) => [uid, copy.uid]),
      [[1, 1]],
    );
    const ranges = [{ from: 1, to: 2 }];
    const moves = await store.mailboxes.copy(inbox, ranges, trash, "move");
    assert.deepEqual(
      moves.map(({ uid, copy }) => [uid, copy.uid]),
      [
        [1, 1],
        [2, 2],
      ],
    );
    const { expunged } = await store.mailboxes.changesSince(inbox, before);
    assert.deepEqual(expunged, [1, 2]);
    const changes = await store.mailboxes.accountChangesSince(account, before);
    assert.ok(changes !== "too-old");
    assert.deepEqual(changes.expunged, [], "moved messages are still in the account");
    assert.deepEqual([...changes.mailboxes].sort(), [inbox, trash, archive].sort());
    const middle = changes.modSeq;
    await store.mailboxes.expunge(trash, undefined, "any");
    const later = await store.mailboxes.accountChangesSince(account, middle);
    assert.ok(later !== "too-old");
    assert.deepEqual(later.expunged, [messageId(2)], "the first one is in the archive still");
    assert.equal(await store.mailboxes.accountChangesSince(account, 10_000), "too-old");
    const left = await store.mailboxes.entriesOf(account, [messageId(1), messageId(2)]);
    assert.deepEqual(
      left.map(({ mailbox }) => mailbox),
      [archive],
    );
  });

  test("append gives a new message, UIDs grow over a restart", async () => {
    const disk = newDisk();
    const store = await storeWithAlice(disk);
    const inbox = await mailboxNamed(store, "INBOX");
    const content = await stage(store, mail("draft"));
    const facts = { flags: ["\\Draft"], receivedAtMs: 77 };
    const entry = await store.mailboxes.append(account, inbox, content, facts);
    assert.deepEqual(await store.messages.read(entry.message), mail("draft"));
    await store.mailboxes.expunge(inbox, undefined, "any");
    await store[Symbol.asyncDispose]();
    await using again = await openOn(disk.kill());
    const [next] = (await acceptMail(again, 1)).entries;
    assert.equal(next?.uid, 2);
    assert.ok((next?.modSeq ?? 0) > entry.modSeq);
  });
});

describe("queue and traces", () => {
  test("an item waits, is tried, held, released, delivered; the trace tells", async () => {
    await using store = await storeWithAlice();
    await acceptMail(store, 1, mail("out"), { deliveries: [], queue: [queueItem] });
    assert.equal((await store.queue.due(9, 5)).length, 0);
    assert.equal((await store.queue.due(10, 5))[0]?.message, messageId(1));
    assert.equal(await store.queue.nextDueAtMs(), 10);
    assert.equal((await store.queue.list({ domain: "example.com", limit: 5 })).length, 1);
    const remote = { remote: "mx.example.com", durationMs: 1 };
    const later = { code: 451, status: "4.3.0", text: "later" };
    await store.queue.attempted(
      "q1",
      { atMs: 11, outcome: "deferred", reply: later, ...remote },
      50,
    );
    assert.equal(await store.queue.nextDueAtMs(), 50);
    assert.equal(await store.queue.change("q1", "hold", "admin", 12), true);
    assert.equal(await store.queue.change("q1", "hold", "admin", 12), false);
    assert.equal(await store.queue.nextDueAtMs(), undefined);
    assert.equal(await store.queue.change("q1", "release", "admin", 13), true);
    await store.queue.delayNotified("q1", 14);
    const done = { code: 250, text: "ok" };
    await store.queue.attempted("q1", { atMs: 15, outcome: "delivered", reply: done, ...remote });
    const item = await store.queue.get("q1");
    assert.deepEqual([item?.state, item?.attempts, item?.delayNotifiedAtMs], ["delivered", 2, 14]);
    assert.equal((await store.queue.counts()).delivered, 1);
    const trace = await store.traces.show(messageId(1));
    const words = trace?.steps.map(({ step }) => step) ?? [];
    assert.equal(words.filter((word) => word === "attempted").length, 2);
    assert.equal(trace?.messageIdHeader, "<out@example.net>");
  });

  test("the status of a message is what became of it for all its recipients", async () => {
    const disk = newDisk();
    const store = await storeWithAlice(disk);
    const others = ["q2", "q3"].map((id) => ({ ...queueItem, id }));
    await acceptMail(store, 1, mail("out"), { queue: [queueItem, ...others] });
    const statuses: unknown[] = [];
    const look = async (): Promise<void> => {
      const [found] = await store.traces.find({ limit: 1 });
      assert.equal((await store.traces.show(messageId(1)))?.status, found?.status);
      statuses.push(found?.status);
    };
    const attempted = (item: string, outcome: "delivered" | "failed"): Promise<void> => {
      const facts = { atMs: 11, durationMs: 1, remote: "mx.example.com" };
      return store.queue.attempted(item, { ...facts, outcome, reply: { code: 250, text: "x" } });
    };
    await look();
    await attempted("q1", "delivered");
    await store.queue.change("q2", "hold", "admin", 12);
    await store.queue.change("q3", "drop", "admin", 12);
    await look();
    await store.queue.change("q2", "drop", "admin", 13);
    await look();
    await acceptMail(store, 2, mail("in"));
    assert.equal((await store.traces.find({ limit: 1 }))[0]?.status, "delivered");
    await acceptMail(store, 3, mail("lost"), { queue: [{ ...queueItem, id: "q4" }] });
    await attempted("q4", "failed");
    assert.equal((await store.traces.show(messageId(3)))?.status, "failed");
    await acceptMail(store, 4, mail("gone"), { queue: [{ ...queueItem, id: "q5" }] });
    await attempted("q5", "delivered");
    assert.equal((await store.traces.show(messageId(4)))?.status, "delivered");
    assert.deepEqual(statuses, ["waiting", "waiting", "dropped"]);
    const before = await store.traces.find({ limit: 9 });
    await store[Symbol.asyncDispose]();
    await using rebuilt = await openOn(disk);
    assert.deepEqual(await rebuilt.traces.find({ limit: 9 }), before);
  });

  test("refused transactions are found; one that comes again may be accepted", async () => {
    const disk = newDisk();
    const store = await storeWithAlice(disk);
    const connection = { listener: "smtp", clientAddress: "192.0.2.9", clientPort: 1 };
    store.refused({
      id: messageId(5),
      atMs: 5,
      connection: { ...connection, helo: "x", extended: true },
      reversePath: "spammer@example.net",
      recipients: ["alice@example.org"],
      reply: { code: 550, status: "5.7.1", text: "no" },
      steps: [],
    });
    await acceptMail(store, 1);
    const [found] = await store.traces.find({ text: "SPAMMER", limit: 5 });
    assert.equal(found?.status, "refused");
    assert.equal((await store.traces.show(messageId(5)))?.steps.at(-1)?.text, "550 5.7.1 no");
    assert.equal(await store.isAccepted(messageId(5)), false);
    assert.equal((await acceptMail(store, 5)).repeated, false);
    assert.equal((await store.traces.find({ limit: 10 })).length, 2);
    await store[Symbol.asyncDispose]();
  });
});

describe("people", () => {
  test("are put, replaced and removed, with the mail of an account", async () => {
    await using store = await storeWithAlice();
    await store.people.putDomain({ name: "example.org" }, "admin");
    await store.people.putAlias(
      { address: "all@example.org", targets: ["alice@example.org"] },
      "a",
    );
    const person = { id: account, address: "alice@example.org", displayName: "A. Other" };
    await store.people.putAccount({ ...person, createdAtMs: 1 }, "admin");
    assert.equal((await store.people.accounts())[0]?.displayName, "A. Other");
    assert.equal((await store.mailboxes.list(account)).length, 6);
    await acceptMail(store, 1);
    const before = await store.mailboxes.modSeq(account);
    assert.equal(await store.people.removeAccount(account, "admin"), true);
    assert.equal(await store.people.removeAccount(account, "admin"), false);
    assert.deepEqual(await store.mailboxes.list(account), []);
    await assert.rejects(acceptMail(store, 2), { name: "Unavailable" });
    await store.people.putAccount({ ...person, createdAtMs: 2 }, "admin");
    assert.ok((await store.mailboxes.modSeq(account)) > before, "states do not repeat");
    assert.equal(await store.people.removeAlias("all@example.org", "a"), true);
    assert.equal(await store.people.removeDomain("example.org", "a"), true);
    assert.deepEqual(await store.people.aliases(), []);
  });
});
