/** What the inside tells an edge to go by: text that it signed, as a stream of kind policy brings it. */

import { Buffer } from "node:buffer";
import { type KeyObject, verify } from "node:crypto";
import { accept, type Result, refuse } from "#base/result";
import type { LinkStream } from "#contracts/link";

export type SignedFault = "too-large" | "not-json" | "bad-signature";

/**
 * The text of an envelope {snapshot, signature}: both sides sign and check the same octets.
 *
 * @param octets untrusted until the signature holds
 * @param key Ed25519, the public half of the inside's
 */
export function readSigned(
  octets: Buffer,
  key: KeyObject,
  maxBytes: number,
): Result<string, SignedFault> {
  if (octets.length > maxBytes) return refuse("too-large", maxBytes);
  const envelope = parseObject(octets.toString());
  const { snapshot, signature } = envelope ?? {};
  if (typeof snapshot !== "string" || typeof signature !== "string") return refuse("not-json");
  const holds = verify(null, Buffer.from(snapshot), key, Buffer.from(signature, "base64"));
  return holds ? accept(snapshot) : refuse("bad-signature");
}

/** undefined unless the text is JSON of an object. */
export function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    return value as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
}

export interface PolicyTaker {
  readonly maxBytes: number;
  /** Resolves when the policy is in force, and kept where it is to be kept. */
  take(octets: Buffer): Result<number, string> | Promise<Result<number, string>>;
  /** Version in force; 0: none. */
  held(): number;
  /** @param outcome "taken", the fault, or "not-saved" */
  onTaken(outcome: string, version: number): void;
}

/** Reads one stream of kind policy and answers with the version that is in force then. */
export function takePolicy(stream: LinkStream, taker: PolicyTaker): void {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  stream.receive({
    data(chunk) {
      sizeBytes += chunk.length;
      if (sizeBytes > taker.maxBytes) stream.abort("snapshot too large");
      else parts.push(chunk);
    },
    end() {
      void answer(stream, taker, Buffer.concat(parts));
    },
    broken() {},
  });
}

async function answer(stream: LinkStream, taker: PolicyTaker, octets: Buffer): Promise<void> {
  let taken: Result<number, string>;
  try {
    taken = await taker.take(octets);
  } catch {
    taker.onTaken("not-saved", taker.held());
    return stream.abort("snapshot could not be saved");
  }
  taker.onTaken(taken.ok ? "taken" : taken.fault, taker.held());
  // The inside sees by the version whether its snapshot is in force.
  stream.answer({ version: taker.held(), ...(!taken.ok && { refused: taken.fault }) });
}
