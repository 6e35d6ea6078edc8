/** For the tests of #access/jmap: a real store on a temporary folder, and a door with one person. */

import { Buffer } from "node:buffer";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createJmap, type Jmap } from "#access/jmap";
import { systemClock } from "#base/clock";
import { realDisk } from "#base/disk";
import { systemRandom } from "#base/random";
import type { Directory, Person } from "#contracts/directory";
import type { Store } from "#contracts/store";
import type { Submission } from "#contracts/submission";
import { displayAddress } from "#identity/sender";
import type { Reply } from "#model/reply";
import type { Verdict } from "#model/verdict";
import { openStore } from "#store";
import { fixedMaster } from "../../src/store/fixture.ts";

export const ada: Person = { id: "ada1", address: "ada@example.org", displayName: "Ada" };
export const bob: Person = { id: "bob1", address: "bob@example.org", displayName: "Bob" };

/** Whatever JSON holds. */
export type Json = ReturnType<typeof JSON.parse>;

export type Response = readonly [string, Json, string];

export interface Fixture {
  readonly store: Store;
  readonly jmap: Jmap;
  readonly sent: Submission[];
  reply: Reply;
  /** Makes calls as Ada; each answer is [name, arguments, call id]. */
  call(...calls: readonly (readonly [string, object])[]): Promise<readonly Response[]>;
  /** One call's arguments; an error answers { type }. */
  one(name: string, args: object): Promise<Json>;
  deliver(text: string, facts?: Facts): Promise<string>;
  mailbox(role: string): Promise<string>;
  close(): Promise<void>;
}

const using = [
  "urn:ietf:params:jmap:core",
  "urn:ietf:params:jmap:mail",
  "urn:ietf:params:jmap:submission",
];

export async function openFixture(): Promise<Fixture> {
  const folder = await mkdtemp(join(tmpdir(), "postern-jmap-"));
  const store = await openTemporary(folder);
  const sent: Submission[] = [];
  const fixture: Fixture = {
    store,
    sent,
    reply: { code: 250, status: "2.0.0", text: "kept" },
    jmap: createJmap({
      store,
      directory: directoryOf([ada, bob]),
      submit: async (submission) => {
        sent.push(submission);
        return fixture.reply;
      },
      clock: systemClock,
      random: systemRandom,
      shownAddress: displayAddress,
    }),
    async call(...calls) {
      const methodCalls = calls.map(([name, args], index) => [
        name,
        { accountId: ada.id, ...args },
        `c${index}`,
      ]);
      const answer = (await fixture.jmap.api(ada, { using, methodCalls })) as Json;
      return answer["methodResponses"];
    },
    async one(name, args) {
      return (await fixture.call([name, args]))[0]?.[1] ?? {};
    },
    deliver: (text, facts = {}) => deliver(store, text, facts),
    async mailbox(role) {
      const all = await store.mailboxes.list(ada.id);
      return all.find((one) => one.role === role)?.id ?? "";
    },
    async close() {
      fixture.jmap.close();
      await store[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return fixture;
}

function directoryOf(people: readonly Person[]): Directory {
  const byAddress = (address: string) =>
    people.find((one) => one.address === address.toLowerCase());
  return {
    login: async () => ({ ok: false, reason: "refused" }),
    hasAppPassword: () => false,
    person: (account) => people.find((one) => one.id === account),
    personByAddress: byAddress,
    isLocalDomain: (domain) => domain === "example.org",
    resolve: () => [],
    maySendAs: (account, address) => byAddress(address)?.id === account,
    identities: (account) => people.filter((one) => one.id === account).map((one) => one.address),
  };
}

async function openTemporary(folder: string): Promise<Store> {
  const store = await openStore({
    master: fixedMaster,
    disk: realDisk,
    clock: systemClock,
    random: systemRandom,
    directory: join(folder, "store"),
    indexPath: join(folder, "index.sqlite"),
    segmentBytes: 1024 * 1024,
    minFreeBytes: 0,
  });
  for (const { id, address, displayName } of [ada, bob]) {
    await store.people.putAccount({ id, address, displayName, createdAtMs: 0 }, "test");
  }
  return store;
}

interface Facts {
  readonly verdicts?: readonly Verdict[];
  readonly to?: Person;
}

/** @returns the Email id */
async function deliver(store: Store, text: string, facts: Facts): Promise<string> {
  const id = systemRandom.bytes(16).toString("hex");
  const octets = Buffer.from(text.replace(/\r?\n/g, "\r\n"), "utf8");
  const writer = store.stage();
  await writer.write(octets);
  const content = await writer.finish();
  const to = facts.to ?? ada;
  await store.accept({
    id,
    direction: "inbound",
    connection: {
      listener: "smtp",
      clientAddress: "192.0.2.1",
      clientPort: 25,
      helo: "x",
      extended: true,
    },
    envelope: { reversePath: "eve@example.net", recipients: [{ path: to.address }] },
    verdicts: facts.verdicts ?? [],
    decision: { disposition: "accept", opinions: [] },
    head: Buffer.from("Return-Path: <eve@example.net>\r\n"),
    content,
    acceptedAtMs: Date.now(),
    steps: [],
    deliveries: [{ account: to.id, mailbox: "inbox", flags: [] }],
    queue: [],
  });
  return `M${id}`;
}
