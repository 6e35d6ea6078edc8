/**
 * Mail exchanged with the servers of others: so many messages to each and from each, over TLS, with
 * confirmations (RFC 3461) and internationalised addresses (RFC 6531) where both can.
 *
 *   node tests/kit/interop.ts [--messages 1000] [--peer exim ...]
 */

import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ImapFlow } from "imapflow";
import type { Trace } from "#model/trace";
import { adminClient } from "../../src/cli/admin-client.ts";
import { type TestAuthority, testAuthority } from "./authority.ts";
import { noExim, startExim } from "./exim.ts";
import { startFakeDns } from "./fake-dns.ts";
import { noHaraka, startHaraka } from "./haraka.ts";
import { freePorts, type Installation, startInstallation } from "./installation.ts";
import { noOpenSmtpd, startOpenSmtpd } from "./opensmtpd.ts";
import type { Peer, PeerOptions } from "./peer.ts";
import { mayRunPostfix, startPostfixPeer } from "./postfix.ts";
import { SmtpDialogue } from "./smtp-dialogue.ts";

export type PeerName = Peer["name"];

const starters: Readonly<Record<PeerName, (options: PeerOptions) => Promise<Peer>>> = {
  postfix: startPostfixPeer,
  exim: startExim,
  opensmtpd: startOpenSmtpd,
  haraka: startHaraka,
};

/** Why one cannot be here, or false. */
export const peerFaults: Readonly<Record<PeerName, string | false>> = {
  postfix: mayRunPostfix ? false : "needs root",
  exim: noExim,
  opensmtpd: noOpenSmtpd,
  haraka: noHaraka,
};

export interface Exchange {
  readonly sent: number;
  /** Messages that arrived, by their Message-ID, and how many came more than once. */
  readonly arrived: number;
  readonly repeated: number;
  /** Header and body as they were sent, but for line ends and trace fields. */
  readonly equal: number;
  readonly utf8: { readonly sent: number; readonly arrived: number };
  /** Messages with NOTIFY=SUCCESS, and confirmations that came back for them. */
  readonly confirmations: { readonly asked: number; readonly came: number };
  /** What the traces say of the hop's TLS, and how often. */
  readonly tls: Readonly<Record<string, number>>;
  readonly seconds: number;
}

export interface House extends AsyncDisposable {
  readonly installation: Installation;
  readonly peers: readonly Peer[];
}

/** An installation with a connector to each peer: TLS required, but to OpenSMTPD as good as it can. */
export async function openHouse(names: readonly PeerName[]): Promise<House> {
  await using opening = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "postern-interop-"));
  opening.defer(() => rmSync(folder, { recursive: true, force: true }));
  const authority = testAuthority();
  const authorityFile = join(folder, "authority.pem");
  writeFileSync(authorityFile, authority.rootPem);
  // Who is not proven to be the sender gets no confirmation.
  const zone = names.map(
    (name) => [domainOf(name), [{ TXT: "v=spf1 ip4:127.0.0.1 -all" }]] as const,
  );
  const dns = opening.use(await startFakeDns(Object.fromEntries(zone)));
  const ports = await freePorts(names.length);
  const sections = names.map((name, index) => connector(name, ports[index] ?? 0, authorityFile));
  const { host, port } = dns.endpoint;
  const config = `${sections.join("")}
[dns]
servers = ["${host}:${port}"]
[egress]
ports = [${ports.map((one) => `"${one}"`).join(", ")}]
private = true
[queue]
firstRetryS = 2
[submission]
messagesPerHour = 0
recipientsPerHour = 0
`;
  const installation = opening.use(await startInstallation({ config }));
  const { smtp, ca } = installation.ready();
  const postern = { name: "mail.postern.test", port: smtp.port, authorityFile: ca };
  const peers: Peer[] = [];
  for (const [index, name] of names.entries()) {
    const domain = domainOf(name);
    const certificate = certify(authority, `mx.${domain}`);
    const options = { domain, certificate, postern, port: ports[index] ?? 0 };
    peers.push(opening.use(await starters[name](options)));
  }
  const opened = opening.move();
  return { installation, peers, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

function domainOf(name: PeerName): string {
  return `${name}.example`;
}

function connector(name: PeerName, port: number, authorityFile: string): string {
  const domain = domainOf(name);
  const tls =
    name === "opensmtpd"
      ? 'tls = "opportunistic"'
      : `tls = "required"\ntlsNames = ["mx.${domain}"]\ntlsAuthorityFile = "${authorityFile}"`;
  return `[outbound.${name}]
spaces = ["${domain}"]
hosts = ["127.0.0.1:${port}"]
connections = 10
messagesPerSession = 50
${tls}
`;
}

/** RSA: what every server can serve. */
export function certify(
  authority: TestAuthority,
  name: string,
): { readonly cert: string; readonly key: string } {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return {
    cert: authority.direct({ names: [name], publicKey }),
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
  };
}

interface Sample {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly octets: string;
  readonly isUtf8: boolean;
  readonly isConfirmed: boolean;
}

const bodies: readonly ((nth: number) => string)[] = [
  (nth) => `Message ${nth}.\r\n`,
  () => ".\r\n..\r\n.dot\r\n",
  () => "",
  (nth) => `${"x".repeat(900)}\r\n`.repeat(1 + (nth % 20)),
  () => "Gr\u00fc\u00dfe aus K\u00f6ln\r\n",
  () => "\r\n\r\nempty lines\r\n\r\n",
];

/** One in ten asks for a confirmation; one in ten, where both can, is internationalised. */
function samplesOf(count: number, from: string, to: string, can: Peer["can"]): readonly Sample[] {
  return Array.from({ length: count }, (_, nth) => {
    const isUtf8 = can.utf8 && nth % 10 === 7;
    const isConfirmed = nth % 10 === 3;
    const id = `${nth}.${from}.${to}`.replaceAll("@", ".");
    const recipient = isUtf8 ? to.replace(/^box@/, "b\u00fcro@") : to;
    const author = isUtf8 ? from.replace(/^box@/, "b\u00fcro@") : from;
    const body = bodies[nth % bodies.length]?.(nth) ?? "";
    const fields = [
      `From: <${author}>`,
      `To: <${recipient}>`,
      `Subject: ${isUtf8 ? "Gr\u00fc\u00dfe" : "greetings"} ${nth}`,
      `Message-ID: <${id}@interop.example>`,
      "Date: Mon, 05 Jan 2026 10:00:00 +0000",
      "MIME-Version: 1.0",
      "Content-Type: text/plain; charset=utf-8",
      "Content-Transfer-Encoding: 8bit",
    ];
    const octets = Buffer.from(`${fields.join("\r\n")}\r\n\r\n${body}`).toString("latin1");
    return { id, from: author, to: recipient, octets, isUtf8, isConfirmed };
  });
}

/** Postern's own people send to the peer. */
export async function sendTo(house: House, peer: Peer, count: number): Promise<Exchange> {
  const { installation } = house;
  const { submission, ca, accounts } = installation.ready();
  const { address = "", password = "" } = accounts[0] ?? {};
  const samples = samplesOf(count, address, `box@${peer.domain}`, peer.can);
  const before = await messagesHere(installation);
  const startMs = performance.now();
  const open = async (): Promise<SmtpDialogue> => {
    const tls = { ca: readFileSync(ca, "utf8"), servername: "localhost" };
    const dialogue = new SmtpDialogue(submission, tls);
    await expect(dialogue.reply(), "220");
    await expect(dialogue.say("EHLO client.example"), "250");
    const login = Buffer.from(`\0${address}\0${password}`).toString("base64");
    await expect(dialogue.say(`AUTH PLAIN ${login}`), "235");
    return dialogue;
  };
  await submitAll(open, samples);
  const isMail = (text: string): boolean => idOf(text) !== undefined && !isReport(text);
  await until(() => peer.delivered().filter(isMail).length >= count, count);
  const seconds = (performance.now() - startMs) / 1000;
  const asked = samples.filter(({ isConfirmed }) => isConfirmed).length;
  await untilHere(installation, before + asked, asked).catch(() => {});
  const came = await confirmationsHere(installation, peer.domain);
  const arrived = peer.delivered().filter(isMail);
  return {
    ...compare(samples, arrived),
    confirmations: { asked, came },
    seconds,
    tls: await tlsTo(),
  };

  async function tlsTo(): Promise<Record<string, number>> {
    const steps = await stepsOf(installation, arrived, "attempted");
    return counted(
      steps.map((text) => /\((TLS[^)]*)\)|in the clear|TLSv\S+/.exec(text)?.[0] ?? text),
    );
  }
}

/** The peer relays what its own people give it to Postern. */
export async function sendFrom(house: House, peer: Peer, count: number): Promise<Exchange> {
  const { installation } = house;
  const { accounts } = installation.ready();
  const ana = accounts[0]?.address ?? "";
  const samples = samplesOf(count, `box@${peer.domain}`, ana, peer.can);
  const before = await messagesHere(installation);
  const startMs = performance.now();
  const open = async (): Promise<SmtpDialogue> => {
    const dialogue = new SmtpDialogue({ host: "127.0.0.1", port: peer.port });
    await expect(dialogue.reply(), "220");
    await expect(dialogue.say("EHLO client.example"), "250");
    return dialogue;
  };
  await submitAll(open, samples, peer.can.dsn);
  await untilHere(installation, before + count, count);
  const seconds = (performance.now() - startMs) / 1000;
  const ids = new Set(samples.map(({ id }) => id));
  const found = (await mailboxOf(installation)).filter((text) => ids.has(idOf(text) ?? ""));
  const asked = peer.can.dsn ? samples.filter(({ isConfirmed }) => isConfirmed).length : 0;
  const confirmed = (): number =>
    peer.delivered().filter((text) => isReport(text) && text.includes("Action: delivered")).length;
  await until(() => confirmed() >= asked, 20).catch(() => {});
  const steps = await stepsOf(installation, found, "mail");
  return {
    ...compare(samples, found),
    confirmations: { asked, came: confirmed() },
    seconds,
    tls: counted(steps.map((text) => /TLSv\S+|without TLS/.exec(text)?.[0] ?? text)),
  };
}

function counted(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

async function expect(reply: Promise<string | undefined>, code: string): Promise<void> {
  const said = await reply;
  assert.ok(said?.startsWith(code), `expected ${code}: ${said}`);
}

const connections = 4;

async function submitAll(
  open: () => Promise<SmtpDialogue>,
  samples: readonly Sample[],
  offersDsn = true,
): Promise<void> {
  const left = [...samples];
  const work = async (): Promise<void> => {
    // Servers end sessions that go on for long.
    for (let batch = left.splice(0, 50); batch.length > 0; batch = left.splice(0, 50)) {
      const dialogue = await open();
      for (const sample of batch) await submitOne(dialogue, sample, offersDsn);
      await dialogue.say("QUIT");
      dialogue.close();
    }
  };
  await Promise.all(Array.from({ length: connections }, work));
}

async function submitOne(
  dialogue: SmtpDialogue,
  { from, to, octets, isUtf8, isConfirmed }: Sample,
  offersDsn: boolean,
): Promise<void> {
  const wire = (text: string): string => Buffer.from(text, "utf8").toString("latin1");
  const isNotified = isConfirmed && offersDsn;
  const mail = `MAIL FROM:<${from}> BODY=8BITMIME${isUtf8 ? " SMTPUTF8" : ""}`;
  await expect(dialogue.say(wire(`${mail}${isNotified ? " RET=HDRS" : ""}`)), "250");
  await expect(dialogue.say(wire(`RCPT TO:<${to}>${isNotified ? " NOTIFY=SUCCESS" : ""}`)), "25");
  await expect(dialogue.say("DATA"), "354");
  dialogue.write(`${octets.replace(/^\./gm, "..")}.\r\n`);
  await expect(dialogue.reply(), "250");
}

async function until(done: () => boolean | Promise<boolean>, count: number): Promise<void> {
  const deadlineMs = Date.now() + 30_000 + count * 200;
  for (;;) {
    if (await done()) return;
    if (Date.now() > deadlineMs) throw new Error("not everything arrived in time");
    await pause(250);
  }
}

function idOf(text: string): string | undefined {
  return /^Message-ID: <(.*)@interop\.example>\r?$/im.exec(headOf(text))?.[1];
}

function headOf(text: string): string {
  return /^[^]*?\r?\n\r?\n/.exec(text)?.[0] ?? text;
}

/** RFC 3464; not every server calls the whole a multipart/report. */
function isReport(text: string): boolean {
  return /^Content-Type: message\/(?:global-)?delivery-status/im.test(text);
}

/** Fields that a server adds, and line ends, are not the sender's. */
function digestOf(text: string): string {
  const plain = text.replaceAll("\r\n", "\n");
  const end = plain.indexOf("\n\n");
  const own = /^(?:From|To|Subject|Message-ID|Date|MIME-Version|Content-\S+): .*$/gm;
  const fields = plain.slice(0, end).match(own) ?? [];
  const octets = Buffer.from([...fields, plain.slice(end + 2)].join("\n"), "latin1");
  return createHash("sha256").update(octets).digest("hex");
}

function compare(
  samples: readonly Sample[],
  arrived: readonly string[],
): Pick<Exchange, "sent" | "arrived" | "repeated" | "equal" | "utf8"> {
  const byId = new Map<string, string[]>();
  for (const text of arrived) {
    const id = idOf(text) ?? "";
    byId.set(id, [...(byId.get(id) ?? []), text]);
  }
  const found = samples.filter(({ id }) => byId.has(id));
  const isEqual = ({ id, octets }: Sample): boolean =>
    byId.get(id)?.every((text) => digestOf(text) === digestOf(octets)) === true;
  return {
    sent: samples.length,
    arrived: found.length,
    repeated: found.filter(({ id }) => (byId.get(id)?.length ?? 0) > 1).length,
    equal: found.filter(isEqual).length,
    utf8: {
      sent: samples.filter(({ isUtf8 }) => isUtf8).length,
      arrived: found.filter((one) => one.isUtf8 && isEqual(one)).length,
    },
  };
}

async function withMailbox<Value>(
  installation: Installation,
  work: (client: ImapFlow) => Promise<Value>,
): Promise<Value> {
  const { imap, ca, accounts } = installation.ready();
  const { address: user = "", password: pass = "" } = accounts[0] ?? {};
  const tls = { ca: readFileSync(ca, "utf8"), servername: "localhost" };
  const where = { host: imap.host, port: imap.port, secure: true, tls };
  const client = new ImapFlow({ ...where, auth: { user, pass }, logger: false });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.logout();
  }
}

const mailboxes = ["INBOX", "Junk"] as const;

function messagesHere(installation: Installation): Promise<number> {
  return withMailbox(installation, async (client) => {
    let sum = 0;
    for (const mailbox of mailboxes) {
      const status = await client.status(mailbox, { messages: true });
      sum += status === false ? 0 : (status.messages ?? 0);
    }
    return sum;
  });
}

function untilHere(installation: Installation, messages: number, count: number): Promise<void> {
  return until(async () => (await messagesHere(installation)) >= messages, count);
}

/** All of the inbox and of Junk: what servers of others send has no proof behind it. */
function mailboxOf(installation: Installation): Promise<string[]> {
  return withMailbox(installation, async (client) => {
    const found: string[] = [];
    for (const mailbox of mailboxes) {
      const { exists } = await client.mailboxOpen(mailbox, { readOnly: true });
      if (exists === 0) continue;
      for await (const { source } of client.fetch("1:*", { source: true })) {
        found.push(source?.toString("latin1") ?? "");
      }
    }
    return found;
  });
}

/** Confirmations about recipients of the domain that lie in the mailbox here. */
async function confirmationsHere(installation: Installation, domain: string): Promise<number> {
  const isAbout = (text: string): boolean =>
    isReport(text) &&
    /^Action: (?:delivered|relayed)\r?$/im.test(text) &&
    text.includes(`@${domain}`);
  return (await mailboxOf(installation)).filter(isAbout).length;
}

/** What the traces of these messages say in one kind of step: our Received field has their id. */
async function stepsOf(
  installation: Installation,
  messages: readonly string[],
  step: string,
): Promise<string[]> {
  const client = adminClient(installation.data);
  const texts: string[] = [];
  for (const message of messages) {
    const id = /by mail\.postern\.test [^]*?\bid ([0-9a-f]{32})/.exec(headOf(message))?.[1];
    const { steps } = await client.get<Trace>(`/trace/${id}`);
    texts.push(...steps.filter((taken) => taken.step === step).map((taken) => taken.text));
  }
  return texts;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      messages: { type: "string", default: "1000" },
      peer: { type: "string", multiple: true, default: Object.keys(starters) },
    },
  });
  const count = Number(values.messages);
  await using house = await openHouse(values.peer as PeerName[]);
  for (const peer of house.peers) {
    for (const [way, exchange] of [
      ["to", sendTo],
      ["from", sendFrom],
    ] as const) {
      console.log(
        JSON.stringify({ peer: peer.name, way, ...(await exchange(house, peer, count)) }),
      );
    }
  }
}
