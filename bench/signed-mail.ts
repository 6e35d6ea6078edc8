/** Mail that proves its sender, and the zone that it is proved by. */

import { Buffer } from "node:buffer";
import { parseHeader } from "#formats/message";
import { dkimSignature, hashBody } from "#identity/dkim";
import { rsaKey, signOctets, zoneOf } from "../src/identity/dkim/fixture.test.ts";
import type { Zone } from "../tests/kit/fake-dns.ts";
import { makeMessages } from "./messages.ts";

/** Clients of the load: an address that no server takes for one of its own network. */
export const clientAddress = "198.18.0.20";
const domain = "sender.example";
const hour = 3_600_000;

export interface SignedMail {
  /** CRLF line ends, without dot-stuffing. */
  readonly messages: readonly Buffer[];
  /** SPF, DKIM of RSA-2048 and DMARC with p=reject. */
  readonly zone: Zone;
}

export async function signedMail(count: number, sizeBytes: number): Promise<SignedMail> {
  const key = rsaKey("s2026");
  const messages: Buffer[] = [];
  for (const text of makeMessages(count, sizeBytes)) {
    const octets = Buffer.from(text);
    const header = parseHeader(octets);
    const field = await dkimSignature({
      header,
      bodyHash: hashBody([octets], header.end),
      domain,
      selector: key.selector,
      algorithm: key.algorithm,
      signedAtMs: Date.now() - hour,
      expiresAtMs: Date.now() + 24 * hour,
      sign: async (input) => signOctets(key, input),
    });
    messages.push(Buffer.concat([Buffer.from(field), octets]));
  }
  const zone = {
    [domain]: [{ TXT: "v=spf1 include:hosts.sender.example -all" }, { MX: [10, `mx.${domain}`] }],
    "hosts.sender.example": [{ TXT: "v=spf1 ip4:198.18.0.0/24 -all" }],
    [`mx.${domain}`]: [{ A: clientAddress }],
    [`load.${domain}`]: [{ A: clientAddress }],
    "20.0.18.198.in-addr.arpa": [{ PTR: `load.${domain}` }],
    [`_dmarc.${domain}`]: [{ TXT: "v=DMARC1; p=reject" }],
    ...zoneOf([key], domain),
  };
  return { messages, zone };
}
