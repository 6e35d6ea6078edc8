/** The few parts of a certificate that issuing from it needs (RFC 5280 §4.1). */

import { accept, type Result, refuse } from "#base/result";
import { type DerFault, type DerValue, parseDer, tag } from "#formats/der";

export interface CertificateParts {
  /** DER of the subject's name. */
  readonly subject: Buffer;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  readonly subjectKeyId?: Buffer;
}

export type CertificateFault = DerFault | "not-a-certificate";

const subjectKeyIdType = "551d0e"; // 2.5.29.14

/** Reads the shape only: no signature, no date is judged here. */
export function parseCertificate(der: Uint8Array): Result<CertificateParts, CertificateFault> {
  const parsed = parseDer(der);
  if (!parsed.ok) return parsed;
  const signed = parsed.value.children[0];
  if (parsed.value.tag !== tag.sequence || signed?.tag !== tag.sequence) {
    return refuse("not-a-certificate");
  }
  // Version [0] is absent in version 1 only; then serial, algorithm, issuer, validity.
  const skip = signed.children[0]?.tag === 0xa0 ? 5 : 4;
  const subject = signed.children[skip];
  const publicKey = signed.children[skip + 1];
  if (subject?.tag !== tag.sequence || publicKey?.tag !== tag.sequence) {
    return refuse("not-a-certificate");
  }
  const subjectKeyId = findKeyId(signed.children.find((part) => part.tag === 0xa3));
  return accept({
    subject: subject.raw,
    publicKey: publicKey.raw,
    ...(subjectKeyId && { subjectKeyId }),
  });
}

function findKeyId(extensions: DerValue | undefined): Buffer | undefined {
  for (const one of extensions?.children[0]?.children ?? []) {
    if (one.children[0]?.content.toString("hex") !== subjectKeyIdType) continue;
    const value = one.children.at(-1);
    const inner = value?.tag === tag.octetString ? parseDer(value.content) : undefined;
    if (inner?.ok && inner.value.tag === tag.octetString) return inner.value.content;
  }
  return undefined;
}
