/** Does a server's certificate stand on the grounds asked for? (RFC 9525, RFC 8461, RFC 7672) */

import { hash, type X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { readExtensions } from "#formats/x509";
import type { TlsProofKind } from "#model/connection";
import type { TlsDemand, TlsProof } from "#model/tls-policy";
import { nameProved } from "./certificate-names.ts";
import { chainFault, type TlsFault } from "./tls-faults.ts";
import { matchesTlsa } from "./tlsa.ts";
import { anchorFault, isIssuedBy } from "./trust-anchor.ts";

export type ProofOutcome =
  | {
      readonly ok: true;
      readonly kind: TlsProofKind;
      /** SHA-256 of the certificate, hexadecimal. */
      readonly certificate: string;
      /** That it is good for; absent where none was asked for. */
      readonly name?: string;
    }
  | { readonly ok: false; readonly fault: TlsFault; readonly why: string };

/** What the server showed. */
export interface Shown {
  /** Its own first; not empty. */
  readonly chain: readonly [X509Certificate, ...X509Certificate[]];
  /** Undefined: OpenSSL found a trusted authority above it; else its name for what is wrong. */
  readonly chainError?: string;
}

/** Without a proof in the demand, the authorities of Node and the server's name are tried. */
export function prove(secure: TLSSocket, demand: TlsDemand, nowMs: number): ProofOutcome {
  const [leaf, ...above] = shownChain(secure);
  if (leaf === undefined) {
    return { ok: false, fault: "validation-failure", why: "the server showed no certificate" };
  }
  const proof = demand.proof ?? { kind: "authority", names: [demand.serverName] };
  const chainError = secure.authorized ? undefined : String(secure.authorizationError);
  return judge({ chain: [leaf, ...above], ...(chainError && { chainError }) }, proof, nowMs);
}

/** Our limit: a hostile server may show hundreds. */
const maxChain = 16;

/** From the server's own upwards, whatever the order in which they were shown. */
function shownChain(secure: TLSSocket): X509Certificate[] {
  let next = secure.getPeerX509Certificate();
  const chain = next === undefined ? [] : [next];
  const others: X509Certificate[] = [];
  while ((next = next?.issuerCertificate) !== undefined && others.length < maxChain)
    others.push(next);
  for (let last = chain.at(-1); last !== undefined; ) {
    const below = last;
    last = others.find((one) => !chain.includes(one) && isIssuedBy(below, one));
    if (last !== undefined) chain.push(last);
  }
  return chain;
}

function judge(shown: Shown, proof: TlsProof, nowMs: number): ProofOutcome {
  const [leaf] = shown.chain;
  const certificate = hash("sha256", leaf.raw, "hex");
  const good = (name?: string): ProofOutcome => ({
    ...{ ok: true, kind: proof.kind, certificate },
    ...(name !== undefined && { name }),
  });
  if (proof.kind === "pin") {
    const isPinned = [0, 1].some((selector) =>
      proof.sha256.some((data) => matchesTlsa({ selector, matching: 1, data }, leaf.raw)),
    );
    return isPinned ? good() : untrusted("its certificate is not the one that is written down");
  }
  if (proof.kind === "dane") {
    // RFC 7672 §3.1.1: neither names nor dates count where the DNS names the certificate itself.
    const named = proof.records.some(
      (record) => record.usage === 3 && matchesTlsa(record, leaf.raw),
    );
    if (named) return good();
    const anchors = proof.records.filter(({ usage }) => usage === 2);
    const fault = anchors.length > 0 ? anchorFault(shown.chain, anchors, nowMs) : noRecord;
    if (fault !== undefined) return { ok: false, ...fault };
  } else if (shown.chainError !== undefined) {
    const [fault, why] = chainFault(shown.chainError);
    return { ok: false, fault, why };
  }
  const name = nameOf(leaf, proof.names);
  return name === undefined ? wrongName(leaf, proof.names) : good(name);
}

const noRecord = {
  fault: "certificate-not-trusted",
  why: "no TLSA record names its certificate",
} as const;

function untrusted(why: string): ProofOutcome {
  return { ok: false, fault: "certificate-not-trusted", why };
}

function nameOf(leaf: X509Certificate, wanted: readonly string[]): string | undefined {
  const read = readExtensions(leaf.raw);
  return read.ok ? nameProved(read.value, wanted) : undefined;
}

function wrongName(leaf: X509Certificate, wanted: readonly string[]): ProofOutcome {
  const read = readExtensions(leaf.raw);
  const names = read.ok ? read.value.dnsNames.slice(0, 3).join(", ") : "";
  const why = `its certificate is for ${names === "" ? "no host" : names}, not for ${wanted.join(", ")}`;
  return { ok: false, fault: "certificate-host-mismatch", why: why.slice(0, 300) };
}
