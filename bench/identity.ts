/**
 * All checks of one sender against the bare cryptography that they cannot do without, in one process:
 * SPF, Sender ID, two DKIM signatures of RSA-2048, ARC and DMARC on a message of 20 KB, every answer of
 * the DNS in the resolver's cache; and mailauth on the same octets with its answers from a table.
 *
 *   npm run bench -- identity [--rounds 9] [--messages 400]
 *
 * CPU is that of the whole process, so the collector and its threads count.
 */

import { Buffer } from "node:buffer";
import { createPublicKey, hash, type KeyObject, verify } from "node:crypto";
import { parseArgs } from "node:util";
import { authenticate } from "mailauth";
import { systemClock } from "#base/clock";
import { createResolver, dnsParameters, type Resolver, resolverSettings } from "#base/dns";
import { defaultsOf } from "#base/parameters";
import { seededRandom, systemRandom } from "#base/random";
import { parseHeader } from "#formats/message";
import { identityRules, MessageChecks } from "#identity/checks";
import { bodyDigests, CanonicalHeader, dkimSignature, hashBody } from "#identity/dkim";
import { rsaKey, signOctets, type TestKey, zoneOf } from "../src/identity/dkim/fixture.test.ts";
import { startFakeDns, type Zone, zoneResolver } from "../tests/kit/fake-dns.ts";
import { makeMessages } from "./messages.ts";
import { spread } from "./spread.ts";

const sizeBytes = 20 * 1024;
const signers = [
  { domain: "sender.example", key: rsaKey("s2026") },
  { domain: "provider.example", key: rsaKey("p1") },
] as const;

const zone: Zone = {
  "sender.example": [
    { TXT: "v=spf1 mx include:hosts.provider.example -all" },
    { MX: [10, "mx.sender.example"] },
  ],
  "mx.sender.example": [{ A: "192.0.2.10" }],
  "hosts.provider.example": [{ TXT: "v=spf1 ip4:203.0.113.0/24 ip4:198.51.100.0/24 ~all" }],
  "_dmarc.sender.example": [{ TXT: "v=DMARC1; p=reject; rua=mailto:reports@sender.example" }],
  ...zoneOf([signers[0].key], signers[0].domain),
  ...zoneOf([signers[1].key], signers[1].domain),
};

const envelope = {
  ip: "198.51.100.7",
  helo: "out7.provider.example",
  mailFrom: "bounces@sender.example",
  receiver: "mx.example.org",
} as const;

const trace =
  "Received: from app3.sender.example (app3.sender.example [192.0.2.33])\r\n" +
  "\tby out7.provider.example (Postfix) with ESMTPS id 4F1C8A77; Sat, 21 Nov 2026 10:00:02 +0000\r\n" +
  "Received: by app3.sender.example with local id 1xY2z3; Sat, 21 Nov 2026 10:00:01 +0000\r\n";

const textHeader =
  "From: Load <load@sender.example>\r\nTo: <rcpt@sink.example>\r\nSubject: the monthly letter\r\n" +
  "Message-ID: <1.text@sender.example>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n" +
  "MIME-Version: 1.0\r\n";

/** Octets before they are signed. */
function kinds(): Readonly<Record<string, string>> {
  const [multipart = ""] = makeMessages(1, sizeBytes);
  const line =
    "The edge gives each message to the hub and waits until the ledger has it on disk.\r\n";
  const plain = line.repeat(Math.floor(sizeBytes / line.length));
  const base64 = seededRandom(2045)
    .bytes(Math.floor((sizeBytes * 57) / 78))
    .toString("base64")
    .replace(/.{76}/g, "$&\r\n");
  return {
    multipart,
    "plain text": `${textHeader}Content-Type: text/plain\r\n\r\n${plain}`,
    base64: `${textHeader}Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64}\r\n`,
  };
}

async function signed(text: string): Promise<Buffer> {
  let octets = Buffer.from(text);
  for (const { domain, key } of signers) {
    const header = parseHeader(octets);
    const field = await dkimSignature({
      header,
      bodyHash: hashBody([octets], header.end),
      domain,
      selector: key.selector,
      algorithm: key.algorithm,
      signedAtMs: Date.now(),
      expiresAtMs: Date.now() + 7 * 86_400_000,
      sign: async (input) => signOctets(key, input),
    });
    octets = Buffer.concat([Buffer.from(field), octets]);
  }
  return Buffer.concat([Buffer.from(trace), octets]);
}

/** One message, checked once. */
type Work = () => unknown;

const rules = identityRules({ ownRelays: [], trustedSealers: [], praMode: "rfc4407" });

function oursOf(octets: Buffer, resolver: Resolver): Work {
  return async () => {
    const checks = new MessageChecks(envelope, rules, { resolver, clock: systemClock });
    checks.write(octets);
    return (await checks.finish()).verdicts.map(({ method, result }) => `${method} ${result}`);
  };
}

/** Keys are kept and the octets lie ready: nobody who verifies at all can do less. */
function bareOf(octets: Buffer): Work {
  const header = parseHeader(octets);
  const canonical = new CanonicalHeader(header);
  const body = octets.subarray(header.end);
  const verifications = [...bodyDigests(header).read].map(([field, { signature }]) => {
    if (typeof signature === "string") throw new Error(signature);
    const signer = signers.find(({ domain }) => domain === signature.domain) ?? signers[0];
    const octetsSigned = canonical.signed(signature.names, field, signature.headerForm);
    return { octetsSigned, key: publicKeyOf(signer.key), value: signature.value };
  });
  return () => [
    ...verifications.map(({ octetsSigned, key, value }) =>
      verify("sha256", octetsSigned, key, value),
    ),
    hash("sha256", body, "base64"),
  ];
}

function publicKeyOf({ privateKey }: TestKey): KeyObject {
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  return createPublicKey(pem);
}

function theirsOf(octets: Buffer): Work {
  const zoned = zoneResolver(zone);
  const { ip, helo, mailFrom: sender, receiver: mta } = envelope;
  const answers = new Map<string, ReturnType<typeof zoned.query>>();
  const resolver = async (name: string, type: string): Promise<string[][]> => {
    const query = () => zoned.query(name, type as "TXT");
    const answer = await answers.getOrInsertComputed(`${type} ${name}`, query);
    if (answer.kind !== "found") throw Object.assign(new Error("none"), { code: "ENOTFOUND" });
    return answer.records.map((record) => {
      if ("exchange" in record) return { ...record, priority: 10 };
      return "text" in record ? [record.text] : "address" in record ? record.address : record;
    }) as string[][];
  };
  return async () => {
    const found = await authenticate(octets, {
      ip,
      helo,
      sender,
      mta,
      resolver,
      disableBimi: true,
    });
    const { dkim, spf, dmarc } = found;
    return [spf, ...dkim.results, dmarc].map((one) => one !== false && one.status.result);
  };
}

async function cpuUs(work: Work, messages: number): Promise<number> {
  const before = process.cpuUsage();
  for (let done = 0; done < messages; done += 1) await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / messages;
}

export async function benchIdentity(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "9" },
      messages: { type: "string", default: "400" },
    },
  });
  const messages = Number(values.messages);
  await using dns = await startFakeDns(zone);
  const { host, port } = dns.endpoint;
  const settings = resolverSettings({ ...defaultsOf(dnsParameters), servers: [`${host}:${port}`] });
  const resolver = createResolver({ ...settings, clock: systemClock, random: systemRandom });
  console.log("CPU µs per message, minimum and median of the rounds");
  for (const [kind, text] of Object.entries(kinds())) {
    const octets = await signed(text);
    const ours = oursOf(octets, resolver);
    const works = { bare: bareOf(octets), ours, mailauth: theirsOf(octets) };
    console.error(`${kind}: ${octets.length} octets; ours ${await ours()}`);
    console.error(`mailauth ${await works.mailauth()}; bare ${await works.bare()}`);
    await report(kind, works, Number(values.rounds), messages);
  }
}

type Works = Readonly<Record<"bare" | "ours" | "mailauth", Work>>;

async function report(kind: string, works: Works, rounds: number, messages: number): Promise<void> {
  const names = ["bare", "ours", "mailauth"] as const;
  const figures = { bare: [] as number[], ours: [] as number[], mailauth: [] as number[] };
  for (const name of names) await cpuUs(works[name], 2 * messages); // compiled, as in a server
  for (let round = 0; round < rounds; round += 1) {
    // The order rotates, so that nobody is always first.
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      figures[name].push(await cpuUs(works[name], messages));
    }
  }
  const [bare, ours, mailauth] = names.map((name) => spread(figures[name]));
  for (const name of names) {
    const { min, median } = spread(figures[name]);
    console.log(`${kind.padEnd(11)} ${name.padEnd(9)} ${min.toFixed(0)} / ${median.toFixed(0)}`);
  }
  const ratio = (one = bare, of = bare): string =>
    `${((one?.min ?? 0) / (of?.min ?? 1)).toFixed(2)} / ${((one?.median ?? 0) / (of?.median ?? 1)).toFixed(2)}`;
  console.log(
    `${kind.padEnd(11)} ours / bare ${ratio(ours, bare)}, ours / mailauth ${ratio(ours, mailauth)}`,
  );
}
