/** Certificates as they should not be: every part as a test wants it. */

import {
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from "node:crypto";
import { parseIp } from "#base/ip";
import {
  bitString,
  boolean,
  context,
  integer,
  octetString,
  oid,
  sequence,
  setOf,
  time,
  utf8String,
} from "#formats/der";
import { formatPem } from "#formats/x509";

const dayMs = 86_400_000;
const ecdsaWithSha256 = sequence(oid("1.2.840.10045.4.3.2"));

export interface OddWish {
  readonly commonName: string;
  /** Octets as Latin-1: may hold what no name holds. */
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  /** Absent: signs itself. */
  readonly by?: OddCertificate;
  /** From today; the start is two days before the end, or yesterday. */
  readonly days?: number;
  readonly startDays?: number;
  readonly authority?: boolean;
  readonly maxPath?: number;
  /** First octet of the bits: 0x80 digitalSignature, 0x04 keyCertSign. */
  readonly keyUsage?: number;
  readonly extendedUsage?: string;
  /** A critical extension that nobody knows, or name constraints. */
  readonly strange?: "critical" | "name-constraints";
  /** Instead of a new key. */
  readonly key?: KeyObject;
  /** Signed by this key instead of the one above it. */
  readonly forgedWith?: KeyObject;
}

export interface OddCertificate {
  readonly pem: string;
  readonly keyPem: string;
  readonly key: KeyObject;
  readonly x509: X509Certificate;
  readonly name: Buffer;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
}

export function oddCertificate(wish: OddWish): OddCertificate {
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const key = wish.key ?? pair.privateKey;
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  const name = sequence(setOf(sequence(oid("2.5.4.3"), utf8String(wish.commonName))));
  const nowMs = Date.now();
  const startMs = nowMs + (wish.startDays ?? -3) * dayMs;
  const signed = sequence(
    context(0, "constructed", integer(2)),
    integer(Buffer.concat([Buffer.of(1), randomBytes(15)])),
    ecdsaWithSha256,
    wish.by?.name ?? name,
    sequence(time(startMs), time(nowMs + (wish.days ?? 30) * dayMs)),
    name,
    spki,
    context(3, "constructed", sequence(...extensions(wish))),
  );
  const signature = sign("sha256", signed, wish.forgedWith ?? wish.by?.key ?? key);
  const der = sequence(signed, ecdsaWithSha256, bitString(signature));
  const pem = formatPem("CERTIFICATE", der);
  const keyPem = key.export({ type: "pkcs8", format: "pem" }) as string;
  return { pem, keyPem, key, x509: new X509Certificate(der), name, spki };
}

function extensions(wish: OddWish): Buffer[] {
  const list: Buffer[] = [];
  const add = (type: string, value: Buffer, isCritical = false): void => {
    const critical = isCritical ? [boolean(true)] : [];
    list.push(sequence(oid(type), ...critical, octetString(value)));
  };
  if (wish.authority) {
    const path = wish.maxPath === undefined ? [] : [integer(wish.maxPath)];
    add("2.5.29.19", sequence(boolean(true), ...path), true);
  }
  if (wish.keyUsage !== undefined) add("2.5.29.15", bitString(Buffer.of(wish.keyUsage)), true);
  if (wish.extendedUsage) add("2.5.29.37", sequence(oid(wish.extendedUsage)));
  const names = [
    ...(wish.dnsNames ?? []).map((one) => context(2, "primitive", Buffer.from(one, "latin1"))),
    ...(wish.ipAddresses ?? []).map((one) =>
      context(7, "primitive", parseIp(one) ?? Buffer.alloc(0)),
    ),
  ];
  if (names.length > 0) add("2.5.29.17", sequence(...names));
  if (wish.strange === "critical") add("1.3.6.1.4.1.55555.1", utf8String("?"), true);
  if (wish.strange === "name-constraints") {
    const below = sequence(context(2, "primitive", Buffer.from("other.test")));
    add("2.5.29.30", sequence(context(0, "constructed", below)), true);
  }
  return list;
}
