/** What a log asks of its witness, and what the witness answers: both untrusted on the other end. */

import { Buffer } from "node:buffer";
import { formatNoteKey, type NoteKey, parseNoteKey } from "#formats/checkpoint";

/** The ledger as whoever has its heads cosigned sees it. */
export interface HeadSource {
  /** Tree of everything that is durable now. */
  head(): { readonly size: number; readonly root: Buffer };
  /** Shows that the tree of `size` leaves begins with that of `oldSize` (RFC 6962 §2.1.2). */
  consistency(oldSize: number, size: number): Promise<readonly Buffer[]>;
}

export interface WitnessRequest {
  /** The head, signed by the log. */
  readonly note: string;
  /** Size of the head that the witness cosigned last, as far as the log knows; 0 for none. */
  readonly oldSize: number;
  /** From the old size to that of the note. */
  readonly proof: readonly Buffer[];
}

/** Why a witness does not cosign. */
export const witnessFaults = [
  /** It knows no keys of the log yet. */
  "not-ready",
  /** Its own memory cannot be read: somebody must look, and remove it to begin anew. */
  "memory-lost",
  "bad-request",
  /** The log's two signatures do not both hold. */
  "bad-signature",
  /** Another log, or another store under the log's name. */
  "other-log",
  /** It cosigned another size last: asked again with that one, it may cosign. */
  "old-size",
  /** It has cosigned more leaves than there are now. */
  "rolled-back",
  /** The proof does not lead from its last head to this one. */
  "fork",
  "time-went-back",
  /** The log's clock is far ahead of the witness's: cosigned, it would bar every later head. */
  "time-ahead",
] as const;
export type WitnessFault = (typeof witnessFaults)[number];

export type WitnessAnswer = {
  /** The witness's own: one of each algorithm. */
  readonly keys: readonly NoteKey[];
} & (
  | {
      /** Lines to be added to the note. */
      readonly cosignatures: string;
    }
  | {
      readonly refused: WitnessFault;
      /** The head it cosigned last, with all signatures. */
      readonly last?: string;
    }
);

/** 2^53 leaves need no more. */
const maxProof = 64;
const maxKeys = 4;
const maxNoteLength = 96 * 1024;

/** As it travels: JSON, octets in base64. */
export function formatWitnessRequest({ note, oldSize, proof }: WitnessRequest): unknown {
  return { note, oldSize, proof: proof.map((node) => node.toString("base64")) };
}

export function parseWitnessRequest(value: unknown): WitnessRequest | undefined {
  const { note, oldSize, proof } = fieldsOf(value);
  if (!isNote(note) || !Number.isSafeInteger(oldSize) || (oldSize as number) < 0) return undefined;
  if (!isTextList(proof, maxProof)) return undefined;
  const nodes = proof.map((text) => Buffer.from(text.slice(0, 44), "base64"));
  return { note, oldSize: oldSize as number, proof: nodes };
}

export function formatWitnessAnswer(answer: WitnessAnswer): unknown {
  return { ...answer, keys: answer.keys.map(formatNoteKey) };
}

export function parseWitnessAnswer(value: unknown): WitnessAnswer | undefined {
  const { keys: lines, cosignatures, refused, last } = fieldsOf(value);
  if (!isTextList(lines, maxKeys)) return undefined;
  const keys: NoteKey[] = [];
  for (const line of lines) {
    const key = parseNoteKey(line);
    if (!key.ok) return undefined;
    keys.push(key.value);
  }
  if (isNote(cosignatures)) return { keys, cosignatures };
  const fault = witnessFaults.find((one) => one === refused);
  if (fault === undefined || (last !== undefined && !isNote(last))) return undefined;
  return { keys, refused: fault, ...(last !== undefined && { last }) };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return (value ?? {}) as Readonly<Record<string, unknown>>;
}

function isNote(value: unknown): value is string {
  return typeof value === "string" && value.length <= maxNoteLength;
}

function isTextList(value: unknown, most: number): value is string[] {
  return (
    Array.isArray(value) && value.length <= most && value.every((one) => typeof one === "string")
  );
}
