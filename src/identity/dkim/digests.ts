/** The body hashes that the signatures of a message need, made in one pass (RFC 6376 §3.7). */

import { buffer } from "#base/bytes";
import { type Field, fields, type Header } from "#formats/message";
import type { TagList } from "#formats/tag-list";
import { BodyHash, CanonicalBody, type Form } from "./body.ts";
import { type MessageSignature, readMessageSignature, readTags } from "./signature.ts";

/** Ours (RFC 6376 §6.1 leaves it open): so many signatures of a message are looked at. */
export const maxSignatures = 10;

/** RFC 8617 §4.2.1. */
export const maxInstances = 50;

export interface BodyDigest {
  /** SHA-256, base64. */
  readonly hash: string;
  /** Octets of the canonical body behind what is signed. */
  readonly unsignedOctets: number;
}

/** A signature field as it was read; texts say why it could not be. */
export interface ReadField {
  readonly tags: TagList | string;
  readonly signature: MessageSignature | string;
}

export interface BodyDigests {
  /** Octets of the body in order, in chunks of any size; nothing of them is kept. */
  write(chunk: Uint8Array): void;
  finish(): void;
  /** After `finish()`. Undefined when the body is shorter than l= says. */
  digestFor(signature: MessageSignature): BodyDigest | undefined;
  /** DKIM-Signature and ARC-Message-Signature fields of the header, as far as they are looked at. */
  readonly read: ReadonlyMap<Field, ReadField>;
}

interface Pass {
  readonly body: CanonicalBody;
  readonly hash: BodyHash;
  whole: string;
}

/** One hash for each canonical form that a signature asks for; nothing when there is no signature. */
export function bodyDigests(header: Header): BodyDigests {
  const read = readSignatures(header);
  const passes = new Map<Form, Pass>();
  for (const [form, lengths] of wantedLengths(read.values())) {
    const hash = new BodyHash(lengths);
    passes.set(form, { body: new CanonicalBody(form, hash), hash, whole: "" });
  }
  return {
    read,
    write(chunk) {
      for (const { body } of passes.values()) body.write(buffer(chunk));
    },
    finish() {
      for (const pass of passes.values()) {
        pass.body.end();
        pass.whole = pass.hash.end();
      }
    },
    digestFor({ bodyForm, bodyOctets }) {
      const pass = passes.get(bodyForm);
      if (bodyOctets === undefined) return pass && { hash: pass.whole, unsignedOctets: 0 };
      const hash = pass?.hash.first(bodyOctets);
      return hash === undefined || pass === undefined
        ? undefined
        : { hash, unsignedOctets: pass.hash.length - bodyOctets };
    },
  };
}

function readSignatures(header: Header): ReadonlyMap<Field, ReadField> {
  const ofArc = fields(header, "ARC-Message-Signature");
  const looked = [
    ...fields(header, "DKIM-Signature").slice(0, maxSignatures),
    ...(ofArc.length > maxInstances ? [] : ofArc),
  ];
  return new Map(
    looked.map((field) => {
      const tags = readTags(header, field);
      const signature = typeof tags === "string" ? tags : readMessageSignature(field, tags);
      return [field, { tags, signature }];
    }),
  );
}

/** For each canonical form, the values of l=. */
function wantedLengths(read: Iterable<ReadField>): ReadonlyMap<Form, readonly number[]> {
  const wanted = new Map<Form, number[]>();
  for (const { signature } of read) {
    if (typeof signature === "string") continue;
    const lengths = wanted.get(signature.bodyForm) ?? [];
    if (signature.bodyOctets !== undefined) lengths.push(signature.bodyOctets);
    wanted.set(signature.bodyForm, lengths);
  }
  return wanted;
}
