/** A tree head: what the log signs (C2SP tlog-checkpoint, with two extension lines of our own). */

import { Buffer } from "node:buffer";
import { accept, type Result, refuse } from "#base/result";
import { parseBase64 } from "./base64.ts";
import { noteName } from "./keys.ts";
import { type NoteFault, type NoteSignature, parseNote } from "./note.ts";

export interface Head {
  /** The log's lasting name, "mail.example.org/ledger"; also the name of its keys. */
  readonly origin: string;
  readonly size: number;
  /** 32 octets. */
  readonly root: Buffer;
  /** Milliseconds since 1970 UTC, by the log's clock. */
  readonly timeMs: number;
  /** Sixteen hexadecimal digits: the id in every page of the store. */
  readonly storeId: string;
}

export interface SignedHead {
  readonly head: Head;
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export type HeadFault = NoteFault | "not-a-head";

/** An origin of 255 characters, and four lines that are no longer than they can be. */
const maxLength = 512;
const count = "(0|[1-9][0-9]{0,15})";
const lines: RegExp = new RegExp(
  `^([^\\n]+)\\n${count}\\n([0-9A-Za-z+/]{43}=)\\ntime ${count}\\nstore ([0-9a-f]{16})\\n$`,
);

/** The text of the note. */
export function formatHead({ origin, size, root, timeMs, storeId }: Head): string {
  const encoded = Buffer.from(root).toString("base64");
  return `${origin}\n${size}\n${encoded}\ntime ${timeMs}\nstore ${storeId}\n`;
}

/** @param note untrusted; nothing is verified yet */
export function parseSignedHead(note: string): Result<SignedHead, HeadFault> {
  const read = parseNote(note);
  if (!read.ok) return read;
  const { text, signatures } = read.value;
  const head = parseHead(text);
  return head.ok ? accept({ head: head.value, text, signatures }) : head;
}

/** @param text untrusted: what the log signs. What is accepted has one form only */
export function parseHead(text: string): Result<Head, "not-a-head"> {
  if (text.length > maxLength) return refuse("not-a-head", maxLength);
  const [, origin = "", size, encoded = "", timeMs, storeId = ""] = lines.exec(text) ?? [];
  const root = parseBase64(encoded);
  if (!noteName.test(origin) || root?.length !== 32) return refuse("not-a-head");
  const head = { origin, size: Number(size), root, timeMs: Number(timeMs), storeId };
  const exact = Number.isSafeInteger(head.size) && Number.isSafeInteger(head.timeMs);
  return exact ? accept(head) : refuse("not-a-head");
}
