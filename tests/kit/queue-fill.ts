/** A real store in a folder with many messages that wait for many domains, and a queue over it. */

import { join } from "node:path";
import type { Clock } from "#base/clock";
import { realDisk } from "#base/disk";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { systemRandom } from "#base/random";
import type { Acceptance } from "#contracts/store";
import { type OpenStore, openStore } from "#store";
import { type Notice, type QueueDeps, queueParameters } from "#transport/queue";
import { smtpClientParameters, timeoutsOf } from "#transport/smtp-client";
import { fixedMaster } from "../../src/store/fixture.ts";
import { plainConnector, policiesOf } from "./outbound.ts";

export const sender = "alice@us.test";

export async function openFilled(folder: string, clock: Clock): Promise<OpenStore> {
  const store = await openStore({
    disk: realDisk,
    clock,
    random: systemRandom,
    master: fixedMaster,
    directory: join(folder, "store"),
    indexPath: join(folder, "index.sqlite"),
  });
  const alice = { id: "alice", address: sender, displayName: "Alice", createdAtMs: 1 };
  await store.people.putAccount(alice, "test");
  return store;
}

export interface Fill {
  readonly from: number;
  readonly to: number;
  readonly domains: number;
}

export function recipientOf(number: number, domains: number): string {
  return `u${number}@d${number % domains}.test`;
}

/** One message for each number, with one recipient. */
export async function fill(
  store: OpenStore,
  clock: Clock,
  { from, to, domains }: Fill,
): Promise<void> {
  let next = from;
  const writer = async (): Promise<void> => {
    while (next < to) {
      const number = next;
      next += 1;
      await queueOne(store, { number, recipient: recipientOf(number, domains), clock });
    }
  };
  await Promise.all(Array.from({ length: 64 }, writer));
}

export async function queueOne(
  store: OpenStore,
  { number, recipient, clock }: { number: number; recipient: string; clock: Clock },
): Promise<void> {
  const id = number.toString(16).padStart(32, "0");
  const nowMs = clock.nowMs();
  const text = `From: ${sender}\r\nSubject: number ${number}\r\nMessage-ID: <${id}@us.test>\r\n\r\n`;
  const queue = [
    {
      id,
      reversePath: sender,
      recipient,
      wishes: {},
      utf8: false,
      queuedAtMs: nowMs,
      nextAttemptAtMs: nowMs,
    },
  ];
  const octets = Buffer.from(`${text}${"some words to fill a line with\r\n".repeat(10)}`);
  await store.accept(await acceptanceOf(store, { id, octets, nowMs, queue }));
}

async function acceptanceOf(
  store: OpenStore,
  facts: {
    readonly id: string;
    readonly octets: Buffer;
    readonly nowMs: number;
    readonly queue?: Acceptance["queue"];
    readonly isNotice?: boolean;
  },
): Promise<Acceptance> {
  const { id, octets, nowMs, queue = [], isNotice = false } = facts;
  const writer = store.stage();
  await writer.write(octets);
  const reversePath = isNotice ? "" : sender;
  const paths = isNotice ? [sender] : queue.map(({ recipient }) => recipient);
  return {
    id,
    direction: isNotice ? "notice" : "submission",
    connection: {
      listener: "submission",
      clientAddress: "192.0.2.1",
      clientPort: 25,
      helo: "us.test",
      extended: true,
    },
    envelope: { reversePath, recipients: paths.map((path) => ({ path })) },
    verdicts: [],
    decision: { disposition: "accept", opinions: [] },
    head: Buffer.from("Received: by us.test\r\n"),
    content: await writer.finish(),
    acceptedAtMs: nowMs,
    steps: [],
    deliveries: isNotice ? [{ account: "alice", mailbox: "inbox", flags: [] }] : [],
    queue,
  };
}

/** As the hub does it: into the sender's mailbox, once. @returns whether it was there before */
export async function commitNotice(
  store: OpenStore,
  { id, content: octets }: Notice,
  nowMs: number,
): Promise<boolean> {
  const acceptance = await acceptanceOf(store, { id, octets, nowMs, isNotice: true });
  return (await store.accept(acceptance)).repeated;
}

/** Every domain is a host of one address of its own. */
export function queueDepsOver(
  store: OpenStore,
  clock: Clock,
  more: Pick<QueueDeps, "dial" | "notice"> & Partial<QueueDeps>,
): QueueDeps {
  const found = { kind: "found", ttl: 60, authenticated: false } as const;
  const resolver = {
    query: async (_name: string, type: string) =>
      type === "A"
        ? { ...found, records: [{ address: "198.51.100.7" }] }
        : { kind: "none", nxdomain: false },
  } as QueueDeps["resolver"];
  return {
    store: store.queue,
    messages: store.messages,
    wayTo: () => ({ connector: plainConnector }),
    hops: policiesOf(),
    secretsOf: () => [],
    resolver,
    clock,
    random: systemRandom,
    log: silentLog,
    registry: new Registry(),
    parameters: { ...defaultsOf(queueParameters), privateNetworks: true },
    timeouts: timeoutsOf(defaultsOf(smtpClientParameters)),
    heloName: "out.us.test",
    ourNames: [],
    postmaster: "postmaster@us.test",
    ...more,
  };
}
