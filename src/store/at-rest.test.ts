import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { realDisk } from "#base/disk";
import { Misconfigured } from "#base/errors";
import { systemRandom } from "#base/random";
import { acceptMail, account, fixedMaster, messageId, openOn, stage } from "./fixture.ts";
import { openStore, rebuildIndex } from "./index.ts";

const count = 1000;

/** Words that stand in no other place. */
const words = {
  subject: "quokkasubject",
  sender: "wombatsender",
  recipient: "dingorecipient",
  body: "bilbybody",
  account: "numbataccount",
  mailbox: "possummailbox",
  domain: "echidnadomain",
  reason: "koalareply",
  contact: "cassowarycontact",
  keyword: "$kookaburra",
  later: "platypuskeyword",
};

test("CAP-94 without the master key a dump of the store shows no subject, address, body or keyword", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "postern-at-rest-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const indexPath = join(folder, "index.sqlite");
  const options = { disk: realDisk as never, directory: folder, indexPath, random: systemRandom };
  const store = await openOn(options.disk, { ...options, segmentBytes: 4 * 1024 * 1024 });
  await fill(store);
  const dump = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))] as const);
  await store[Symbol.asyncDispose]();
  for (const name of readdirSync(folder)) dump.push([name, readFileSync(join(folder, name))]);

  assert.ok(dump.reduce((sum, [, octets]) => sum + octets.length, 0) > 4_000_000);
  for (const [name, octets] of dump) {
    const found = Object.entries(words).filter(([, word]) => shows(octets, word));
    assert.deepEqual(found, [], name);
  }

  // The same words are there for who has the key, in views made anew as well.
  await rebuildIndex(realDisk, folder, indexPath, fixedMaster);
  await using again = await openOn(options.disk, options);
  assert.equal(
    (await again.traces.find({ text: words.sender, limit: 2 * count })).length,
    count + 1,
  );
  assert.deepEqual(await again.contacts.known(contact, [account]), new Map([[account, "heard"]]));
  const { id } = (await again.mailboxes.list(account)).at(-1) ?? {};
  const [own] = await again.mailboxes.entries(id ?? "");
  assert.deepEqual(own?.flags, ["\\Seen", "\\Flagged", words.keyword, words.later]);
  const octets = await again.messages.read(messageId(count));
  assert.ok(octets.includes(`${words.subject} ${count}`) && octets.includes(words.body));
});

test("another master key opens nothing and changes nothing", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "postern-at-rest-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const indexPath = join(folder, "index.sqlite");
  const options = { directory: folder, indexPath, random: systemRandom };
  const store = await openOn(realDisk as never, options);
  await store[Symbol.asyncDispose]();
  const before = readFileSync(join(folder, "keys"));
  const other = {
    ...fixedMaster,
    unwrapKey: async () => {
      throw new Misconfigured("that master key is not here");
    },
  };
  const opening = openOn(realDisk as never, { ...options, master: other });
  await assert.rejects(opening, /that master key is not here/);
  assert.ok(before.equals(readFileSync(join(folder, "keys"))));
  await (await openStore({ ...storeOptions(options) }))[Symbol.asyncDispose]();
});

/** In any of the forms in which text may lie in a file. */
function shows(octets: Buffer, word: string): boolean {
  const forms = [
    Buffer.from(word),
    Buffer.from(word, "utf16le"),
    Buffer.from(Buffer.from(word).toString("hex")),
    ...[0, 1, 2].map((shift) => base64Middle(word, shift)),
  ];
  return forms.some((form) => octets.includes(form));
}

/** What a word looks like in the middle of base64, by its place among groups of three. */
function base64Middle(word: string, shift: number): Buffer {
  const text = Buffer.from(" ".repeat(shift) + word).toString("base64");
  return Buffer.from(text.slice(shift === 0 ? 0 : 4, -4));
}

const contact = `${words.contact}@b.example`;

async function fill(store: Awaited<ReturnType<typeof openOn>>): Promise<void> {
  const address = `${words.account}@${words.domain}.example`;
  const person = { id: account, address, displayName: words.account, createdAtMs: 1 };
  await store.people.putDomain({ name: `${words.domain}.example` } as never, "test");
  await store.people.putAccount(person, "test");
  await store.people.putAlias({ address: `${words.recipient}@a.example`, targets: [address] }, "t");
  const made = await store.mailboxes.create(account, `Projects/${words.mailbox}`);
  assert.ok(made.ok);
  const waiting: Promise<unknown>[] = [];
  for (let number = 1; number <= count; number += 1) {
    const text = `From: ${words.sender}@b.example\r\nTo: ${words.recipient}@a.example\r\nSubject: ${words.subject} ${number}\r\nMessage-ID: <${words.sender}.${number}@b.example>\r\n\r\n${`${words.body} `.repeat(300)}`;
    const recipients = [{ path: `${words.recipient}@a.example` }];
    const item = { id: `item-${number}`, recipient: recipients[0]?.path ?? "" };
    waiting.push(
      acceptMail(store, number, Buffer.from(text), {
        envelope: { reversePath: `${words.sender}@b.example`, recipients },
        head: Buffer.from(`Return-Path: <${words.sender}@b.example>\r\n`),
        verdicts: [{ method: "sender", result: "verified", address: contact } as never],
        deliveries: [{ account, mailbox: "inbox", flags: [`${words.keyword}.${number % 3}`] }],
        queue: [{ ...item, queuedAtMs: 1, nextAttemptAtMs: 1 } as never],
      }),
    );
  }
  await Promise.all(waiting);
  await store.messages.describe(messageId(1));
  await store.mailboxes.append(
    account,
    made.value.id,
    await stage(store, Buffer.from(words.body)),
    {
      flags: ["\\Seen", words.keyword],
      receivedAtMs: 1,
    },
  );
  const change = { mode: "add", flags: [words.later, "\\Flagged"] } as const;
  await store.mailboxes.setFlags(made.value.id, [{ from: 1, to: 1 }], change);
  const trash = (await store.mailboxes.list(account)).at(-2)?.id ?? "";
  await store.mailboxes.copy(made.value.id, [{ from: 1, to: 1 }], trash, "copy");
  await store.queue.attempted(
    "item-1",
    {
      atMs: 2,
      remote: `mx.${words.domain}.example`,
      outcome: "deferred",
      reply: { code: 451, text: words.reason },
    } as never,
    3,
  );
  store.refused({
    id: messageId(5000),
    atMs: 1,
    connection: { listener: "smtp", clientAddress: "192.0.2.1", clientPort: 1, helo: "x" } as never,
    reversePath: `${words.sender}@b.example`,
    recipients: [`${words.recipient}@a.example`],
    reply: { code: 550, text: words.reason },
    steps: [],
  });
}

function storeOptions(options: object): Parameters<typeof openStore>[0] {
  const clock = { nowMs: () => 1, tickMs: () => 1, after: () => ({ cancel: () => undefined }) };
  return { disk: realDisk, clock, master: fixedMaster, minFreeBytes: 0, ...options } as never;
}
