/** The SPF check of one mail: which identity, which words (RFC 7208 §2, §4.1, §4.3; RFC 4406 §4). */

import { Buffer } from "node:buffer";
import { domainToASCII } from "node:url";
import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import { parseIp } from "#base/ip";
import type { SpfVerdict } from "#model/verdict";
import { Evaluation, type Judgement } from "./evaluation.ts";
import type { Scope } from "./policy.ts";

export interface SpfQuestion {
  /** The client's, IPv4 or IPv6. */
  readonly ip: string;
  /** Argument of HELO or EHLO, untrusted. */
  readonly helo: string;
  /** Reverse path, "" for the null path; untrusted. */
  readonly mailFrom: string;
  /** Our host name, for explanations. */
  readonly receiver: string;
}

/** Never rejects because of what the domain published or the DNS did: that is a verdict. */
export async function checkSpf(
  question: SpfQuestion,
  resolver: Resolver,
  clock: Clock,
): Promise<SpfVerdict> {
  const isNull = question.mailFrom === ""; // §2.4: then HELO stands for the sender
  const identity = isNull ? "helo" : "mailfrom";
  const at = isNull ? -1 : question.mailFrom.lastIndexOf("@");
  const domain = toAscii(isNull ? question.helo : question.mailFrom.slice(at + 1));
  if (!isDomain(domain)) {
    const why = `the ${identity} identity is not a domain name`; // §4.3
    return { method: "spf", identity, domain: domain.slice(0, maxDomain), result: "none", why };
  }
  const localPart = at > 0 ? question.mailFrom.slice(0, at) : "postmaster"; // §4.3
  const { nxdomain: _, ...judgement } = await checkHost(
    { ...question, localPart, domain },
    resolver,
    clock,
  );
  return { method: "spf", identity, domain, ...judgement };
}

/** One identity, whatever its source. */
export interface HostQuestion {
  /** The client's, IPv4 or IPv6. */
  readonly ip: string;
  /** Argument of HELO or EHLO, untrusted. */
  readonly helo: string;
  readonly receiver: string;
  readonly localPart: string;
  /** In A-labels, at least two labels. */
  readonly domain: string;
  /** Of Sender ID (RFC 4406 §4.1); absent for SPF itself. */
  readonly scope?: Scope;
}

/** check_host() (RFC 7208 §4). Never rejects because of what was published or the DNS did. */
export async function checkHost(
  { ip, domain, scope, ...facts }: HostQuestion,
  resolver: Resolver,
  clock: Clock,
): Promise<Judgement> {
  const address = toAddress(ip);
  if (address === undefined) {
    return { result: "permerror", why: "the client's address is not an IP address" };
  }
  const all = { ...facts, address, senderDomain: domain };
  return await new Evaluation(all, resolver, clock, scope).run(domain);
}

function toAscii(domain: string): string {
  const bare = domain.endsWith(".") ? domain.slice(0, -1) : domain;
  const isAscii = /^[\0-\x7f]*$/.test(bare);
  return isAscii || bare.length > 255 ? bare : domainToASCII(bare);
}

/** RFC 1035 §2.3.4, in characters. A client may greet with more. */
const maxDomain = 253;

/** §4.3: at least two labels of 1 to 63 octets, such as host names and services have. */
function isDomain(domain: string): boolean {
  return domain.length <= maxDomain && /^[\w-]{1,63}(?:\.[\w-]{1,63})+$/.test(domain);
}

/** RFC 4291 §2.5.5.2: ::ffff:0:0/96 holds the IPv4 addresses. */
const mappedPrefix = Buffer.from("00000000000000000000ffff", "hex");

function toAddress(text: string): Uint8Array | undefined {
  const octets = parseIp(text);
  const isMapped = octets?.length === 16 && octets.subarray(0, 12).equals(mappedPrefix);
  return isMapped ? octets.subarray(12) : octets;
}
