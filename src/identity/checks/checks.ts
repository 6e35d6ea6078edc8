/**
 * Everything that says who sent a message, in the one order in which it can be found out: source,
 * SPF and signatures, Sender ID, then DMARC over all of them. Pure; DNS and clock are arguments.
 */

import { Buffer } from "node:buffer";
import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import { type IpRange, parseRange } from "#base/ip";
import { type Header, headerEnd, maxHeaderBytes, parseHeader } from "#formats/message";
import { checkArc } from "#identity/arc";
import { type Author, readAuthor } from "#identity/author";
import { type BodyDigests, bodyDigests, checkDkim } from "#identity/dkim";
import { checkDmarc } from "#identity/dmarc";
import { findSource, isOwnRelay } from "#identity/hops";
import { checkSenderId, type PraMode } from "#identity/sender-id";
import { checkSpf } from "#identity/spf";
import type { Source } from "#model/connection";
import type { SpfVerdict, Verdict } from "#model/verdict";

/** As the transport saw it. */
export interface Delivered {
  /** The client's, IPv4 or IPv6; absent when nobody knows. */
  readonly ip?: string;
  /** Its greeting, untrusted. */
  readonly helo: string;
  /** Reverse path, "" for the null path. */
  readonly mailFrom: string;
  /** Our host name. */
  readonly receiver: string;
}

export interface IdentityRules {
  /** Own relays and managed providers: what they hand on, another sent (CAP-56). */
  readonly ownRelays: readonly IpRange[];
  /** d= of sealers whose word on earlier hops counts (RFC 8617). */
  readonly trustedSealers: readonly string[];
  readonly praMode: PraMode;
}

/** @throws Error when a range is none: whoever wrote the rules has checked them */
export function identityRules(texts: {
  readonly ownRelays: readonly string[];
  readonly trustedSealers: readonly string[];
  readonly praMode: PraMode;
}): IdentityRules {
  const ownRelays = texts.ownRelays.map((text) => {
    const range = parseRange(text);
    if (range === undefined) throw new Error(`${text} is not a network`);
    return range;
  });
  const trustedSealers = texts.trustedSealers.map((one) => one.toLowerCase());
  return { ...texts, ownRelays, trustedSealers };
}

export interface CheckPorts {
  readonly resolver: Resolver;
  readonly clock: Clock;
}

export interface Findings {
  readonly header: Header;
  readonly source: Source;
  readonly author: Author;
  /** SPF, Sender ID, each signature, ARC, DMARC; in this order. */
  readonly verdicts: readonly Verdict[];
}

/** SPF of the client itself, asked while it still talks; relays of our own are judged by the header. */
export function earlySpf(
  delivered: Delivered,
  rules: IdentityRules,
  ports: CheckPorts,
): Promise<SpfVerdict> | undefined {
  const { ip } = delivered;
  if (ip === undefined || isOwnRelay(ip, rules.ownRelays)) return undefined;
  return checkSpf({ ...delivered, ip }, ports.resolver, ports.clock);
}

/** Takes a message in pieces as they come; the body is hashed on the way and never held. */
export class MessageChecks {
  readonly #delivered: Delivered;
  readonly #rules: IdentityRules;
  readonly #ports: CheckPorts;
  readonly #early: Promise<SpfVerdict> | undefined;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #lookAtBytes = 0;
  #message: { readonly header: Header; readonly digests: BodyDigests } | undefined;

  constructor(
    delivered: Delivered,
    rules: IdentityRules,
    ports: CheckPorts,
    early?: Promise<SpfVerdict>,
  ) {
    this.#delivered = delivered;
    this.#rules = rules;
    this.#ports = ports;
    this.#early = early;
  }

  write(chunk: Uint8Array): void {
    if (this.#message !== undefined) return this.#message.digests.write(chunk);
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    // Joined and looked through again only when twice as much has come: linear in all.
    if (this.#heldBytes < this.#lookAtBytes && this.#heldBytes < maxHeaderBytes) return;
    this.#lookAtBytes = 2 * this.#heldBytes;
    const octets = this.#joined();
    if (headerEnd(octets) < octets.length) this.#read(parseHeader(octets));
    // What follows may hold more fields: no absence can be trusted.
    else if (this.#heldBytes >= maxHeaderBytes) {
      this.#read({ ...parseHeader(octets), truncated: true });
    }
  }

  async finish(): Promise<Findings> {
    if (this.#message === undefined) this.#read(parseHeader(this.#joined()));
    const message = this.#message;
    if (message === undefined) throw new Error("unreachable: read sets the message");
    message.digests.finish();
    const asked = { ...message, delivered: this.#delivered, early: this.#early };
    return await judge(asked, this.#rules, this.#ports);
  }

  #joined(): Uint8Array {
    const [only] = this.#held;
    const whole = this.#held.length === 1 && only !== undefined ? only : Buffer.concat(this.#held);
    this.#held = [whole];
    return whole;
  }

  #read(header: Header): void {
    const digests = bodyDigests(header);
    digests.write(header.octets.subarray(header.end));
    this.#held = [];
    this.#message = { header, digests };
  }
}

interface Question {
  readonly header: Header;
  readonly digests: BodyDigests;
  readonly delivered: Delivered;
  readonly early: Promise<SpfVerdict> | undefined;
}

async function judge(
  { header, digests, delivered, early }: Question,
  rules: IdentityRules,
  ports: CheckPorts,
): Promise<Findings> {
  const { resolver, clock } = ports;
  const { ip, helo, mailFrom, receiver } = delivered;
  const source: Source =
    ip === undefined
      ? { kind: "unknown", address: "", helo, passed: 0 }
      : findSource(header, { clientAddress: ip, helo }, rules.ownRelays);
  const author = readAuthor(header);
  const asked = { header, mailFrom, source, receiver, mode: rules.praMode };
  const nowMs = clock.nowMs();
  const [spf, senderId, dkim, arc] = await Promise.all([
    source.kind === "direct" && early !== undefined ? early : spfOf(source, delivered, ports),
    checkSenderId(asked, resolver, clock),
    checkDkim({ header, digests }, { resolver, nowMs }),
    checkArc({ header, digests }, { resolver, nowMs, trustedSealers: rules.trustedSealers }),
  ]);
  const dmarc = await checkDmarc({ author, spf, dkim }, resolver);
  return { header, source, author, verdicts: [spf, senderId, ...dkim, arc, dmarc] };
}

/** A relay of ours is on no list of the sender's: without the hop before it nothing can be said. */
async function spfOf(
  source: Source,
  { mailFrom, receiver }: Delivered,
  { resolver, clock }: CheckPorts,
): Promise<SpfVerdict> {
  if (source.kind !== "unknown") {
    const question = { ip: source.address, helo: source.helo, mailFrom, receiver };
    return await checkSpf(question, resolver, clock);
  }
  const identity = mailFrom === "" ? "helo" : "mailfrom";
  const why = "it is not known which host sent it";
  return { method: "spf", result: "none", domain: domainOf(mailFrom), identity, why };
}

function domainOf(mailFrom: string): string {
  return mailFrom.slice(mailFrom.lastIndexOf("@") + 1).toLowerCase();
}
