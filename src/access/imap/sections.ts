/** Where in a message the octets of a FETCH section are (RFC 9051 §6.4.5). */

import type { Buffer } from "node:buffer";
import type { Section } from "#formats/imap";
import { parseHeader } from "#formats/message";
import type { Description, MimePart } from "#model/description";

/** Octets [start, end) of the message; the fields are still to be chosen for HEADER.FIELDS. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** @returns undefined when the message has no such part */
export function locate(description: Description, section: Section): Range | undefined {
  const { path, text } = section;
  if (path.length === 0) return inMessage(description.root, text, 0, description.sizeBytes);
  const part = partAt(description, path);
  if (part === undefined) return undefined;
  if (text === "") return { start: part.bodyStart, end: part.bodyEnd };
  if (text === "MIME") return { start: part.headerStart, end: part.bodyStart };
  if (part.message === undefined) return undefined;
  return inMessage(part.message.root, text, part.bodyStart, part.bodyEnd);
}

function inMessage(
  root: MimePart,
  text: Section["text"],
  start: number,
  end: number,
): Range | undefined {
  switch (text) {
    case "":
      return { start, end };
    case "TEXT":
      return { start: root.bodyStart, end };
    case "MIME":
      return undefined;
    default:
      return { start: root.headerStart, end: root.bodyStart };
  }
}

/** The part a number path leads to, through multiparts and messages inside messages. */
export function partAt(description: Description, path: readonly number[]): MimePart | undefined {
  let container: MimePart | undefined = description.root;
  let part: MimePart | undefined;
  for (const number of path) {
    if (part !== undefined) container = part.message?.root ?? part;
    if (container === undefined) return undefined;
    if (container.type === "multipart" && container.parts.length > 0) {
      part = container.parts[number - 1];
    } else if (part === container)
      part = undefined; // a leaf has no parts
    else part = number === 1 ? container : undefined; // a message without parts is its part 1
    if (part === undefined) return undefined;
  }
  return part;
}

/** The fields that are named, or all others, with the blank line (RFC 9051 §6.4.5). */
export function chooseFields(header: Buffer, section: Section): string {
  const wanted = new Set(section.fields.map((field) => field.toLowerCase()));
  const keepNamed = section.text === "HEADER.FIELDS";
  let text = "";
  for (const { key, start, end } of parseHeader(header).fields) {
    if (wanted.has(key) === keepNamed) text += header.toString("latin1", start, end);
  }
  return `${text}\r\n`;
}
