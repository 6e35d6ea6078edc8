/** Strangers who send mail: their domains in the DNS, their keys, and what they say on the wire. */

import type { Endpoint } from "#base/net";
import {
  type Craft,
  craft,
  ed25519Key,
  plainField,
  rsaKey,
  signOctets,
  type TestKey,
  zoneOf,
} from "../../src/identity/dkim/fixture.test.ts";
import type { Zone } from "./fake-dns.ts";
import { SmtpDialogue } from "./smtp-dialogue.ts";

/** Clients, told to the edge by a balancer's PROXY header. */
export const hosts = {
  /** The attacker's; his SPF records name it. */
  attack: "198.51.100.66",
  bank: "192.0.2.10",
  /** A forwarder or list: on nobody's list of servers but its own. */
  forwarder: "203.0.113.40",
  /** A managed provider in front of the edge, for installations that say so. */
  provider: "203.0.113.5",
} as const;

export type Signer = `${"attack" | "bank" | "shop" | "signed" | "list" | "esp" | "sealer"}.example`;

const keys: Readonly<Record<Signer, TestKey>> = {
  "attack.example": rsaKey("selector"),
  "bank.example": rsaKey("bank"),
  "shop.example": ed25519Key("shop"),
  "signed.example": ed25519Key("only"),
  "list.example": ed25519Key("list"),
  "esp.example": ed25519Key("esp"),
  "sealer.example": rsaKey("arc"),
};

const spfOf = (...addresses: readonly string[]): string =>
  `v=spf1 ${addresses.map((one) => `ip4:${one}`).join(" ")} -all`;

/**
 * bank: everything, p=reject; shop: everything, p=none; listed: SPF alone; signed: DKIM alone; bare:
 * nothing; ours: SPF and p=reject for the domain of the demonstration.
 */
export function strangersZone(): Zone {
  const signing = Object.entries(keys).map(([domain, key]) => zoneOf([key], domain));
  const attacker = [{ TXT: spfOf(hosts.attack) }];
  return Object.assign({}, ...signing, {
    "attack.example": attacker,
    // Whatever name of his is asked for, he answers with his records.
    "*.attack.example": attacker,
    "_dmarc.attack.example": [{ TXT: "v=DMARC1; p=none" }],
    "bank.example": [{ TXT: spfOf(hosts.bank) }, { A: hosts.bank }],
    "_dmarc.bank.example": [{ TXT: "v=DMARC1; p=reject" }],
    "shop.example": [{ TXT: spfOf(hosts.bank) }],
    "_dmarc.shop.example": [{ TXT: "v=DMARC1; p=none" }],
    "listed.example": [{ TXT: spfOf(hosts.bank) }],
    "bare.example": [{ A: hosts.bank }],
    "signed.example": [{ A: hosts.bank }],
    "list.example": [{ TXT: spfOf(hosts.forwarder) }],
    "_dmarc.list.example": [{ TXT: "v=DMARC1; p=none" }],
    "esp.example": [{ TXT: spfOf(hosts.forwarder) }],
    "alumni.example": [{ TXT: spfOf(hosts.forwarder) }],
    "xn--bnk-6cd.example": attacker,
    "xn--bnk-sgz.example": attacker,
    "_dmarc.xn--bnk-sgz.example": [{ TXT: "v=DMARC1; p=none" }],
    "terms.example": [{ TXT: "v=spf1 exists:dmarc=pass.header.from=bank.example -all" }],
    "dmarc=pass.header.from=bank.example": [{ A: "127.0.0.2" }],
    "postern.test": [{ TXT: spfOf("192.0.2.25") }],
    "_dmarc.postern.test": [{ TXT: "v=DMARC1; p=reject" }],
  } satisfies Zone) as Zone;
}

/** @param tags over d= and h= of a usual signature; undefined leaves one out */
export function signedBy(domain: Signer, message: string, tags: Craft["tags"] = {}): string {
  return craft(message, { key: keys[domain], tags: { d: domain, ...tags } });
}

/** The message with an ARC set (RFC 8617 §5.1) that says what the sealer claims to have seen. */
export function sealedBy(domain: Signer, text: string, seen: string): string {
  const key = keys[domain];
  const results = `ARC-Authentication-Results: i=1; mx.${domain}; ${seen}`;
  const whole = craft(text, {
    key,
    tags: { v: undefined, d: domain },
    respell: (field) => field.replace("DKIM-Signature: ", "ARC-Message-Signature: i=1; "),
  });
  const ownFields = whole.slice(0, -text.length).trimEnd();
  const tags = `i=1; a=${key.algorithm}; cv=none; d=${domain}; s=${key.selector}; b=`;
  const seal = `ARC-Seal: ${tags}`;
  const signed = [results, ownFields, seal].map((field) => plainField(field, "relaxed"));
  const value = signOctets(key, Buffer.from(signed.join("\r\n"), "latin1"));
  return `${seal}${value.toString("base64")}\r\n${results}\r\n${whole}`;
}

/** A message whose author field stands exactly as given; texts are Latin-1 of its octets. */
export function message(marker: string, author: string, more: Partial<Parts> = {}): string {
  const { above = "", fields = "", body = "Hello Ana,\r\n\r\nplease have a look.\r\n" } = more;
  return (
    `${above}${author}\r\nTo: <ana@postern.test>\r\nSubject: ${more.subject ?? marker}\r\n` +
    `Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <${marker}@attack.example>\r\n` +
    `X-Case: ${marker}\r\n${fields}\r\n${body}`
  );
}

interface Parts {
  /** Whole fields before the author field. */
  readonly above: string;
  /** Whole fields behind the others. */
  readonly fields: string;
  readonly subject: string;
  readonly body: string;
}

/** UTF-8 as the text of its octets. */
export function utf8(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

export interface Sending {
  readonly from?: string;
  readonly helo: string;
  /** The argument of MAIL, brackets and all. */
  readonly mailFrom: string;
  readonly to: readonly string[];
  readonly octets: string;
}

const patienceMs = 20_000;

/**
 * Sends one message from that address; the reply to its end, or to the first command refused.
 *
 * @param smtp an edge that trusts loopback for the PROXY header
 */
export async function sendAs(
  smtp: Endpoint,
  { from = hosts.attack, helo, mailFrom, to, octets }: Sending,
): Promise<string> {
  const dialogue = new SmtpDialogue(smtp);
  const say = async (octets: string): Promise<string> => {
    dialogue.write(octets);
    const reply = await dialogue.reply(patienceMs);
    if (reply === undefined) throw new Error(`no reply to ${octets.slice(0, 80)}`);
    return reply;
  };
  try {
    const lines = [
      `PROXY TCP4 ${from} 192.0.2.1 4096 25`,
      `EHLO ${helo}`,
      `MAIL FROM:${mailFrom}`,
      ...to.map((one) => `RCPT TO:<${one}>`),
      "DATA",
    ];
    for (const line of lines) {
      const reply = await say(`${line}\r\n`);
      if (!/^[23]/.test(reply)) return reply;
    }
    return await say(`${octets.replace(/^\./gm, "..")}.\r\n`);
  } finally {
    dialogue.close();
  }
}
