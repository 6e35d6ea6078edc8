/** PKCS #10 certification requests for servers (RFC 2986 §4, RFC 2985 §5.4.2). */

import { Buffer } from "node:buffer";
import { bitString, context, integer, oid, sequence, setOf } from "#formats/der";
import { ecdsaWithSha256, extension, formatAlternativeNames, formatName } from "./format.ts";

export interface RequestFacts {
  /** At least one; ASCII. The first becomes the common name too, where it is short enough. */
  readonly dnsNames: readonly string[];
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
}

/** RFC 5280 appendix A.1, ub-common-name. */
const maxCommonNameLength = 64;

/**
 * The whole request in DER.
 *
 * @param sign ECDSA over SHA-256 of the octets, in its DER form, by the key that is to be certified
 */
export function formatRequest(
  facts: RequestFacts,
  sign: (octets: Uint8Array) => Uint8Array,
): Buffer {
  const [first = ""] = facts.dnsNames;
  if (first === "") throw new TypeError("a request needs a name");
  const names = extension("2.5.29.17", sequence(...formatAlternativeNames(facts)));
  const wished = sequence(oid("1.2.840.113549.1.9.14"), setOf(sequence(names)));
  const signed = sequence(
    integer(0), // version 1
    // CA/Browser Forum rules take names from the extension alone; older authorities want one here.
    first.length <= maxCommonNameLength ? formatName(first) : sequence(),
    facts.publicKey,
    context(0, "constructed", wished),
  );
  return sequence(signed, ecdsaWithSha256, bitString(sign(signed)));
}
