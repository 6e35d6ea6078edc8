/** What of a message a signature leaves open to others (RFC 6376 §8.2, §8.15). */

import type { BodyDigest } from "./digests.ts";
import type { CanonicalHeader } from "./header.ts";
import type { MessageSignature } from "./signature.ts";

/** RFC 5322 §3.6 and RFC 2045 allow one of each, and readers show any of several. */
const singletons = [
  "From",
  "Sender",
  "Reply-To",
  "To",
  "Cc",
  "Subject",
  "Date",
  "Message-ID",
  "In-Reply-To",
  "References",
  "MIME-Version",
  "Content-Type",
  "Content-Transfer-Encoding",
].map((name) => ({ name, key: name.toLowerCase() }));

export interface Coverage {
  /** Why a sound signature does not vouch for what the reader sees; "" when it does. */
  readonly gap: string;
  /** Fields that a reader sees and that are not signed. */
  readonly unsignedFields: readonly string[];
}

export function coverageOf(
  signature: MessageSignature,
  header: CanonicalHeader,
  body: BodyDigest,
): Coverage {
  const { unsignedOctets } = body;
  const gaps = unsignedOctets > 0 ? [`${unsignedOctets} octets of the body are not signed`] : [];
  const unsignedFields: string[] = [];
  for (const { name, key } of singletons) {
    const count = header.count(key);
    if (count === 0) continue;
    let signed = 0;
    for (const one of signature.names) if (one === key) signed += 1;
    if (signed === 0) unsignedFields.push(name);
    if (key === "from" && count > 1) gaps.push(`there are ${count} From fields`);
    else if (count > 1 && signed > 0 && signed < count) {
      gaps.push(`of ${count} ${name} fields only ${signed} are signed`);
    }
  }
  return { gap: gaps.join(", "), unsignedFields };
}
