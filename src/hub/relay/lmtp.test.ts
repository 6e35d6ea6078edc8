/** The LMTP door with a real store: what is kept for whom, and as what. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { deliveryMeasures } from "#assurance/measures";
import { systemClock } from "#base/clock";
import { simulatedDisk } from "#base/disk-sim";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { type Endpoint, systemNet } from "#base/net";
import { defaultsOf } from "#base/parameters";
import { seededRandom, systemRandom } from "#base/random";
import type { Destination, Directory } from "#contracts/directory";
import { defaultSenderRules } from "#policy";
import { type OpenStore, openStore } from "#store";
import { smtpParameters } from "#transport/smtp-server";
import { zoneResolver } from "../../../tests/kit/fake-dns.ts";
import { Talk } from "../../../tests/kit/talk.ts";
import { fixedMaster } from "../../store/fixture.ts";
import { hubEvents } from "../events.ts";
import type { InboundPorts } from "../inbound.ts";
import { refusalReasons } from "../refusal-reasons.ts";
import { lmtpServer } from "./lmtp.ts";

const people = new Map<string, Destination>();
const directory = {
  isLocalDomain: (domain: string) => domain === "example.org",
  resolve: (path: string) => [people.get(path)].filter((one) => one !== undefined),
} as unknown as Directory;

let store: OpenStore;
let at: Endpoint;
let stop: () => Promise<void>;

before(async () => {
  const common = { clock: systemClock, random: systemRandom, log: silentLog };
  const registry = new Registry();
  store = await openStore({
    ...{ master: fixedMaster, clock: systemClock, random: seededRandom(2) },
    ...{ disk: simulatedDisk(seededRandom(1)), directory: "/store", indexPath: ":memory:" },
    minFreeBytes: 0,
  });
  for (const id of ["ana", "ben"]) {
    const address = `${id}@example.org`;
    await store.people.putAccount({ id, address, displayName: id, createdAtMs: 1 }, "test");
  }
  const inbound: InboundPorts = {
    ...{ ...common, store, directory, connectors: [], underWay: new Map() },
    gateways: { domains: [], ask: async () => "unknown" },
    events: hubEvents(silentLog, registry),
    measures: deliveryMeasures(registry),
    sealedRoom: { heldBytes: 0, maxBytes: 0 },
    judge: {
      startBytes: 0,
      judge: async ({ verdicts, decision }) => ({
        verdicts,
        decision,
        steps: [],
        milterFields: "",
      }),
    },
    reports: { note() {}, refused() {} },
    authservId: "mail.example.org",
    reasons: refusalReasons(),
    queued() {},
    accepted() {},
  };
  const server = lmtpServer({
    options: {
      ...{ ...common, registry, hostname: "mail.example.org", net: systemNet },
      limits: { ...defaultsOf(smtpParameters), greetingDelayMs: 0 },
    },
    ...{ directory, gateways: { domains: [], ask: async () => "unknown" as const }, inbound },
    identity: {
      ...{ ownRelays: [], trustedSealers: [], praMode: "rfc4407" as const },
      rules: { ...defaultSenderRules, spf: { ...defaultSenderRules.spf, fail: "reject" } },
    },
    resolver: zoneResolver({
      "good.example": [{ TXT: "v=spf1 ip4:192.0.2.7 -all" }],
      "bad.example": [{ TXT: "v=spf1 -all" }],
    }),
    clock: systemClock,
  });
  at = (await server.listen({ host: "127.0.0.1", port: 0 })).endpoint;
  stop = () => server.drain(0);
});

after(async () => {
  await stop();
  await store[Symbol.asyncDispose]();
});

async function begun(from: string, ...to: readonly string[]): Promise<Talk> {
  for (const id of ["ana", "ben"])
    people.set(`${id}@example.org`, { kind: "account", account: id });
  const talk = await Talk.open(at);
  await talk.reply();
  await talk.ask("LHLO mta.inside");
  await talk.ask(`MAIL FROM:<${from}>`);
  for (const path of to) assert.match(await talk.ask(`RCPT TO:<${path}>`), /^250 /);
  assert.match(await talk.ask("DATA"), /^354 /);
  return talk;
}

function content(from: string, received: number): string {
  const hop = "Received: from mx.strange.example ([192.0.2.7]) by mta.inside with ESMTP\r\n";
  return `${hop.repeat(received)}From: ${from}\r\nSubject: x\r\n\r\nwords\r\n.\r\n`;
}

async function inside(account: string, role: "inbox" | "junk"): Promise<number> {
  const boxes = await store.mailboxes.list(account);
  const box = boxes.find((one) => one.role === role);
  return (await store.mailboxes.entries(box?.id ?? "")).length;
}

describe("the LMTP door", () => {
  test("an account that goes after RCPT is refused, the others have their mail (RFC 2033 §4.2)", async () => {
    using talk = await begun("a@good.example", "ana@example.org", "ben@example.org");
    people.delete("ana@example.org");
    talk.send(content("a@good.example", 1));
    assert.equal(await talk.reply(), "550 5.1.1 no such user here");
    assert.equal(await talk.reply(), "250 2.0.0 kept");
    assert.deepEqual([await inside("ana", "inbox"), await inside("ben", "inbox")], [0, 1]);
    assert.equal((await store.stats()).queued, 0);
  });

  test("what the checks would refuse at the edge is Junk: its sender has had a 250", async () => {
    using talk = await begun("a@bad.example", "ana@example.org");
    talk.send(content("a@bad.example", 1));
    assert.equal(await talk.reply(), "250 2.0.0 kept");
    assert.deepEqual([await inside("ana", "inbox"), await inside("ana", "junk")], [0, 1]);
  });

  test("S15 more than 100 Received fields: 554 for each recipient, nothing kept", async () => {
    const before = (await store.stats()).messages;
    using talk = await begun("a@good.example", "ana@example.org", "ben@example.org");
    talk.send(content("a@good.example", 101));
    assert.match(await talk.reply(), /^554 5\.4\.6 /);
    assert.match(await talk.reply(), /^554 5\.4\.6 /);
    assert.equal((await store.stats()).messages, before);
  });
});
