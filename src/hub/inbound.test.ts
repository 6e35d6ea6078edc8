import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { deliveryMeasures } from "#assurance/measures";
import { systemClock } from "#base/clock";
import { type SimulatedDisk, simulatedDisk } from "#base/disk-sim";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { seededRandom, systemRandom } from "#base/random";
import type { Deposit, DepositEnd, DepositOutcome } from "#contracts/deposit";
import type { Destination, Directory } from "#contracts/directory";
import { type Link, type LinkStream, linkPair } from "#contracts/link";
import { makeSealKeys, seal } from "#contracts/sealed";
import type { Store } from "#contracts/store";
import { parseHeader } from "#formats/message";
import { checkArc } from "#identity/arc";
import { bodyDigests } from "#identity/dkim";
import type { Connection } from "#model/connection";
import type { InboundConnector } from "#model/connector";
import type { Decision } from "#model/decision";
import type { Mailbox, MailboxRole } from "#model/mailbox";
import type { ArcVerdict } from "#model/verdict";
import { type OpenStore, openStore } from "#store";
import { zoneResolver } from "../../tests/kit/fake-dns.ts";
import { rsaKey, signOctets, zoneOf } from "../identity/dkim/fixture.test.ts";
import { fixedMaster } from "../store/fixture.ts";
import { hubEvents } from "./events.ts";
import { answerAsked, type InboundPorts, takeDeposit, takeSealed } from "./inbound.ts";
import type { Judge } from "./judge.ts";
import { refusalReasons } from "./refusal-reasons.ts";

const ana = "ana@example.org";
const gone = "gone@example.org";
const authservId = "mail.example.org";
const { publicKeys, privateKeys } = makeSealKeys();
const text = Buffer.from("From: eve@example.net\r\nSubject: hello\r\n\r\nwords\r\n");
const pieceBytes = 60_000;
const roomBytes = 400_000;
const maxStoreBytes = 3 * 1024 * 1024;

/** What the edge found out stands as it is. */
const trustingJudge: Judge = {
  startBytes: 0,
  judge: ({ verdicts, decision }) =>
    Promise.resolve({ verdicts, decision, steps: [], milterFields: "" }),
};

/** The inside as an edge sees it: two real ends of a link, and a real store on a simulated disk. */
interface House {
  readonly disk: SimulatedDisk;
  readonly store: OpenStore;
  readonly ports: InboundPorts;
  readonly link: Link;
  readonly hubLink: Link;
  readonly registry: Registry;
  queued: number;
}

let house: House;
let nextId = 0;

beforeEach(async () => {
  const disk = simulatedDisk(seededRandom(1));
  const store = await openStore({
    master: fixedMaster,
    disk,
    clock: systemClock,
    random: seededRandom(2),
    directory: "/store",
    indexPath: ":memory:",
    segmentBytes: 1024 * 1024,
    inlineBytes: 16 * 1024,
    minFreeBytes: 0,
  });
  const account = { id: "ana", address: ana, displayName: "Ana", createdAtMs: 1 };
  await store.people.putAccount(account, "test");
  const registry = new Registry();
  const [link, hubLink] = linkPair();
  const ports: InboundPorts = {
    store,
    directory: directoryOf({ [ana]: [{ kind: "account", account: "ana" }] }),
    gateways: { domains: [], ask: async () => "known" },
    clock: systemClock,
    random: systemRandom,
    events: hubEvents(silentLog, registry),
    measures: deliveryMeasures(registry),
    underWay: new Map(),
    reasons: refusalReasons(),
    connectors: [],
    sealedRoom: { heldBytes: 0, maxBytes: roomBytes },
    judge: trustingJudge,
    reports: { note() {}, refused() {} },
    authservId,
    accepted: () => {},
    queued: () => {
      house.queued += 1;
    },
  };
  serve(hubLink, ports);
  house = { disk, store, ports, link, hubLink, registry, queued: 0 };
});

afterEach(async () => {
  house.link.close("test is over");
  house.hubLink.close("test is over");
  await house.store[Symbol.asyncDispose]();
});

function serve(link: Link, ports: InboundPorts): void {
  link.onStream((stream) => {
    if (stream.kind === "deposit") takeDeposit(stream, ports);
    else if (stream.kind === "sealed") takeSealed(stream, privateKeys, ports);
    else answerAsked(stream, ports);
  });
}

function directoryOf(people: Readonly<Record<string, readonly Destination[]>>): Directory {
  return { resolve: (address: string) => people[address] ?? [] } as unknown as Directory;
}

/** What an edge says of a message to these recipients. */
function depositTo(recipients: readonly string[], more: Partial<Deposit> = {}): Deposit {
  nextId += 1;
  return {
    id: nextId.toString(16).padStart(32, "0"),
    receivedBy: "mx.example.org",
    connection: {
      listener: "smtp",
      clientAddress: "192.0.2.1",
      clientPort: 4000,
      helo: "mx.example.net",
      extended: true,
    },
    envelope: { reversePath: "eve@example.net", recipients: recipients.map((path) => ({ path })) },
    receivedAtMs: Date.now(),
    steps: [],
    ...more,
  };
}

function decided(disposition: "reject" | "defer"): Decision {
  return { disposition, opinions: [{ stage: "spf", disposition, because: "spf=fail" }] };
}

const accepting: Decision = { disposition: "accept", opinions: [] };

function endOf(octets: Uint8Array, decision = accepting): DepositEnd {
  const contentId = createHash("sha256").update(octets).digest("hex");
  const source = {
    kind: "direct",
    address: "192.0.2.1",
    helo: "mx.example.net",
    passed: 0,
  } as const;
  return { contentId, sizeBytes: octets.length, verdicts: [], decision, source, steps: [] };
}

async function send(stream: LinkStream, octets: Uint8Array): Promise<void> {
  for (let at = 0; at < octets.length; at += pieceBytes) {
    if (!stream.send(octets.subarray(at, at + pieceBytes))) await stream.drained();
  }
}

function outcomeOf(stream: LinkStream): Promise<DepositOutcome> {
  return stream.answered as Promise<DepositOutcome>;
}

async function hand(deposit: Deposit, octets = text, end = endOf(octets)): Promise<DepositOutcome> {
  const stream = house.link.open("deposit", deposit);
  await send(stream, octets);
  stream.end(end);
  return outcomeOf(stream);
}

function sealed(deposit: unknown, octets = text, decision = accepting): Buffer {
  const sealer = seal(publicKeys, deposit);
  return Buffer.concat([...sealer.write(octets), ...sealer.end(endOf(octets, decision))]);
}

async function handSealed(octets: Uint8Array): Promise<DepositOutcome> {
  const stream = house.link.open("sealed", { id: "0".repeat(32) });
  await send(stream, octets);
  stream.end();
  return outcomeOf(stream);
}

function codeOf(outcome: DepositOutcome): string {
  return outcome.committed ? "committed" : `${outcome.reply.code} ${outcome.reply.status}`;
}

async function mailbox(role: MailboxRole): Promise<Mailbox> {
  const all = await house.store.mailboxes.list("ana");
  return all.find((one) => one.role === role) as Mailbox;
}

async function countIn(role: MailboxRole): Promise<number> {
  return (await house.store.mailboxes.entries((await mailbox(role)).id)).length;
}

async function messagesKept(): Promise<number> {
  return (await house.store.stats()).messages;
}

async function asked(id: string): Promise<unknown> {
  return house.link.open("asked", { id }).answered;
}

async function until(holds: () => boolean): Promise<void> {
  for (const deadlineMs = Date.now() + 20_000; !holds(); await turn()) {
    assert.ok(Date.now() < deadlineMs, "it never came so far");
  }
}

function counted(name: string): number {
  const found = house.registry.samples().filter((one) => one.name.startsWith(name));
  return found.reduce((sum, one) => sum + one.value, 0);
}

describe("a deposit whose recipients went after RCPT", () => {
  test("is put off when some are gone: the next try learns who", async () => {
    const deposit = depositTo([ana, gone]);
    assert.equal(codeOf(await hand(deposit)), "451 4.3.0");
    assert.equal(await messagesKept(), 0);
    assert.deepEqual(await asked(deposit.id), { committed: false });
  });

  test("is refused when all are gone", async () => {
    assert.equal(codeOf(await hand(depositTo([gone, `other-${gone}`]))), "550 5.1.1");
    assert.equal(await messagesKept(), 0);
  });
});

describe("a deposit for a server inside", () => {
  const zoe = "zoe@inside.example";
  beforeEach(() => {
    const directory = directoryOf({ [zoe]: [{ kind: "elsewhere", address: zoe }] });
    Object.assign(house.ports, { directory });
  });

  for (const disposition of ["quarantine", "accept"] as const) {
    test(`that is decided ${disposition} goes on, and says whether it is Junk`, async () => {
      const deposit = depositTo([zoe]);
      const end = endOf(text, { disposition, opinions: [] });
      assert.equal(codeOf(await hand(deposit, text, end)), "committed");
      const kept = (await house.store.messages.read(deposit.id)).toString("latin1");
      assert.equal(kept.includes("\r\nX-Spam-Flag: YES\r\n"), disposition === "quarantine");
      assert.ok(kept.endsWith(text.toString("latin1")));
      const [item] = await house.store.queue.list({ limit: 9 });
      assert.deepEqual([item?.recipient, item?.unprovenSender], [zoe, true]);
    });
  }

  for (const [answer, reply] of [
    ["unknown", "550 5.1.1"],
    ["later", "451 4.3.0"],
  ] as const) {
    test(`whose recipient is ${answer} there is not taken, whatever the edge asked before`, async () => {
      const asked: string[] = [];
      const ask = async (path: string) => {
        asked.push(path);
        return answer;
      };
      Object.assign(house.ports, { gateways: { domains: ["inside.example"], ask } });
      assert.equal(codeOf(await hand(depositTo([zoe]))), reply);
      assert.deepEqual([asked, await messagesKept()], [[zoe], 0]);
    });
  }

  test("waits when one of its recipients is unknown there, for the sender's next try", async () => {
    const directory = directoryOf({
      [ana]: [{ kind: "account", account: "ana" }],
      [zoe]: [{ kind: "elsewhere", address: zoe }],
    });
    const gateways = { domains: ["inside.example"], ask: async () => "unknown" };
    Object.assign(house.ports, { directory, gateways });
    assert.equal(codeOf(await hand(depositTo([ana, zoe]))), "451 4.3.0");
    assert.equal(await messagesKept(), 0);
  });
});

describe("a deposit", () => {
  test("is committed, once however often its id comes", async () => {
    const deposit = depositTo([ana]);
    assert.deepEqual(await hand(deposit), { committed: true, repeated: false });
    assert.deepEqual(await hand(deposit), { committed: true, repeated: true });
    assert.equal(await countIn("inbox"), 1);
    assert.deepEqual(await asked(deposit.id), { committed: true });
  });

  const wrongEnds: readonly (readonly [string, Partial<DepositEnd>])[] = [
    ["hash", { contentId: "a".repeat(64) }],
    ["size", { sizeBytes: text.length + 1 }],
  ];
  for (const [what, wrong] of wrongEnds) {
    test(`whose ${what} is not that of the socket is not kept`, async () => {
      const deposit = depositTo([ana]);
      assert.equal(codeOf(await hand(deposit, text, { ...endOf(text), ...wrong })), "451 4.3.0");
      assert.deepEqual(await asked(deposit.id), { committed: false });
      assert.equal(await messagesKept(), 0);
      assert.equal(counted("content_damaged"), 1);
    });
  }

  test("loses fields that pretend to be ours and is still the one that was sent", async () => {
    const forged = `Authentication-Results: ${authservId};\r\n spf=pass\r\n`;
    const octets = Buffer.concat([Buffer.from(forged), text, Buffer.alloc(100_000, "line\r\n")]);
    const deposit = depositTo([ana]);
    assert.equal(codeOf(await hand(deposit, octets)), "committed");
    const kept = await house.store.messages.read(deposit.id);
    assert.ok(kept.subarray(kept.indexOf("From:")).equals(octets.subarray(forged.length)));
    // The only such field is the one that this side wrote.
    const fields = kept.toString("latin1").match(/^Authentication-Results:/gim);
    assert.equal(fields?.length, 1);
    assert.equal(kept.includes("spf=pass"), false);
  });

  test("for which there is no room gets an answer, in the middle of its octets too", async () => {
    house.disk.faults = { roomBytes: maxStoreBytes };
    const large = Buffer.from(systemRandom.bytes(2 * maxStoreBytes));
    const deposit = depositTo([ana]);
    assert.equal(codeOf(await hand(deposit, large)), "452 4.3.1");
    assert.equal(house.ports.underWay.size, 0);
    assert.deepEqual(await asked(deposit.id), { committed: false });
    assert.equal(counted("content_damaged"), 0);
  });

  test("in a wrong shape is broken, and an operator sees it", async () => {
    const wrong = { ...depositTo([ana]), receivedAtMs: -1 };
    await assert.rejects(house.link.open("deposit", wrong).answered, /wrong shape/);
    await assert.rejects(asked("no id"), /wrong shape/);
    const end = { ...endOf(text), sizeBytes: -1 };
    assert.equal(codeOf(await hand(depositTo([ana]), text, end)), "451 4.3.0");
    assert.equal(counted("wrong_shapes"), 3);
    assert.equal(await messagesKept(), 0);
  });
});

describe("CAP-46 a connector that the edge names", () => {
  const user = "acme-mail";
  const acme: InboundConnector = {
    ...{ name: "acme", door: "edge", networks: [], certificates: [], user },
    ...{ senderDomains: ["acme.example"], requireTls: false, minVersion: "TLSv1.2" },
    ...{ trusted: false, mayRelay: false },
  };

  /** What the trace says of the connection. */
  async function keptOf(claim: Partial<Connection>): Promise<Partial<Connection>> {
    const [link, hubLink] = linkPair();
    serve(hubLink, { ...house.ports, connectors: [acme] });
    house = { ...house, link, hubLink };
    const { connection, ...deposit } = depositTo([ana]);
    const claiming = { ...deposit, connection: { ...connection, ...claim } };
    assert.equal(codeOf(await hand(claiming, text)), "committed");
    const { connector, authenticated } =
      (await house.store.traces.show(deposit.id))?.connection ?? {};
    return { ...(connector && { connector }), ...(authenticated && { authenticated }) };
  }

  test("is kept where there is such a one, and dropped where there is not", async () => {
    const good = { connector: "acme", authenticated: user };
    assert.deepEqual(await keptOf(good), good);
    assert.deepEqual(await keptOf({ connector: "gone", authenticated: user }), {});
    assert.deepEqual(await keptOf({ connector: "acme", authenticated: "other" }), {});
  });
});

describe("a message that is forwarded elsewhere", () => {
  const team = "team@example.org";
  const key = rsaKey("2026a");
  const verdict: ArcVerdict = {
    ...{ method: "arc", result: "none", sealers: [], trusted: false, why: "there is no chain" },
  };
  const forged = `Authentication-Results: ${authservId};\r\n spf=pass\r\n`;
  const octets = Buffer.concat([Buffer.from(forged), text, Buffer.alloc(300_000, "a  b \r\n")]);

  /** The kept message after one deposit to that recipient, where forwarded mail is sealed or not. */
  async function kept(to: string, isSealed: boolean, isAcknowledged = false): Promise<Buffer> {
    const ports: InboundPorts = {
      ...house.ports,
      directory: directoryOf({
        [ana]: [{ kind: "account", account: "ana" }],
        [team]: [
          { kind: "account", account: "ana" },
          { kind: "elsewhere", address: "bob@elsewhere.example" },
        ],
      }),
      ...(isSealed && {
        sealing: {
          clock: systemClock,
          ...{ domain: "example.org", authservId },
          keyring: {
            dkimKeys: async (domain) => [{ domain, ...key, publicKey: "" }],
            dkimSign: async (_domain, _selector, input) => signOctets(key, Buffer.from(input)),
          },
        },
      }),
      judge: {
        ...trustingJudge,
        judge: async ({ decision }) => ({
          verdicts: [verdict],
          decision,
          steps: [],
          milterFields: "",
        }),
      },
    };
    const [link, hubLink] = linkPair();
    serve(hubLink, ports);
    house = { ...house, link, hubLink };
    const deposit = depositTo([to]);
    const outcome = isAcknowledged ? handSealed(sealed(deposit, octets)) : hand(deposit, octets);
    assert.equal(codeOf(await outcome), "committed");
    return house.store.messages.read(deposit.id);
  }

  test("CAP-49 leaves with REQUIRETLS when it came with it (RFC 8689 §4)", async () => {
    const directory = directoryOf({ [team]: [{ kind: "elsewhere", address: "bob@x.example" }] });
    const [link, hubLink] = linkPair();
    serve(hubLink, { ...house.ports, directory });
    house = { ...house, link, hubLink };
    for (const requireTls of [true, undefined]) {
      const { envelope, ...deposit } = depositTo([team]);
      const asked = { ...envelope, ...(requireTls && { requireTls }) };
      assert.equal(codeOf(await hand({ ...deposit, envelope: asked }, octets)), "committed");
    }
    const items = await house.store.queue.list({ limit: 10 });
    assert.equal(items.filter((item) => item.requireTls === true).length, 1);
    assert.equal(items.length, 2);
  });

  for (const isAcknowledged of [false, true]) {
    const way = isAcknowledged ? "from the sealed spool" : "over the link";
    test(`bears a seal of ours over what is kept, ${way}`, async () => {
      const whole = await kept(team, true, isAcknowledged);
      const header = parseHeader(whole);
      const digests = bodyDigests(header);
      digests.write(whole.subarray(header.end));
      digests.finish();
      const resolver = zoneResolver(zoneOf([key]));
      const ports = { resolver, nowMs: Date.now(), trustedSealers: [] };
      const found = await checkArc({ header, digests }, ports);
      assert.deepEqual([found.result, found.sealers], ["pass", ["example.org"]], found.why);
      assert.match(whole.toString("latin1"), /^Return-Path: .*\r\nAuthentication-Results: /);
    });
  }

  test("bears none unless that is wanted, nor does mail for people here", async () => {
    assert.ok(!(await kept(team, false)).includes("ARC-Seal"));
    assert.ok(!(await kept(ana, true)).includes("ARC-Seal"));
  });
});

describe("a question about a deposit under way", () => {
  test("waits for the end of the stream and for the commit", async () => {
    const deposit = depositTo([ana]);
    const stream = house.link.open("deposit", deposit);
    stream.send(text);
    await until(() => house.ports.underWay.size === 1);
    const answers: unknown[] = [];
    const question = asked(deposit.id).then((answer) => answers.push(answer));
    await asked("f".repeat(32)); // one that came later is answered already
    assert.deepEqual(answers, []);
    stream.end(endOf(text));
    await question;
    assert.deepEqual(answers, [{ committed: true }]);
    assert.equal(house.ports.underWay.size, 0);
  });

  test("is answered no when the stream breaks", async () => {
    const deposit = depositTo([ana]);
    const stream = house.link.open("deposit", deposit);
    stream.send(text);
    await until(() => house.ports.underWay.size === 1);
    const question = asked(deposit.id);
    stream.abort("the sender hung up");
    assert.deepEqual(await question, { committed: false });
    assert.equal(house.ports.underWay.size, 0);
  });

  test("waits for a commit whose own link broke meanwhile", async () => {
    const gate = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const store: Store = {
      ...house.store,
      stage: () => house.store.stage(),
      isAccepted: (id) => house.store.isAccepted(id),
      async accept(acceptance) {
        arrived.resolve();
        await gate.promise;
        return house.store.accept(acceptance);
      },
    };
    const [bulk, hubBulk] = linkPair();
    const ports = { ...house.ports, store };
    serve(hubBulk, ports);
    const deposit = depositTo([ana]);
    const stream = bulk.open("deposit", deposit);
    stream.send(text);
    stream.end(endOf(text));
    const lost = assert.rejects(stream.answered);
    await arrived.promise;
    bulk.close("cut");
    await lost;
    await hubBulk.closed;
    const question = asked(deposit.id);
    await asked("f".repeat(32));
    gate.resolve();
    assert.deepEqual(await question, { committed: true });
    assert.equal(house.ports.underWay.size, 0);
  });
});

describe("a sealed message", () => {
  test("to somebody gone is kept, and goes to the queue to come back from there", async () => {
    const deposit = depositTo([gone, ana]);
    assert.equal(codeOf(await handSealed(sealed(deposit))), "committed");
    const items = await house.store.queue.list({ limit: 10 });
    assert.deepEqual(
      items.map(({ recipient, reversePath }) => [recipient, reversePath]),
      [[gone, "eve@example.net"]],
    );
    assert.equal(await countIn("inbox"), 1);
    assert.equal(house.queued, 1);
  });

  for (const disposition of ["reject", "defer"] as const) {
    test(`that policy would ${disposition} is Junk: its sender has had the 250`, async () => {
      const deposit = depositTo([ana, gone]);
      const octets = sealed(deposit, text, decided(disposition));
      assert.equal(codeOf(await handSealed(octets)), "committed");
      assert.deepEqual([await countIn("junk"), await countIn("inbox")], [1, 0]);
      assert.equal((await house.store.queue.list({ limit: 10 })).length, 1);
      // The same decision on a live one is an answer.
      const end = endOf(text, decided(disposition));
      const live = await hand(depositTo([ana]), text, end);
      assert.equal(live.committed, false);
    });
  }

  test("with a header too long to be judged is Junk; a live one is refused", async () => {
    const long = Buffer.from(`${"X-Line: y\r\n".repeat(30_000)}\r\nbody\r\n`);
    assert.equal(codeOf(await handSealed(sealed(depositTo([ana]), long))), "committed");
    assert.deepEqual([await countIn("junk"), await countIn("inbox")], [1, 0]);
    const live = await hand(depositTo([ana]), long);
    assert.ok(!live.committed && live.reply.code === 552);
    assert.equal(await messagesKept(), 1);
  });

  test("that no key opens, or of a wrong shape, is refused for good", async () => {
    const foreign = Buffer.concat([
      ...seal(makeSealKeys().publicKeys, depositTo([ana])).end(endOf(text)),
    ]);
    assert.equal(codeOf(await handSealed(foreign)), "554 5.6.0");
    assert.equal(counted("wrong_shapes"), 0);
    assert.equal(codeOf(await handSealed(sealed({ id: "x" }))), "554 5.6.0");
    assert.equal(counted("wrong_shapes"), 1);
    assert.equal(await messagesKept(), 0);
  });
});

describe("the room for sealed messages", () => {
  const half = sealed(depositTo([ana]), Buffer.concat([text, Buffer.alloc(180_000, "line\r\n")]));

  test("takes two and breaks the third, which comes in when one has ended", async () => {
    const { sealedRoom } = house.ports;
    const [one, other] = [0, 1].map(() => house.link.open("sealed", { id: "0".repeat(32) }));
    assert.ok(one !== undefined && other !== undefined);
    for (const stream of [one, other]) await send(stream, half);
    await until(() => sealedRoom.heldBytes === 2 * half.length);
    await assert.rejects(handSealed(half), /too much/);
    assert.equal(sealedRoom.heldBytes, 2 * half.length, "what it held is given back");
    one.end();
    assert.equal(codeOf(await outcomeOf(one)), "committed");
    assert.equal(codeOf(await handSealed(half)), "committed");
    other.end();
    assert.equal(codeOf(await outcomeOf(other)), "committed");
    await until(() => sealedRoom.heldBytes === 0);
  });

  test("is given back when a stream breaks, is refused or is put off", async () => {
    const { sealedRoom } = house.ports;
    const broken = house.link.open("sealed", { id: "0".repeat(32) });
    await send(broken, half);
    await until(() => sealedRoom.heldBytes === half.length);
    broken.abort("the edge stops");
    await until(() => sealedRoom.heldBytes === 0);
    assert.equal(codeOf(await handSealed(half.subarray(0, -1))), "554 5.6.0");
    await until(() => sealedRoom.heldBytes === 0);
    house.disk.faults = { roomBytes: 1 };
    const large = Buffer.concat([text, systemRandom.bytes(300_000)]);
    for (let nth = 0, code = ""; code !== "452 4.3.1"; nth += 1) {
      assert.ok(nth < 20, "the disk is never full");
      code = codeOf(await handSealed(sealed(depositTo([ana]), large)));
      await until(() => sealedRoom.heldBytes === 0);
    }
  });
});
