/** DKIM signatures of our own mail, made by the keyring (RFC 6376, RFC 8463). */

import { buffer } from "#base/bytes";
import type { Clock } from "#base/clock";
import type { Keyring } from "#contracts/keyring";
import { type Header, parseHeader } from "#formats/message";
import { dkimSignature, hashBody } from "#identity/dkim";

/** How long a signature is good (RFC 6376 §3.5 x=): replay ends after two weeks. */
const validMs = 14 * 86_400_000;

/** A message to sign: its octets, its header read from their start, and what is put before them. */
export interface Unsigned {
  readonly octets: readonly Uint8Array[];
  readonly header: Header;
  readonly missing: string;
}

/**
 * One DKIM-Signature field for each key of the sender's domain; "" when the domain has none.
 *
 * @throws Unavailable when the keyring does not answer
 */
export async function signatures(
  { octets, header, missing }: Unsigned,
  domain: string,
  { keyring, clock }: { readonly keyring: Keyring; readonly clock: Clock },
): Promise<string> {
  const keys = await keyring.dkimKeys(domain);
  if (keys.length === 0) return "";
  const own = buffer(header.octets).subarray(0, header.end);
  const whole = parseHeader(missing === "" ? own : Buffer.concat([Buffer.from(missing), own]));
  const bodyHash = hashBody(octets.map(buffer), header.end);
  const signedAtMs = clock.nowMs();
  const fields = await Promise.all(
    keys.map((key) =>
      dkimSignature({
        header: whole,
        bodyHash,
        domain: key.domain,
        selector: key.selector,
        algorithm: key.algorithm,
        signedAtMs,
        expiresAtMs: signedAtMs + validMs,
        sign: (input) => keyring.dkimSign(key.domain, key.selector, input),
      }),
    ),
  );
  return fields.join("");
}
