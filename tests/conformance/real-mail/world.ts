/** A DNS for mail of domains that have published nothing in 2002, and signatures that fit it. */

import { hash } from "node:crypto";
import { parseHeader } from "#formats/message";
import { arcSeal } from "#identity/arc";
import { type DkimOrder, dkimSignature, hashBody } from "#identity/dkim";
import {
  ed25519Key,
  rsaKey,
  signOctets,
  type TestKey,
  zoneOf,
} from "../../../src/identity/dkim/fixture.test.ts";
import type { Zone, ZoneEntry } from "../../kit/fake-dns.ts";

/** Moment of every signature. */
const signedAtMs: number = Date.UTC(2026, 0, 5);
const expiresAtMs: number = Date.UTC(2100, 0, 1);

/** What a simple reading of the header finds; the checks have their own. */
export interface Sketch {
  /** Path in the first Return-Path, "" without one. */
  readonly mailFrom: string;
  /** Domains of MAIL FROM, Sender and From, in lower case. */
  readonly domains: readonly string[];
  readonly fromDomain: string;
  /** IPv4 addresses in brackets in Received fields. */
  readonly addresses: readonly string[];
}

export function sketchOf(octets: Buffer): Sketch {
  const [head = ""] = octets.toString("latin1").split("\r\n\r\n", 1);
  const lines = head.replaceAll(/\r\n[ \t]+/g, " ").split("\r\n");
  const valuesOf = (name: string): string[] =>
    lines
      .filter((line) => line.toLowerCase().startsWith(`${name}:`))
      .map((line) => line.slice(name.length + 1).trim());
  const domainIn = (text = ""): string[] => {
    const found = /@([a-z0-9-]+(?:\.[a-z0-9-]+)+)/i.exec(text)?.[1];
    return found === undefined ? [] : [found.toLowerCase()];
  };
  const mailFrom = valuesOf("return-path")[0]?.replace(/^<|>$/g, "") ?? "";
  const [fromDomain = ""] = domainIn(valuesOf("from")[0]);
  const domains = [mailFrom, ...valuesOf("sender"), ...valuesOf("from")].flatMap(domainIn);
  const addresses = valuesOf("received").flatMap((text) =>
    [...text.matchAll(/\[(\d{1,3}(?:\.\d{1,3}){3})\]/g)].map(([, address = ""]) => address),
  );
  return { mailFrom, domains: [...new Set(domains)], fromDomain, addresses };
}

/** The same number for the same text, less than `below`. */
export function share(text: string, below: number): number {
  return Number.parseInt(hash("sha256", text).slice(0, 8), 16) % below;
}

const keys = [rsaKey("rsa"), ed25519Key("ed")] as const;

/** Forwards what it seals. */
const sealer = "sealer.example";

function organizationOf(domain: string): string {
  return domain.split(".").slice(-2).join(".");
}

/** By the hash of its name, each domain publishes something else, and many publish nothing. */
export function makeZone(sketches: readonly Sketch[]): Zone {
  const zone: Record<string, ZoneEntry[]> = {};
  const add = (name: string, ...entries: ZoneEntry[]): void => {
    zone[name] = [...(zone[name] ?? []), ...entries];
  };
  const sendersOf = new Map<string, Set<string>>();
  for (const { domains, addresses } of sketches) {
    for (const domain of domains) {
      const known = sendersOf.get(domain) ?? new Set();
      for (const address of addresses) known.add(address);
      sendersOf.set(domain, known);
    }
  }
  const organizations = new Set([...sendersOf.keys()].map(organizationOf));
  for (const [domain, senders] of sendersOf) {
    publishSpf(domain, [...senders].slice(0, 12), add);
    publishKeys(domain, add);
    if (!organizations.has(domain) && share(`own ${domain}`, 6) === 0) {
      add(`_dmarc.${domain}`, { TXT: `v=DMARC1; p=reject; adkim=${"rs"[share(domain, 2)]}` });
    }
  }
  for (const domain of organizations) publishDmarc(domain, add);
  publishKeys(sealer, add);
  return zone;
}

type Add = (name: string, ...entries: ZoneEntry[]) => void;

function publishSpf(domain: string, senders: readonly string[], add: Add): void {
  const networks = senders.map((address) => `ip4:${address}`).join(" ");
  switch (share(`${domain} a`, 9)) {
    case 0:
      return add(domain, { TXT: `v=spf1 ${networks} -all` });
    case 1:
      add(`hosts.${domain}`, { TXT: `v=spf1 ${networks} ?all` });
      return add(domain, { TXT: `v=spf1 mx include:hosts.${domain} ~all` });
    case 2:
      add(`mail.${domain}`, ...senders.slice(0, 4).map((address) => ({ A: address })));
      return add(domain, { MX: [10, `mail.${domain}`] }, { TXT: "v=spf1 mx a -all" });
    case 3:
      return add(domain, { TXT: "v=spf1 ip4:192.0.2.0/24 -all" });
    case 4:
      return add(domain, { TXT: "v=spf1 a:absent.%{d} ~all" });
    case 5:
      return add(domain, { TXT: "v=spf1 ip4:192.0.2.300 -all" });
    case 6:
      return add(domain, { TXT: `v=spf1 exists:%{ir}.list.%{d} ?all` }, { A: "192.0.2.7" });
    default:
      return add(domain, { A: "192.0.2.8" });
  }
}

function publishKeys(domain: string, add: Add): void {
  for (const [name, entries] of Object.entries(zoneOf(keys, domain))) add(name, ...entries);
}

function publishDmarc(domain: string, add: Add): void {
  const policies = [
    "v=DMARC1; p=none",
    "v=DMARC1; p=reject; sp=quarantine; np=none",
    "v=DMARC1; p=quarantine; aspf=s; adkim=s; rua=mailto:d@example.org",
    "v=DMARC1; p=reject; t=y",
    "v=DMARC1; p=sometimes",
    "v=spf1 -all",
  ];
  const text = policies[share(`dmarc ${domain}`, 9)];
  if (text !== undefined) add(`_dmarc.${domain}`, { TXT: text });
}

/** What was done to a message before it is checked. */
export interface Prepared {
  readonly octets: Buffer;
  readonly signed: boolean;
}

/** Signs two of five by From's domain, its parent or a stranger, seals some, and changes some of these. */
export async function prepare(name: string, original: Buffer, sketch: Sketch): Promise<Prepared> {
  const chance = share(`sign ${name}`, 10);
  const { fromDomain } = sketch;
  if (chance > 3 || fromDomain === "") return { octets: original, signed: false };
  const key = keys[share(`key ${name}`, 2)] ?? keys[0];
  const domain = [fromDomain, organizationOf(fromDomain), sealer][share(`by ${name}`, 3)] ?? "";
  let octets = await signed(original, domain, key);
  if (chance === 0) octets = await sealed(octets, key);
  if (share(`change ${name}`, 5) === 0) octets = changed(octets);
  return { octets, signed: true };
}

async function signed(message: Buffer, domain: string, key: TestKey): Promise<Buffer> {
  const field = await dkimSignature({
    ...orderFor(message, key),
    domain,
    expiresAtMs,
  });
  return Buffer.concat([Buffer.from(field, "latin1"), message]);
}

async function sealed(message: Buffer, key: TestKey): Promise<Buffer> {
  const none = { method: "arc", result: "none", sealers: [], trusted: false, why: "" } as const;
  const results = `mx.${sealer}; dmarc=pass header.from=example.org`;
  const order = { ...orderFor(message, key), domain: sealer, verdict: none, results };
  return Buffer.concat([Buffer.from(await arcSeal(order), "latin1"), message]);
}

type Order = Omit<DkimOrder, "domain" | "expiresAtMs">;

function orderFor(message: Buffer, key: TestKey): Order {
  const header = parseHeader(message);
  const { selector, algorithm } = key;
  const bodyHash = hashBody([message], header.end);
  const sign = async (octets: Buffer): Promise<Buffer> => signOctets(key, octets);
  return { header, bodyHash, selector, algorithm, signedAtMs, sign };
}

/** As a list does it: a line at the end of the body. */
function changed(message: Buffer): Buffer {
  return Buffer.concat([message, Buffer.from("-- \r\nhttps://list.example/leave\r\n")]);
}
