/** DKIM signatures of our own mail, made by the keyring (RFC 6376, RFC 8463). */

import { buffer } from "#base/bytes";
import type { Clock } from "#base/clock";
import { Denied } from "#base/errors";
import { type Keyring, type SigningKey, signatureValidMs } from "#contracts/keyring";
import { type Header, parseHeader } from "#formats/message";
import { dkimSignature, hashBody } from "#identity/dkim";

/** A message to sign: its octets, its header read from their start, and what is put before them. */
export interface Unsigned {
  readonly octets: readonly Uint8Array[];
  readonly header: Header;
  readonly missing: string;
}

/** What a signer needs. */
export interface SignPorts {
  readonly keyring: Pick<Keyring, "dkimKeys" | "dkimSign">;
  readonly clock: Clock;
}

/**
 * One DKIM-Signature field for each active key of the sender's domain; "" when the domain has none.
 *
 * @throws Unavailable when the keyring does not answer
 */
export async function signatures(
  { octets, header, missing }: Unsigned,
  domain: string,
  { keyring, clock }: SignPorts,
): Promise<string> {
  return await withKeys(domain, keyring, async (keys) => {
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
          expiresAtMs: signedAtMs + signatureValidMs,
          sign: (input) => keyring.dkimSign(key.domain, key.selector, input),
        }),
      ),
    );
    return fields.join("");
  });
}

/** Asks for the keys once more when one of them stopped signing after they were named. */
export async function withKeys(
  domain: string,
  keyring: SignPorts["keyring"],
  use: (keys: readonly SigningKey[]) => Promise<string>,
): Promise<string> {
  try {
    return await use(await keyring.dkimKeys(domain));
  } catch (error) {
    if (!(error instanceof Denied)) throw error;
    return await use(await keyring.dkimKeys(domain));
  }
}
