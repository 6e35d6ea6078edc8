import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { generateKeyPairSync, hash, sign } from "node:crypto";
import { describe, test } from "node:test";
import type { DnsAnswer } from "#base/dns";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { systemRandom } from "#base/random";
import type { Deposit, DepositEnd } from "#contracts/deposit";
import { parseHeader } from "#formats/message";
import { dkimSignature, hashBody } from "#identity/dkim";
import { replayCounter } from "#identity/replay";
import type { Connection } from "#model/connection";
import type { Reply } from "#model/reply";
import { defaultSenderRules } from "#policy";
import type { ContentSink, SmtpHandler } from "#transport/smtp-server";
import { type FakeClock, fakeClock } from "../../../tests/kit/fake-clock.ts";
import { type Zone, zoneResolver } from "../../../tests/kit/fake-dns.ts";
import type { Handover } from "./deposit.ts";
import { edgeEvents } from "./events.ts";
import { type InboundPorts, inbound } from "./inbound.ts";
import { edgeSmtpParameters } from "./parameters.ts";

const kept: Reply = { code: 250, status: "2.0.0", text: "kept" };
const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const published = publicKey.export({ type: "spki", format: "der" }).subarray(12).toString("base64");

const zone: Zone = {
  "good.example": [{ TXT: "v=spf1 ip4:192.0.2.0/24 -all" }],
  "s._domainkey.good.example": [{ TXT: `v=DKIM1; k=ed25519; p=${published}` }],
  "25.2.0.192.in-addr.arpa": [{ PTR: "mx.good.example" }],
  "mx.good.example": [{ A: "192.0.2.25" }],
};

interface Edge {
  readonly handler: SmtpHandler;
  readonly clock: FakeClock;
  readonly registry: Registry;
  readonly deposits: Deposit[];
  readonly ends: DepositEnd[];
  /** What messages hold. */
  readonly held: { bytes: number };
}

/** @param silent no question of that type is answered */
function edgeWith(replayLimit: number, silent?: string): Edge {
  const clock = fakeClock();
  const registry = new Registry();
  const held = { bytes: 0 };
  const [deposits, ends]: [Deposit[], DepositEnd[]] = [[], []];
  const known = zoneResolver(zone);
  const whole: InboundPorts["depositor"]["whole"] = async (deposit, _content, end) => {
    deposits.push(deposit);
    ends.push(end);
    return kept;
  };
  const handler = inbound({
    hostname: "mx.example.org",
    receivedLimit: 100,
    replayLimit,
    replays: replayCounter(clock),
    questions: { ask: async () => "later" },
    policy: {
      identity: { ownRelays: [], trustedSealers: [], praMode: "rfc4407" },
      current: { maxMessageBytes: 10_000_000, rules: defaultSenderRules },
      address: () => "known",
    } as unknown as InboundPorts["policy"],
    connectors: { refuseSender: () => undefined },
    abuse: {
      connected: () => undefined,
      mail: () => undefined,
      recipient: () => undefined,
      unknown() {},
      greylisted: () => undefined,
      opinions: () => [],
      isTrusted: () => true,
    },
    overload: {
      hold(bytes) {
        held.bytes += bytes;
        return true;
      },
      release(bytes) {
        held.bytes -= bytes;
      },
    },
    depositor: {
      open: () => true,
      waiting: () => 0,
      whole,
      async stream(deposit) {
        deposits.push(deposit);
        const handover = {
          write() {},
          async end(end: DepositEnd) {
            ends.push(end);
            return kept;
          },
          abort() {},
        };
        return handover as unknown as Handover;
      },
    },
    refusals: { add() {}, flush() {} } as unknown as InboundPorts["refusals"],
    resolver: {
      ...known,
      query: (name, type) =>
        type === silent ? new Promise<DnsAnswer<never>>(() => {}) : known.query(name, type),
    },
    events: edgeEvents(silentLog, registry),
    clock,
    random: systemRandom,
  });
  return { handler, clock, registry, deposits, ends, held };
}

function begun(edge: Edge, to: string): ContentSink {
  const connection: Connection = {
    ...{ listener: "smtp", clientAddress: "192.0.2.25", clientPort: 1, helo: "mx.good.example" },
    extended: true,
  };
  const envelope = { reversePath: "a@good.example", recipients: [{ path: to }] };
  const session = { connection, envelope };
  assert.equal(edge.handler.mail?.(session, envelope), undefined);
  assert.equal(edge.handler.recipient(session, to), undefined);
  const transaction = { id: "0".repeat(32), connection, envelope, receivedAtMs: 0 };
  return edge.handler.begin(transaction);
}

async function send(edge: Edge, octets: Buffer, to: string): Promise<Reply> {
  const sink = begun(edge, to);
  await sink.write(octets);
  const facts = { contentId: hash("sha256", octets), sizeBytes: octets.length };
  return (await sink.end(facts)) as Reply;
}

async function signedMail(signedAtMs: number, body = "Buy this.\r\n"): Promise<Buffer> {
  const octets = Buffer.from(`From: a@good.example\r\nSubject: offer\r\n\r\n${body}`);
  const header = parseHeader(octets);
  const field = await dkimSignature({
    ...{ header, bodyHash: hashBody([octets], header.end), domain: "good.example", selector: "s" },
    ...{ algorithm: "ed25519-sha256", signedAtMs, expiresAtMs: signedAtMs + 86_400_000 },
    sign: async (input) => sign(null, hash("sha256", input, "buffer"), privateKey),
  });
  return Buffer.concat([Buffer.from(field), octets]);
}

describe("A9 replay at the edge", () => {
  test("sends to Junk what bears a signature beyond the limit, until the hour is over", async () => {
    const edge = edgeWith(edgeSmtpParameters.replayLimit.default);
    const octets = await signedMail(edge.clock.nowMs());
    for (let nth = 0; nth < 300; nth += 1) {
      assert.equal((await send(edge, octets, `user${nth}@example.org`)).code, 250);
    }
    const dispositions = edge.ends.map(({ decision }) => decision.disposition);
    assert.deepEqual(new Set(dispositions.slice(0, 100)), new Set(["accept"]));
    assert.deepEqual(new Set(dispositions.slice(100)), new Set(["quarantine"]));
    const because = "a signature of good.example came with 101 messages within an hour";
    assert.deepEqual(edge.ends[100]?.decision.opinions[0], {
      ...{ stage: "replay", disposition: "quarantine", because },
    });
    assert.ok(edge.deposits[100]?.steps.some(({ text }) => text === because));
    const counted = edge.registry.samples().find(({ name }) => name.startsWith("edge_replays"));
    assert.equal(counted?.value, 200);
    await edge.clock.advance(3_600_000);
    await send(edge, octets, "ann@example.org");
    assert.equal(edge.ends.at(-1)?.decision.disposition, "accept");
  });

  test("lets many different messages of one sender pass, and with 0 any number", async () => {
    const edge = edgeWith(3);
    const free = edgeWith(0);
    const one = await signedMail(free.clock.nowMs());
    for (let nth = 0; nth < 10; nth += 1) {
      const octets = await signedMail(edge.clock.nowMs(), `Hello ${nth}\r\n`);
      await send(edge, octets, `user${nth}@example.org`);
      await send(free, one, `user${nth}@example.org`);
    }
    for (const { decision } of [...edge.ends, ...free.ends]) {
      assert.equal(decision.disposition, "accept", decision.opinions[0]?.because ?? "");
    }
  });
});

describe("the client's reverse name (RFC 8601 §3)", () => {
  const small = Buffer.from("From: a@good.example\r\n\r\nHello\r\n");
  const large = Buffer.concat([small, Buffer.alloc(2_000_000, "text \r\n")]);

  for (const [what, octets] of [
    ["small", small],
    ["large", large],
  ] as const) {
    test(`goes inside with a ${what} message, and into its trace`, async () => {
      const edge = edgeWith(100);
      await send(edge, octets, "ann@example.org");
      assert.equal(edge.deposits[0]?.connection.reverseName, "mx.good.example");
      const steps = [...(edge.deposits[0]?.steps ?? []), ...(edge.ends[0]?.steps ?? [])];
      assert.ok(steps.some(({ text }) => text === "the client's name is mx.good.example"));
    });
  }

  test("holds up nothing but the end of the content, and that for five seconds at most", async () => {
    const edge = edgeWith(100, "PTR");
    const replies: Reply[] = [];
    void send(edge, small, "ann@example.org").then((said) => replies.push(said));
    await edge.clock.advance(4999);
    assert.equal(replies.length, 0);
    await edge.clock.advance(1);
    assert.equal(replies[0]?.code, 250);
    assert.equal(edge.deposits[0]?.connection.reverseName, undefined);
  });
});

test("V2 octets that come one by one count with what a piece costs", async () => {
  const edge = edgeWith(100);
  const sink = begun(edge, "ann@example.org");
  for (let nth = 0; nth < 1000; nth += 1) await sink.write(Buffer.from("y"));
  assert.ok(edge.held.bytes > 250_000, `${edge.held.bytes}`);
  sink.abort("closed");
  assert.equal(edge.held.bytes, 0);
});
