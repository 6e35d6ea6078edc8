/** X.509 version 3 certificates from facts (RFC 5280 §4); the signature comes from the caller. */

import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { parseIp } from "#base/ip";
import {
  bitString,
  boolean,
  context,
  encode,
  integer,
  octetString,
  oid,
  parseDer,
  sequence,
  setOf,
  tag,
  time,
  utf8String,
} from "#formats/der";

export type KeyUsage = "server" | "client" | "both" | "authority";

export interface CertificateFacts {
  /** Big-endian, at most 20 octets, not zero (RFC 5280 §4.1.2.2). */
  readonly serial: Uint8Array;
  /** DER of the issuer's name, or undefined when the certificate signs itself. */
  readonly issuer?: Uint8Array;
  /** The issuer's subject key identifier; given whenever `issuer` is. */
  readonly issuerKeyId?: Uint8Array;
  readonly commonName: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  readonly usage: KeyUsage;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly uris?: readonly string[];
  /** SHA-256 of a key authorization: makes it the certificate of an ACME challenge (RFC 8737 §3). */
  readonly acmeIdentifier?: Uint8Array;
}

/** RFC 5758 §3.2: no parameters. */
export const ecdsaWithSha256: Buffer = sequence(oid("1.2.840.10045.4.3.2"));
const commonNameType = oid("2.5.4.3");
const serverAuth = oid("1.3.6.1.5.5.7.3.1");
const clientAuth = oid("1.3.6.1.5.5.7.3.2");

/**
 * The whole certificate in DER.
 *
 * @param sign ECDSA over SHA-256 of the octets, in its DER form, by the issuer's key
 */
export function formatCertificate(
  facts: CertificateFacts,
  sign: (octets: Uint8Array) => Uint8Array,
): Buffer {
  const subject = formatName(facts.commonName);
  const signed = sequence(
    context(0, "constructed", integer(2)), // version 3
    integer(facts.serial),
    ecdsaWithSha256,
    facts.issuer ?? subject,
    sequence(time(facts.notBeforeMs), time(facts.notAfterMs)),
    subject,
    facts.publicKey,
    context(3, "constructed", sequence(...formatExtensions(facts))),
  );
  return sequence(signed, ecdsaWithSha256, bitString(sign(signed)));
}

export function formatName(commonName: string): Buffer {
  return sequence(setOf(sequence(commonNameType, utf8String(commonName))));
}

function formatExtensions(facts: CertificateFacts): Buffer[] {
  const keyId = keyIdentifier(facts.publicKey);
  const isAuthority = facts.usage === "authority";
  const extensions = [
    // §4.2.1.9: an authority of ours issues end certificates only, hence path length 0.
    extension("2.5.29.19", sequence(...(isAuthority ? [boolean(true), integer(0)] : [])), true),
    // §4.2.1.3: bits from the left: 0 digitalSignature, 5 keyCertSign, 6 cRLSign.
    extension(
      "2.5.29.15",
      isAuthority ? bitString(Buffer.from([0x06]), 1) : bitString(Buffer.from([0x80]), 7),
      true,
    ),
    extension("2.5.29.14", octetString(keyId)),
    extension("2.5.29.35", sequence(context(0, "primitive", facts.issuerKeyId ?? keyId))),
  ];
  if (!isAuthority) extensions.push(extension("2.5.29.37", sequence(...purposes(facts.usage))));
  const names = formatAlternativeNames(facts);
  if (names.length > 0) extensions.push(extension("2.5.29.17", sequence(...names)));
  if (facts.acmeIdentifier !== undefined) {
    extensions.push(extension("1.3.6.1.5.5.7.1.31", octetString(facts.acmeIdentifier), true));
  }
  return extensions;
}

export function extension(type: string, value: Uint8Array, critical = false): Buffer {
  return sequence(oid(type), ...(critical ? [boolean(true)] : []), octetString(value));
}

function purposes(usage: KeyUsage): Buffer[] {
  if (usage === "server") return [serverAuth];
  return usage === "client" ? [clientAuth] : [serverAuth, clientAuth];
}

export function formatAlternativeNames(
  facts: Pick<CertificateFacts, "dnsNames" | "ipAddresses" | "uris">,
): Buffer[] {
  const ascii = (text: string): Buffer => {
    if (!/^[\x21-\x7e]+$/.test(text)) throw new TypeError("an alternative name must be ASCII");
    return Buffer.from(text, "latin1");
  };
  return [
    ...(facts.dnsNames ?? []).map((name) => encode(contextName.dns, ascii(name))),
    ...(facts.uris ?? []).map((uri) => encode(contextName.uri, ascii(uri))),
    ...(facts.ipAddresses ?? []).map((address) => {
      const octets = parseIp(address);
      if (octets === undefined) throw new TypeError("an alternative address must be an IP address");
      return encode(contextName.ip, octets);
    }),
  ];
}

/** GeneralName's own tags (§4.2.1.6). */
const contextName = { dns: 0x82, uri: 0x86, ip: 0x87 } as const;

/** RFC 7093 §2, method 1: the first 160 bits of the SHA-256 of the key's bit string. */
function keyIdentifier(publicKey: Uint8Array): Buffer {
  const key = subjectPublicKey(publicKey);
  return hash("sha256", key, "buffer").subarray(0, 20);
}

function subjectPublicKey(info: Uint8Array): Uint8Array {
  const parsed = parseDer(info);
  const bits = parsed.ok ? parsed.value.children[1] : undefined;
  if (bits === undefined || bits.tag !== tag.bitString) {
    throw new TypeError("the public key must be a SubjectPublicKeyInfo");
  }
  return bits.content.subarray(1);
}
