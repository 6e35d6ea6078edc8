/** The mail edge in this process, with an inside that keeps what is handed in, and clients of any address. */

import { createHmac, generateKeyPairSync, sign, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { type Clock, systemClock } from "#base/clock";
import { dnsParameters, type Resolver } from "#base/dns";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { defaultsOf } from "#base/parameters";
import { systemRandom } from "#base/random";
import type { Deposit, DepositEnd, DepositOutcome } from "#contracts/deposit";
import {
  exchangeHello,
  type Link,
  type LinkStream,
  linkClasses,
  linkVersion,
  muxOver,
} from "#contracts/link";
import type { Refusal } from "#contracts/store";
import {
  abuseParameters,
  type EdgeSmtp,
  type EdgeSmtpSettings,
  edgeSmtpParameters,
  startEdgeSmtp,
} from "#edge/smtp";
import { defaultSenderRules } from "#policy";
import { smtpParameters } from "#transport/smtp-server";
import { pemOf } from "./certificate.ts";
import { type Zone, zoneResolver } from "./fake-dns.ts";
import { Talk } from "./talk.ts";

export interface EdgeWishes {
  readonly abuse?: Partial<EdgeSmtpSettings["abuse"]>;
  readonly smtp?: Partial<EdgeSmtpSettings["smtp"]>;
  readonly edge?: Partial<EdgeSmtpSettings["edge"]>;
  readonly zone?: Zone;
  readonly resolver?: Resolver;
  readonly clock?: Clock;
  readonly folder?: string;
  /** More of the policy snapshot. */
  readonly policy?: object;
  /** The inside's answer; that it was committed when absent. */
  readonly answer?: (deposit: Deposit) => Promise<DepositOutcome>;
}

export interface Got {
  readonly deposit: Deposit;
  readonly end: DepositEnd;
  readonly content: string;
}

export interface TestEdge extends AsyncDisposable {
  readonly edge: EdgeSmtp;
  readonly folder: string;
  readonly got: readonly Got[];
  readonly refusals: readonly Refusal[];
  /** A counter's value, summed over the labels that are not named. */
  counted(name: string, labels?: Readonly<Record<string, string>>): number;
  /** A client from there; its greeting is not read yet. */
  client(address?: string): Promise<Talk>;
}

export const stranger = "192.0.2.77";

/** Takes mail for ann@, bob@ and postmaster@known.example. */
export async function startEdge(wishes: EdgeWishes = {}): Promise<TestEdge> {
  const folder = wishes.folder ?? mkdtempSync(join(tmpdir(), "edge-"));
  const pem = pemOf("hub");
  const pemFile = join(folder, "link.pem");
  writeFileSync(pemFile, pem);
  const policyKey = generateKeyPairSync("ed25519");
  const registry = new Registry();
  const settings: EdgeSmtpSettings = {
    hostname: "mx.known.example",
    listen: { host: "127.0.0.1", port: 0 },
    link: {
      listen: { host: "127.0.0.1", port: 0 },
      ...{ certificate: pemFile, key: pemFile, authority: pemFile },
      hubFingerprint: new X509Certificate(pem).fingerprint256,
    },
    policyPublicKey: policyKey.publicKey.export({ type: "spki", format: "pem" }).toString(),
    folder,
    spool: "reject",
    spoolMib: 64,
    dns: { ...defaultsOf(dnsParameters), timeoutMs: 500 },
    egressPorts: [25],
    egressPrivate: false,
    proxyTrusted: ["127.0.0.0/8"],
    smtp: { ...defaultsOf(smtpParameters), greetingDelayMs: 0, ...wishes.smtp },
    edge: { ...defaultsOf(edgeSmtpParameters), linkWaitMs: 100, ...wishes.edge },
    abuse: { ...defaultsOf(abuseParameters), tarpitS: 0, ...wishes.abuse },
  };
  const edge = await startEdgeSmtp(settings, {
    ...{ clock: wishes.clock ?? systemClock, random: systemRandom, log: silentLog, registry },
    resolver: wishes.resolver ?? zoneResolver(wishes.zone ?? {}),
  });
  const inside = new Inside(wishes.answer);
  await inside.dial(edge, pem);
  await inside.push(wishes.policy ?? {}, policyKey.privateKey);
  return {
    edge,
    folder,
    got: inside.got,
    refusals: inside.refusals,
    counted(name, labels = {}) {
      const fits = registry.samples().filter((sample) => {
        const same = Object.entries(labels).every(([key, text]) => sample.labels[key] === text);
        return sample.name === `${name}_total` && same;
      });
      return fits.reduce((sum, { value }) => sum + value, 0);
    },
    async client(address = stranger) {
      const talk = await Talk.open(edge.smtp);
      const family = address.includes(":") ? "TCP6" : "TCP4";
      talk.send(`PROXY ${family} ${address} ${address} 4096 25\r\n`);
      return talk;
    },
    async [Symbol.asyncDispose]() {
      inside.close();
      await edge[Symbol.asyncDispose]();
      if (wishes.folder === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Up to the answer to EHLO. */
export async function greetedBy(edge: TestEdge, address?: string): Promise<Talk> {
  const client = await edge.client(address);
  await client.reply();
  await client.ask("EHLO client.example");
  return client;
}

/** One message from there; the last reply, or the first bad one. */
export async function sendTo(
  edge: TestEdge,
  {
    address,
    from = "a@client.example",
    to = "ann@known.example",
    content = "Subject: x\r\n\r\nx",
  }: {
    readonly address?: string;
    readonly from?: string;
    readonly to?: string;
    readonly content?: string;
  } = {},
): Promise<string> {
  using client = await edge.client(address);
  const greeting = await client.reply();
  if (!greeting.startsWith("220")) return greeting;
  for (const line of ["EHLO client.example", `MAIL FROM:<${from}>`, `RCPT TO:<${to}>`, "DATA"]) {
    const said = await client.ask(line);
    if (!/^[23]/.test(said)) return said;
  }
  return await client.ask(`${content}\r\n.`);
}

class Inside {
  readonly got: Got[] = [];
  readonly refusals: Refusal[] = [];
  readonly #answer: EdgeWishes["answer"];
  readonly #links = new Map<string, Link>();
  readonly #sockets: tls.TLSSocket[] = [];

  constructor(answer: EdgeWishes["answer"]) {
    this.#answer = answer;
  }

  async dial(edge: EdgeSmtp, pem: string): Promise<void> {
    for (const linkClass of linkClasses) {
      const socket = tls.connect({
        ...{ host: edge.link.host, port: edge.link.port, ca: pem, cert: pem, key: pem },
        ALPNProtocols: ["postern-link/1"],
        checkServerIdentity: () => undefined,
      });
      this.#sockets.push(socket);
      await once(socket, "secureConnect");
      const hello = { version: linkVersion, linkClass, nonce: "0".repeat(32) };
      await exchangeHello(socket, hello, systemClock, 5000);
      const link = muxOver(socket, "opener-odd", { peer: "edge" });
      link.onStream((stream) => this.#serve(stream));
      this.#links.set(linkClass, link);
    }
  }

  async push(more: object, key: Parameters<typeof sign>[2]): Promise<void> {
    const salt = Buffer.alloc(32, 3);
    const digest = (text: string): string =>
      createHmac("sha256", salt).update(text).digest("base64url");
    const people = ["ann", "bob", "postmaster"].map((name) => `${name}@known.example`);
    const snapshot = JSON.stringify({
      ...{ version: 1, madeAtMs: 0, salt: salt.toString("base64"), maxMessageBytes: 50_000_000 },
      recipients: people.map(digest),
      domains: [digest("known.example")],
      ...{ ownRelays: [], trustedSealers: [], praMode: "rfc4407", rules: defaultSenderRules },
      ...more,
    });
    const signature = sign(null, Buffer.from(snapshot), key).toString("base64");
    const data = Buffer.from(JSON.stringify({ snapshot, signature }));
    await this.#links.get("prompt")?.open("policy", {}, { data, end: {} }).answered;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(stream: LinkStream): void {
    if (stream.kind === "refused") {
      this.refusals.push(...(stream.header as { refusals: Refusal[] }).refusals);
    }
    if (stream.kind !== "deposit") return;
    const deposit = stream.header as Deposit;
    const parts: Buffer[] = [];
    stream.receive({
      data: (chunk) => void parts.push(Buffer.from(chunk)),
      end: (end) => {
        const content = Buffer.concat(parts).toString("latin1");
        this.got.push({ deposit, end: end as DepositEnd, content });
        if (this.#answer === undefined) stream.answer({ committed: true, repeated: false });
        else void this.#answer(deposit).then((outcome) => stream.answer(outcome));
      },
      broken() {},
    });
  }
}
