/** BODY[…], BINARY[…] and the RFC822 items of one message (RFC 9051 §6.4.5). */

import { Buffer } from "node:buffer";
import { Unavailable } from "#base/errors";
import type { FetchItem, Partial, SectionItem } from "#formats/imap";
import { decodeBody } from "#formats/mime";
import type { Description } from "#model/description";
import type { Entry, MessageId } from "#model/mailbox";
import { Gone, type Talk } from "./context.ts";
import { isDescribed } from "./rendered.ts";
import { chooseFields, locate, partAt, type Range } from "./sections.ts";

/** Whether an item is made from more than the entry and the octets. */
export function needsDescription(item: FetchItem): boolean {
  if (item.kind !== "simple") return !isWhole(item);
  return isDescribed(item.name);
}

function isWhole(item: SectionItem): boolean {
  return item.kind === "section" && item.section.path.length === 0 && item.section.text === "";
}

export async function writeSection(
  talk: Talk,
  entry: Entry,
  description: Description | undefined,
  item: SectionItem,
): Promise<void> {
  if (item.kind !== "section") return writeBinary(talk, entry, description, item);
  const name = item.partial === undefined ? item.label : `${item.label}<${item.partial.start}>`;
  const range = isWhole(item)
    ? { start: 0, end: entry.sizeBytes }
    : description && locate(description, item.section);
  if (range === undefined) {
    talk.out.text(`${name} NIL`);
    return;
  }
  if (item.section.fields.length === 0) {
    return writeRange(talk, entry.message, name, cut(range, item.partial));
  }
  const header = await talk.shared.store.messages.read(entry.message, range.start, range.end);
  const chosen = Buffer.from(chooseFields(header, item.section), "latin1");
  const { start, end } = cut({ start: 0, end: chosen.length }, item.partial);
  writeLiteral(talk, name, chosen.subarray(start, end));
}

function cut({ start, end }: Range, partial: Partial | undefined): Range {
  if (partial === undefined) return { start, end };
  const from = Math.min(start + partial.start, end);
  return { start: from, end: Math.min(from + partial.count, end) };
}

function writeLiteral(talk: Talk, name: string, octets: Buffer, mark = ""): void {
  talk.out.text(`${name} ${mark}{${octets.length}}\r\n`);
  talk.out.bytes(octets);
}

async function writeRange(
  talk: Talk,
  message: MessageId,
  name: string,
  { start, end }: Range,
): Promise<void> {
  const { store, limits } = talk.shared;
  const length = end - start;
  if (length <= limits.streamAboveBytes) {
    const octets = length === 0 ? Buffer.alloc(0) : await store.messages.read(message, start, end);
    writeLiteral(talk, name, octets);
    return;
  }
  talk.out.text(`${name} {${length}}\r\n`);
  let sent = 0;
  try {
    for await (const chunk of store.messages.stream(message, start, end)) {
      talk.out.bytes(chunk);
      sent += chunk.length;
      await talk.breathe();
    }
  } catch (error) {
    // The length is promised already: only a broken connection tells the truth.
    talk.destroy("message broke off");
    throw error;
  }
  if (sent !== length) {
    talk.destroy("message broke off");
    throw new Gone("message broke off");
  }
}

/** Decoded content of a leaf (RFC 9051 §6.4.5 BINARY). */
async function writeBinary(
  talk: Talk,
  entry: Entry,
  description: Description | undefined,
  item: SectionItem,
): Promise<void> {
  const name = item.partial === undefined ? item.label : `${item.label}<${item.partial.start}>`;
  const content = description && (await decodedPart(talk, entry, description, item));
  if (item.kind === "binary-size") talk.out.text(`${name} ${content?.length ?? 0}`);
  else if (content === undefined) talk.out.text(`${name} NIL`);
  else {
    const { start, end } = cut({ start: 0, end: content.length }, item.partial);
    const octets = content.subarray(start, end);
    writeLiteral(talk, name, octets, octets.includes(0) ? "~" : "");
  }
}

async function decodedPart(
  talk: Talk,
  entry: Entry,
  description: Description,
  { section }: SectionItem,
): Promise<Buffer | undefined> {
  const { store, largeReads, limits } = talk.shared;
  const part = section.path.length === 0 ? undefined : partAt(description, section.path);
  if (section.path.length > 0 && part === undefined) return undefined;
  const range = part
    ? { start: part.bodyStart, end: part.bodyEnd }
    : { start: 0, end: entry.sizeBytes };
  const encoding = part === undefined || part.type === "multipart" ? "8bit" : part.encoding;
  const read = async (): Promise<Buffer> =>
    decodeBody(await store.messages.read(entry.message, range.start, range.end), encoding);
  if (range.end - range.start <= limits.streamAboveBytes) return read();
  const content = await largeReads.run(read);
  if (content === undefined) throw new Unavailable("too many large messages are being read");
  return content;
}
