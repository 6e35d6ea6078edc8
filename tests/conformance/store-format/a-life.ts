/** Some time in the life of a store with three accounts, with all that makes its files hard to read. */

import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { join } from "node:path";
import { systemClock } from "#base/clock";
import { realDisk } from "#base/disk";
import { pick, type Random, seededRandom } from "#base/random";
import type { Acceptance, Delivery, StagedContent } from "#contracts/store";
import type { MailboxId, MessageId } from "#model/mailbox";
import { type OpenStore, openStore } from "#store";
import { fixedMaster } from "../../../src/store/fixture.ts";

export interface Written {
  /** Hash of the octets as received. */
  readonly content: string;
  /** Hash of head and content. */
  readonly whole: string;
}

export interface Life {
  readonly store: OpenStore;
  readonly random: Random;
  /** Every message that was ever given to the store. */
  readonly written: Map<MessageId, Written>;
}

const accounts = ["alice", "bob", "carol"];
const atMs = 1_800_000_000_000;

/** @param directory of the store; its segments are small, and so are the parts of its contents */
export function openIn(directory: string): Promise<OpenStore> {
  return openStore({
    disk: realDisk,
    clock: systemClock,
    random: seededRandom(2),
    directory,
    indexPath: join(directory, "index.sqlite"),
    master: fixedMaster,
    segmentBytes: 256 * 1024,
    reserveBytes: 32 * 1024,
    minFreeBytes: 0,
    inlineBytes: 16 * 1024,
  });
}

export async function putAccounts(store: OpenStore): Promise<void> {
  for (const id of accounts) {
    const person = { id, address: `${id}@example.org`, displayName: id, createdAtMs: 1 };
    await store.people.putAccount(person, "test");
  }
}

/** Mail comes for one account or several, is moved, copied, put there, and expunged. */
export async function live(life: Life, first: number, count: number): Promise<void> {
  for (let number = first; number < first + count; number += 1) {
    const account = accounts[number % 3] ?? "";
    const other = accounts[(number + 1) % 3] ?? "";
    const octets = mailOf(number, life.random);
    if (number % 10 === 4) {
      await append(life, account, octets);
    } else if (number % 7 === 0) {
      await accept(life, number, octets, accounts);
    } else if (number % 9 === 0) {
      // The same octets twice in one batch,
      const twin = accept(life, 1000 + number, octets, [other]);
      await Promise.all([accept(life, number, octets, [account]), twin]);
    } else {
      await accept(life, number, octets, [account]);
    }
    // and once more later.
    if (number % 11 === 0) await accept(life, 5000 + number, octets, [other]);
    if (number % 6 === 0) await tidy(life, account, number % 12 === 0 ? "move" : "copy");
  }
}

/** What the store gives of every message that somebody has. */
export async function messagesIn(store: OpenStore): Promise<Map<MessageId, string>> {
  const found = new Map<MessageId, string>();
  for (const account of accounts) {
    for (const { id } of await store.mailboxes.list(account)) {
      for (const { message } of await store.mailboxes.entries(id)) {
        found.set(message, hash("sha256", await store.messages.read(message)));
      }
    }
  }
  return found;
}

/** Small, whole in its record, in three parts, and now and then in ten. */
function mailOf(number: number, random: Random): Buffer {
  const bytes = number % 40 === 7 ? 150_000 : ([400, 9000, 40_000][number % 3] ?? 0);
  const header = `From: bob@example.net\r\nSubject: mail ${number}\r\n\r\n`;
  return Buffer.concat([Buffer.from(header), random.bytes(bytes)]);
}

function writtenOf(head: Buffer, octets: Buffer): Written {
  const content = hash("sha256", octets);
  return { content, whole: hash("sha256", Buffer.concat([head, octets])) };
}

async function stage(store: OpenStore, octets: Buffer): Promise<StagedContent> {
  const writer = store.stage();
  for (let at = 0; at < octets.length; at += 5000) {
    await writer.write(octets.subarray(at, at + 5000));
  }
  return writer.finish();
}

async function append({ store, written }: Life, account: string, octets: Buffer): Promise<void> {
  const inbox = await mailboxOf(store, account, "inbox");
  const facts = { flags: ["\\Seen"], receivedAtMs: atMs };
  const content = await stage(store, octets);
  const { message } = await store.mailboxes.append(account, inbox, content, facts);
  written.set(message, writtenOf(Buffer.alloc(0), octets));
}

async function accept(
  { store, written }: Life,
  number: number,
  octets: Buffer,
  to: readonly string[],
): Promise<void> {
  const deliveries = to.map((account): Delivery => ({ account, mailbox: "inbox", flags: [] }));
  const acceptance = acceptanceOf(number, deliveries);
  await store.accept({ ...acceptance, content: await stage(store, octets) });
  written.set(acceptance.id, writtenOf(Buffer.from(acceptance.head), octets));
}

function acceptanceOf(
  number: number,
  deliveries: readonly Delivery[],
): Omit<Acceptance, "content"> {
  return {
    id: number.toString(16).padStart(32, "0"),
    direction: "inbound",
    connection: {
      listener: "smtp",
      clientAddress: "192.0.2.1",
      clientPort: 25,
      helo: "mx.example.net",
      extended: true,
    },
    envelope: { reversePath: "bob@example.net", recipients: [{ path: "alice@example.org" }] },
    verdicts: [],
    decision: { disposition: "accept", opinions: [] },
    head: Buffer.from(`Return-Path: <bob@example.net>\r\nX-Number: ${number}\r\n`),
    acceptedAtMs: atMs + number,
    steps: [],
    deliveries,
    queue: [],
  };
}

async function mailboxOf(store: OpenStore, account: string, role: string): Promise<MailboxId> {
  const all = await store.mailboxes.list(account);
  return all.find((mailbox) => mailbox.role === role)?.id ?? "";
}

async function tidy(
  { store, random }: Life,
  account: string,
  mode: "copy" | "move",
): Promise<void> {
  const inbox = await mailboxOf(store, account, "inbox");
  const archive = await mailboxOf(store, account, "archive");
  const entries = await store.mailboxes.entries(inbox);
  const uid = entries[pick(random, entries.length)]?.uid ?? 1;
  const ranges = [{ from: uid, to: uid + 2 }];
  await store.mailboxes.copy(inbox, ranges, archive, mode);
  await store.mailboxes.setFlags(inbox, ranges, { mode: "add", flags: ["\\Flagged"] });
  await store.mailboxes.expunge(inbox, [{ from: uid, to: uid + 8 }], "any");
}
