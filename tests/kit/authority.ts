/** A public-looking certificate authority: a root, an intermediate, and certificates for given keys. */

import {
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from "node:crypto";
import { parseDer } from "#formats/der";
import { formatCertificate, formatPem, parseCertificate, parsePem } from "#formats/x509";

const dayMs = 86_400_000;

export interface Wish {
  readonly names: readonly string[];
  readonly publicKey: KeyObject;
  readonly fromMs?: number;
  readonly days?: number;
}

export interface TestAuthority {
  readonly rootPem: string;
  readonly intermediatePem: string;
  /** The leaf alone, PEM. */
  issue(wish: Wish): string;
  /** The leaf with the intermediate behind it. */
  chain(wish: Wish): string;
  /** A leaf of the root's own, with the root behind it. */
  direct(wish: Wish): string;
}

export function testAuthority(nowMs: number = Date.now()): TestAuthority {
  const root = authority("Test root", nowMs);
  const intermediate = authority("Test intermediate", nowMs, root);
  const leafOf = (by: Issuer, { names, publicKey, fromMs = nowMs - dayMs, days = 90 }: Wish) =>
    certify(by, publicKey, {
      commonName: names[0] ?? "nobody",
      dnsNames: names,
      usage: "server",
      notBeforeMs: fromMs,
      notAfterMs: fromMs + days * dayMs,
    });
  const issue = (wish: Wish): string => leafOf(intermediate, wish);
  return {
    rootPem: root.pem,
    intermediatePem: intermediate.pem,
    issue,
    chain: (wish) => issue(wish) + intermediate.pem,
    direct: (wish) => leafOf(root, wish) + root.pem,
  };
}

/** The key that a PKCS #10 request is for. */
export function keyOfRequest(requestPem: string): KeyObject {
  const der = parsePem("CERTIFICATE REQUEST", requestPem)[0] ?? Buffer.alloc(0);
  const read = parseDer(der);
  if (!read.ok) throw new Error("not a request");
  const key = read.value.children[0]?.children[2]?.raw ?? Buffer.alloc(0);
  return createPublicKey({ key, format: "der", type: "spki" });
}

export function fingerprintOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256;
}

interface Issuer {
  readonly pem: string;
  readonly key: KeyObject;
}

function authority(commonName: string, nowMs: number, by?: Issuer): Issuer {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const facts = {
    commonName,
    usage: "authority",
    notBeforeMs: nowMs - dayMs,
    notAfterMs: nowMs + 3650 * dayMs,
  } as const;
  const pem = certify(by ?? { pem: "", key: privateKey }, publicKey, facts);
  return { pem, key: privateKey };
}

type Facts = Omit<Parameters<typeof formatCertificate>[0], "serial" | "publicKey">;

function certify(by: Issuer, publicKey: KeyObject, facts: Facts): string {
  const parts = by.pem === "" ? undefined : parseCertificate(new X509Certificate(by.pem).raw);
  const issuer = parts?.ok ? parts.value : undefined;
  const der = formatCertificate(
    {
      ...facts,
      ...(issuer && { issuer: issuer.subject }),
      ...(issuer?.subjectKeyId && { issuerKeyId: issuer.subjectKeyId }),
      serial: Buffer.concat([Buffer.of(1), randomBytes(15)]),
      publicKey: publicKey.export({ type: "spki", format: "der" }),
    },
    (octets) => sign("sha256", octets, by.key),
  );
  return formatPem("CERTIFICATE", der);
}
