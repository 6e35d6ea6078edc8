/** A signed note: text, an empty line, and a line for each signature (C2SP signed-note). */

import { Buffer } from "node:buffer";
import { accept, type Result, refuse } from "#base/result";
import { parseBase64 } from "./base64.ts";
import { noteName } from "./keys.ts";

export interface NoteSignature {
  readonly name: string;
  /** Eight hexadecimal digits. */
  readonly keyId: string;
  /** What follows the key id: the signature, behind its time when it is a cosignature. */
  readonly signature: Buffer;
}

export interface Note {
  /** What is signed, its last newline included. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export type NoteFault =
  | "too-long"
  | "bad-character"
  | "no-signatures"
  | "too-many-signatures"
  | "bad-signature-line";

/** Ours, in UTF-16 units: a head with four signatures has about 10,000. */
const maxLength = 96 * 1024;
/** As many as C2SP asks every reader to take. */
const maxSignatures = 16;
const dash = "\u2014";
const controls = /[\x00-\x09\x0b-\x1f\x7f]/;

export function formatSignature({ name, keyId, signature }: NoteSignature): string {
  const octets = Buffer.concat([Buffer.from(keyId, "hex"), signature]);
  return `${dash} ${name} ${octets.toString("base64")}\n`;
}

export function formatNote({ text, signatures }: Note): string {
  return `${text}\n${signatures.map(formatSignature).join("")}`;
}

/** @param note untrusted. What is accepted has one form only: `formatNote()` gives it back. */
export function parseNote(note: string): Result<Note, NoteFault> {
  if (note.length > maxLength) return refuse("too-long", maxLength);
  const control = note.search(controls);
  if (control >= 0) return refuse("bad-character", control);
  const end = note.lastIndexOf("\n\n");
  if (end < 1) return refuse("no-signatures");
  const signatures = parseSignatures(note.slice(end + 2), end + 2);
  return signatures.ok
    ? accept({ text: note.slice(0, end + 1), signatures: signatures.value })
    : signatures;
}

/** @param lines whole ones, at least one */
export function parseSignatures(lines: string, from = 0): Result<NoteSignature[], NoteFault> {
  if (lines.length > maxLength) return refuse("too-long", maxLength);
  if (!lines.endsWith("\n")) return refuse("no-signatures", from);
  const signatures: NoteSignature[] = [];
  for (let at = 0; at < lines.length; ) {
    if (signatures.length === maxSignatures) return refuse("too-many-signatures", from + at);
    const lineEnd = lines.indexOf("\n", at);
    const one = parseSignature(lines.slice(at, lineEnd));
    if (one === undefined) return refuse("bad-signature-line", from + at);
    signatures.push(one);
    at = lineEnd + 1;
  }
  return accept(signatures);
}

function parseSignature(line: string): NoteSignature | undefined {
  const [mark, name = "", encoded = "", more] = line.split(" ", 4);
  const octets = parseBase64(encoded);
  if (mark !== dash || more !== undefined || !noteName.test(name)) return undefined;
  if (octets === undefined || octets.length < 5) return undefined;
  return { name, keyId: octets.toString("hex", 0, 4), signature: octets.subarray(4) };
}
