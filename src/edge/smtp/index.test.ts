import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import tls from "node:tls";
import { systemClock } from "#base/clock";
import type { DnsAnswer, Resolver } from "#base/dns";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { systemRandom } from "#base/random";
import type { Deposit, DepositEnd } from "#contracts/deposit";
import {
  exchangeHello,
  type Link,
  type LinkStream,
  linkClasses,
  linkVersion,
  muxOver,
} from "#contracts/link";
import type { Refusal } from "#contracts/store";
import { parseWitnessAnswer } from "#contracts/witness";
import {
  abuseParameters,
  type EdgeSmtp,
  type EdgeSmtpSettings,
  edgeSmtpParameters,
  startEdgeSmtp,
} from "#edge/smtp";
import {
  cosignedAt,
  formatHead,
  formatNote,
  formatNoteKey,
  noteKey,
  parseSignatures,
  signHead,
} from "#formats/checkpoint";
import { defaultSenderRules } from "#policy";
import { smtpParameters } from "#transport/smtp-server";
import { pemOf } from "../../../tests/kit/certificate.ts";

const folder = mkdtempSync(join(tmpdir(), "edge-"));
after(() => rmSync(folder, { recursive: true }));
const pem = pemOf("hub");
const pemFile = join(folder, "link.pem");
writeFileSync(pemFile, pem);
const policyKey = generateKeyPairSync("ed25519");
let folders = 0;

function settingsWith(change: Partial<EdgeSmtpSettings> = {}): EdgeSmtpSettings {
  return {
    hostname: "mx.example.org",
    listen: { host: "127.0.0.1", port: 0 },
    link: {
      listen: { host: "127.0.0.1", port: 0 },
      certificate: pemFile,
      key: pemFile,
      authority: pemFile,
      hubFingerprint: new X509Certificate(pem).fingerprint256,
    },
    policyPublicKey: policyKey.publicKey.export({ type: "spki", format: "pem" }).toString(),
    folder: mkdtempSync(join(folder, `${(folders += 1)}-`)),
    spool: "reject",
    spoolMib: 64,
    dns: { servers: [], timeoutMs: 500, attempts: 3, cacheEntries: 100, trustAuthenticated: false },
    egressPorts: [25],
    egressPrivate: false,
    smtp: defaultsOf(smtpParameters),
    abuse: defaultsOf(abuseParameters),
    edge: { ...defaultsOf(edgeSmtpParameters), linkWaitMs: 100 },
    ...change,
  };
}

/** Says who may send: 127.0.0.1 for good.example, nobody for bad.example. */
const zone: Readonly<Record<string, string>> = {
  "good.example": "v=spf1 ip4:127.0.0.1 -all",
  "bad.example": "v=spf1 -all",
};
const answer = (name: string, type: string): DnsAnswer<never> => {
  const text = type === "TXT" ? zone[name] : undefined;
  if (text === undefined) return { kind: "none", nxdomain: false };
  return { kind: "found", records: [{ text }], ttl: 60, authenticated: false } as never;
};
const resolver = {
  query: async (name: string, type: string) => answer(name, type),
  cached: () => undefined,
} as Resolver;

function start(settings: EdgeSmtpSettings): Promise<EdgeSmtp> {
  const deps = { clock: systemClock, random: systemRandom, log: silentLog };
  return startEdgeSmtp(settings, { ...deps, registry: new Registry(), resolver });
}

interface Got {
  readonly deposit: Deposit;
  readonly end: DepositEnd;
  readonly content: string;
}

/** The inside: dials the edge, keeps what comes. */
class Hub {
  readonly got: Got[] = [];
  readonly refusals: Refusal[] = [];
  samples = 0;
  prompt!: Link;
  bulk!: Link;

  async dial(edge: EdgeSmtp): Promise<this> {
    for (const linkClass of linkClasses) {
      const socket = tls.connect({
        host: edge.link.host,
        port: edge.link.port,
        ca: pem,
        cert: pem,
        key: pem,
        ALPNProtocols: ["postern-link/1"],
        checkServerIdentity: () => undefined,
      });
      await once(socket, "secureConnect");
      const hello = { version: linkVersion, linkClass, nonce: "0".repeat(32) };
      await exchangeHello(socket, hello, systemClock, 1000);
      this[linkClass] = muxOver(socket, "opener-odd", { peer: "edge" });
      this[linkClass].onStream((stream) => this.#serve(stream));
    }
    return this;
  }

  #serve(stream: LinkStream): void {
    if (stream.kind === "samples") this.samples += 1;
    if (stream.kind === "refused") {
      this.refusals.push(...(stream.header as { refusals: Refusal[] }).refusals);
    }
    if (stream.kind !== "deposit") return;
    const parts: Buffer[] = [];
    stream.receive({
      data: (chunk) => void parts.push(Buffer.from(chunk)),
      end: (end) => {
        const content = Buffer.concat(parts).toString();
        this.got.push({ deposit: stream.header as Deposit, end: end as DepositEnd, content });
        stream.answer({ committed: true, repeated: false });
      },
      broken() {},
    });
  }

  pushPolicy(version = 1, more: object = {}): Promise<unknown> {
    const salt = Buffer.alloc(32, 3);
    const digest = (text: string): string =>
      createHmac("sha256", salt).update(text).digest("base64url");
    const snapshot = JSON.stringify({
      version,
      madeAtMs: 0,
      salt: salt.toString("base64"),
      maxMessageBytes: 2_000_000,
      recipients: [digest("ann@example.org")],
      domains: [digest("example.org")],
      ownRelays: [],
      trustedSealers: [],
      praMode: "rfc4407",
      rules: {
        ...defaultSenderRules,
        spf: { ...defaultSenderRules.spf, fail: "reject", temperror: "defer" },
      },
      ...more,
    });
    const signature = sign(null, Buffer.from(snapshot), policyKey.privateKey).toString("base64");
    const octets = Buffer.from(JSON.stringify({ snapshot, signature }));
    return this.prompt.open("policy", {}, { data: octets, end: {} }).answered;
  }
}

/** A client that waits for each reply. */
class Client {
  readonly #socket: Socket;
  #text = "";

  constructor(edge: EdgeSmtp) {
    this.#socket = connect(edge.smtp.port, edge.smtp.host);
    this.#socket.on("data", (chunk) => (this.#text += chunk));
  }

  async reply(): Promise<string> {
    for (;;) {
      const match = /^(?:\d{3}-.*\r\n)*(\d{3} .*)\r\n/.exec(this.#text);
      if (match !== null) {
        this.#text = this.#text.slice(match[0].length);
        return match[1] ?? "";
      }
      await once(this.#socket, "data");
    }
  }

  async say(line: string): Promise<string> {
    this.#socket.write(`${line}\r\n`);
    return this.reply();
  }

  /** From greeting to the end of the content; the last reply, or the first bad one. */
  async send(from: string, content: string, to = "ann@example.org"): Promise<string> {
    await this.reply();
    await this.say("EHLO client.good.example");
    for (const line of [`MAIL FROM:<${from}>`, `RCPT TO:<${to}>`, "DATA"]) {
      const said = await this.say(line);
      if (said[0] === "2" || said[0] === "3") continue;
      this.#socket.destroy();
      return said;
    }
    const last = await this.say(`${content}\r\n.`);
    this.#socket.destroy();
    return last;
  }
}

const mail = "Subject: hello\r\n\r\nworld";

describe("startEdgeSmtp()", () => {
  test("cosigns a head of the log whose keys the policy names", async () => {
    await using edge = await start(settingsWith());
    const hub = await new Hub().dial(edge);
    const origin = "mail.example.org/ledger";
    const pairs = (["ed25519", "ml-dsa-65"] as const).map((algorithm) => {
      const { privateKey } =
        algorithm === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("ml-dsa-65");
      return { key: noteKey(origin, algorithm, privateKey), privateKey };
    });
    const head = {
      origin,
      size: 1,
      root: Buffer.alloc(32),
      timeMs: Date.now(),
      storeId: "0".repeat(16),
    };
    const text = formatHead(head);
    const signatures = pairs.map(({ key, privateKey }) => signHead(text, key, privateKey));
    const request = { note: formatNote({ text, signatures }), oldSize: 0, proof: [] };
    const ask = async () => parseWitnessAnswer(await hub.prompt.open("witness", request).answered);
    const early = await ask();
    assert.ok(early && "refused" in early && early.refused === "not-ready");

    await hub.pushPolicy(1, { logKeys: pairs.map(({ key }) => formatNoteKey(key)) });
    const answer = await ask();
    assert.ok(answer && "cosignatures" in answer);
    assert.ok(answer.keys.every(({ name }) => name === "mx.example.org/witness"));
    const cosigned = parseSignatures(answer.cosignatures);
    assert.ok(cosigned.ok && cosignedAt({ text, signatures: cosigned.value }, answer.keys));
  });

  test("takes a message to the inside, with verdict and trace, and says 250 (DESIGN §3)", async () => {
    await using edge = await start(settingsWith());
    const hub = await new Hub().dial(edge);
    assert.deepEqual(await hub.pushPolicy(), { version: 1 });
    assert.match(
      await new Client(edge).send("a@good.example", mail),
      /^250 2\.0\.0 kept as [0-9a-f]{32}$/,
    );
    const [got] = hub.got;
    assert.ok(got);
    assert.equal(got.content, `${mail}\r\n`);
    assert.equal(got.end.sizeBytes, got.content.length);
    assert.equal(got.end.verdicts[0]?.result, "pass");
    assert.equal(got.deposit.envelope.recipients[0]?.path, "ann@example.org");
    const steps = got.deposit.steps.map(({ step }) => step);
    const expected = [
      "connected",
      "mail",
      "recipient",
      "content",
      ...["spf", "sender-id", "dkim", "arc", "dmarc"].map(() => "checked"),
      "decided",
      "deposited",
    ];
    assert.deepEqual(steps, expected);
    assert.deepEqual(
      got.deposit.steps.map(({ atMs }) => atMs).toSorted((a, b) => a - b),
      got.deposit.steps.map(({ atMs }) => atMs),
    );
  });

  test("streams a large one, octet for octet", async () => {
    await using edge = await start(settingsWith());
    const hub = await new Hub().dial(edge);
    await hub.pushPolicy();
    const large = `Subject: big\r\n\r\n${`${"x".repeat(70)}\r\n`.repeat(15_000)}end`;
    assert.match(await new Client(edge).send("a@good.example", large), /^250/);
    assert.ok(hub.got[0]?.content === `${large}\r\n`);
    const tooLarge = `Subject: big\r\n\r\n${`${"x".repeat(70)}\r\n`.repeat(40_000)}end`;
    assert.match(await new Client(edge).send("a@good.example", tooLarge), /^552 5\.3\.4/);
    assert.equal(hub.got.length, 1);
  });

  test("refuses in session: nobody here, not ours, forged, looping; and tells the inside", async () => {
    await using edge = await start(settingsWith());
    const hub = await new Hub().dial(edge);
    const from = "a@good.example";
    assert.match(await new Client(edge).send(from, mail), /^451 4\.3\.2/);
    await hub.pushPolicy();
    assert.match(await new Client(edge).send(from, mail, "bob@example.org"), /^550 5\.1\.1/);
    assert.match(await new Client(edge).send(from, mail, "ann@example.com"), /^550 5\.7\.1/);
    assert.match(await new Client(edge).send("a@bad.example", mail), /^550 5\.7\.23/);
    const loop = `${"Received: by x\r\n".repeat(101)}${mail}`;
    assert.match(await new Client(edge).send(from, loop), /^55\d 5\.4\.6/);
    while (hub.refusals.length < 5) await new Promise((resolve) => setTimeout(resolve, 20));
    const told = hub.refusals.toSorted((one, other) => one.atMs - other.atMs);
    assert.deepEqual(told.map(({ reply }) => reply.code).slice(0, 4), [451, 550, 550, 550]);
    assert.equal(hub.got.length, 0);
  });

  test("link down: 451 at MAIL, and again 250 when it is back; the policy is still known", async () => {
    const settings = settingsWith();
    {
      await using edge = await start(settings);
      await (await new Hub().dial(edge)).pushPolicy(7);
    }
    await using edge = await start(settings);
    const hub = new Hub();
    assert.match(await new Client(edge).send("a@good.example", mail), /^451 4\.4\.0/);
    await hub.dial(edge);
    assert.match(await new Client(edge).send("a@good.example", mail), /^250/);
    assert.deepEqual(await hub.pushPolicy(6), { version: 7, refused: "older" });
  });

  test("dials out for the inside, within its bounds", async () => {
    const server = createServer((socket) => socket.end("220 hello\r\n"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const asked = { host: "127.0.0.1", port, timeoutMs: 1000 };

    await using strict = await start(settingsWith({ egressPorts: [port] }));
    const outside = await new Hub().dial(strict);
    const refused = outside.bulk.open("dial", asked);
    assert.deepEqual(await refused.answered, { refused: "address is not public" });
    const otherPort = outside.bulk.open("dial", { ...asked, port: 80 });
    assert.deepEqual(await otherPort.answered, { refused: "port 80 is not allowed" });

    await using open = await start(settingsWith({ egressPorts: [port], egressPrivate: true }));
    const hub = await new Hub().dial(open);
    const stream = hub.bulk.open("dial", asked);
    assert.deepEqual(await stream.answered, { address: "127.0.0.1" });
    const text = await new Promise((resolve, reject) => {
      let said = "";
      stream.receive({
        data: (chunk) => void (said += chunk),
        end: () => resolve(said),
        broken: (why) => reject(new Error(why)),
      });
    });
    assert.equal(text, "220 hello\r\n");
    stream.end();
    server.close();
  });

  test("resolves names for the inside", async () => {
    await using edge = await start(settingsWith());
    const hub = await new Hub().dial(edge);
    const stream = hub.prompt.open("resolve", { name: "good.example", type: "TXT" });
    assert.equal(((await stream.answered) as DnsAnswer).kind, "found");
    await assert.rejects(hub.prompt.open("resolve", { name: 1, type: "TXT" }).answered);
  });

  test("sends its counters once more when it stops", async () => {
    const edge = await start(settingsWith());
    const hub = await new Hub().dial(edge);
    await edge[Symbol.asyncDispose]();
    await hub.prompt.closed;
    assert.equal(hub.samples, 1);
  });
});
