/** An ARC set of ours on mail that we forward: what we found out before we handed it on (RFC 8617 §5.1). */

import { Buffer } from "node:buffer";
import { buffer } from "#base/bytes";
import type { ContentWriter } from "#contracts/store";
import { formatAuthResults } from "#formats/auth-results";
import { type Header, maxHeaderBytes, parseHeader } from "#formats/message";
import { arcSeal } from "#identity/arc";
import { BodyHash, CanonicalBody } from "#identity/dkim";
import type { ArcVerdict, Verdict } from "#model/verdict";
import { type SignPorts, withKeys } from "./sign.ts";

export interface SealPorts extends SignPorts {
  /** Whose key seals; it names us to those who decide whom to trust. */
  readonly domain: string;
  /** authserv-id of the results (RFC 8601 §2.5). */
  readonly authservId: string;
}

/** Passes a message on to the store, and hashes on the way what a seal covers. */
export interface SealingWriter extends ContentWriter {
  /**
   * The set's three fields with their line ends, to be put above the message; "" when there is none
   * to be: no RSA key signs for our domain, the chain has ended or could not be checked, or the
   * header is longer than anybody reads. To be called after `finish()`.
   *
   * @throws Unavailable when the keyring does not answer
   */
  seal(verdicts: readonly Verdict[]): Promise<string>;
}

/** What others want to know; the rest is for our own readers. */
const told: readonly Verdict["method"][] = ["spf", "dkim", "arc", "dmarc"];

export function sealingWriter(writer: ContentWriter, ports: SealPorts): SealingWriter {
  const covered = new Covered();
  return {
    write(chunk) {
      covered.write(chunk);
      return writer.write(chunk);
    },
    finish() {
      covered.end();
      return writer.finish();
    },
    abort: () => writer.abort(),
    seal: (verdicts) => seal(covered, verdicts, ports),
  };
}

async function seal(
  { header, bodyHash }: Covered,
  verdicts: readonly Verdict[],
  { keyring, clock, domain, authservId }: SealPorts,
): Promise<string> {
  const verdict = verdicts.find((one): one is ArcVerdict => one.method === "arc");
  if (header === undefined || header.truncated || verdict === undefined) return "";
  const field = formatAuthResults(
    authservId,
    verdicts.filter(({ method }) => told.includes(method)),
  );
  return await withKeys(domain, keyring, async (keys) => {
    // A set has one signature: by the algorithm that everybody must verify (RFC 8301 §3.1).
    const key = keys.find(({ algorithm }) => algorithm === "rsa-sha256");
    if (key === undefined) return "";
    return await arcSeal({
      header,
      bodyHash,
      verdict,
      results: field.slice("Authentication-Results: ".length),
      domain: key.domain,
      selector: key.selector,
      algorithm: key.algorithm,
      signedAtMs: clock.nowMs(),
      sign: (input) => keyring.dkimSign(key.domain, key.selector, input),
    });
  });
}

/** The header, and the hash of the body, whatever its size. */
class Covered {
  header: Header | undefined;
  bodyHash = "";
  readonly #hash = new BodyHash([]);
  readonly #body = new CanonicalBody("relaxed", this.#hash);
  #held: Uint8Array[] = [];
  #heldBytes = 0;

  write(chunk: Uint8Array): void {
    if (this.header !== undefined) return this.#body.write(buffer(chunk));
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes >= maxHeaderBytes) this.#readHeader();
  }

  end(): void {
    if (this.header === undefined) this.#readHeader();
    this.#body.end();
    this.bodyHash = this.#hash.end();
  }

  #readHeader(): void {
    const octets = Buffer.concat(this.#held);
    this.#held = [];
    this.header = parseHeader(octets);
    this.#body.write(octets.subarray(this.header.end));
  }
}
