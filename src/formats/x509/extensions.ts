/** Extensions of a certificate, and the few that judging a chain needs (RFC 5280 §4.2.1). */

import { accept, type Result, refuse } from "#base/result";
import { type DerValue, parseDer, tag } from "#formats/der";
import type { CertificateFault } from "./parse.ts";

/** Object identifiers in the hexadecimal of their DER content. */
const known = {
  keyUsage: "551d0f",
  alternativeName: "551d11",
  basicConstraints: "551d13",
  nameConstraints: "551d1e",
  extendedKeyUsage: "551d25",
} as const;
const serverAuth = "2b06010505070301";
const anyUsage = "551d2500";

export interface CertificateExtensions {
  /** In lower case as written, "*.example.net" included. Common names are no names (RFC 9525 §2). */
  readonly dnsNames: readonly string[];
  /** Octets of the addresses in hexadecimal. */
  readonly ipAddresses: readonly string[];
  readonly isAuthority: boolean;
  /** How many authorities may stand between it and the end certificate; absent: any number. */
  readonly maxPath?: number;
  /** Absent extensions allow everything. */
  readonly maySign: boolean;
  readonly mayServe: boolean;
  /** It limits names, or demands something that is not looked at here. */
  readonly hasUnjudged: boolean;
}

const none: CertificateExtensions = {
  ...{ dnsNames: [], ipAddresses: [], isAuthority: false },
  ...{ maySign: true, mayServe: true, hasUnjudged: false },
};

/** @param der untrusted */
export function readExtensions(der: Uint8Array): Result<CertificateExtensions, CertificateFault> {
  const parsed = parseDer(der);
  if (!parsed.ok) return parsed;
  const signed = parsed.value.children[0];
  if (parsed.value.tag !== tag.sequence || signed?.tag !== tag.sequence) {
    return refuse("not-a-certificate");
  }
  let read = none;
  const seen = new Set<string>();
  for (const one of signed.children.find((part) => part.tag === 0xa3)?.children[0]?.children ??
    []) {
    const type = one.children[0]?.content.toString("hex") ?? "";
    const value = one.children.at(-1);
    // §4.2: not twice the same. What cannot be read is refused rather than passed over.
    if (value?.tag !== tag.octetString || seen.has(type)) return refuse("not-a-certificate");
    seen.add(type);
    const isCritical = one.children[1]?.tag === tag.boolean && one.children[1].content[0] !== 0;
    const next = take(read, type, value.content, isCritical);
    if (next === undefined) return refuse("not-a-certificate");
    read = next;
  }
  return accept(read);
}

function take(
  read: CertificateExtensions,
  type: string,
  octets: Buffer,
  isCritical: boolean,
): CertificateExtensions | undefined {
  const names: readonly string[] = Object.values(known);
  if (!names.includes(type)) return isCritical ? { ...read, hasUnjudged: true } : read;
  if (type === known.nameConstraints) return { ...read, hasUnjudged: true };
  const inner = parseDer(octets);
  if (!inner.ok) return undefined;
  const { value } = inner;
  switch (type) {
    case known.alternativeName:
      return { ...read, ...alternativeNames(value) };
    case known.basicConstraints:
      return basicConstraints(read, value);
    case known.keyUsage: // bit 5: keyCertSign
      return { ...read, maySign: ((value.content[1] ?? 0) & 0x04) !== 0 };
    default: {
      const usages = value.children.map(({ content }) => content.toString("hex"));
      return { ...read, mayServe: usages.includes(serverAuth) || usages.includes(anyUsage) };
    }
  }
}

/** §4.2.1.6: [2] dNSName, [7] iPAddress; names with other characters than a host's are none. */
function alternativeNames(
  value: DerValue,
): Pick<CertificateExtensions, "dnsNames" | "ipAddresses"> {
  const dnsNames = value.children
    .filter((name) => name.tag === 0x82)
    .map(({ content }) => content.toString("latin1").toLowerCase())
    .filter((name) => /^[a-z0-9_.*-]{1,253}$/.test(name));
  const addresses = value.children.filter((name) => name.tag === 0x87);
  return { dnsNames, ipAddresses: addresses.map(({ content }) => content.toString("hex")) };
}

function basicConstraints(
  read: CertificateExtensions,
  { children: [first, second] }: DerValue,
): CertificateExtensions | undefined {
  const isAuthority = first?.tag === tag.boolean && first.content[0] !== 0;
  const path = first?.tag === tag.integer ? first : second;
  if (path === undefined) return { ...read, isAuthority };
  if (path.tag !== tag.integer || path.content.length !== 1) return undefined;
  return { ...read, isAuthority, maxPath: path.content[0] ?? 0 };
}
