/** Domain names on the wire (RFC 1035 §3.1, §4.1.4). */

import { Buffer } from "node:buffer";

/** RFC 1035 §2.3.4, in octets with the length octets. */
const maxName = 255;
const maxLabel = 63;

/** No name needs more: each pointer saves at least one label. Ours, so that chains cost little. */
const maxPointers = 32;

/** Undefined when the text cannot be a name. Text beyond ASCII goes as UTF-8. */
export function encodeName(text: string): Buffer | undefined {
  if (text.length > maxName) return undefined;
  const trimmed = text.endsWith(".") ? text.slice(0, -1) : text;
  const parts: Buffer[] = [];
  for (const label of trimmed === "" ? [] : trimmed.split(".")) {
    const octets = Buffer.from(label, "utf8");
    if (octets.length === 0 || octets.length > maxLabel) return undefined;
    parts.push(Buffer.from([octets.length]), octets);
  }
  const name = Buffer.concat([...parts, Buffer.from([0])]);
  return text === "" || name.length > maxName ? undefined : name;
}

export interface WireName {
  /** Lower case; octets that are not printable, dots and backslashes in a label as \DDD. */
  readonly text: string;
  /** Where the name ends in the message, before any pointer was followed. */
  readonly end: number;
}

/** Undefined when the octets are no name, or point anywhere but backwards. */
export function decodeName(message: Buffer, start: number): WireName | undefined {
  const labels: string[] = [];
  let end = -1;
  let length = 1;
  let pointers = 0;
  let earliest = start;
  for (let at = start; ; ) {
    const size = message[at];
    if (size === undefined) return undefined;
    if (size === 0) {
      return { text: labels.length === 0 ? "." : labels.join("."), end: end < 0 ? at + 1 : end };
    }
    if (size >= 0xc0) {
      const low = message[at + 1];
      const to = ((size & 0x3f) << 8) | (low ?? 0);
      pointers += 1;
      // Strictly backwards each time: a loop is impossible.
      if (low === undefined || to >= earliest || pointers > maxPointers) return undefined;
      if (end < 0) end = at + 2;
      at = to;
      earliest = to;
      continue;
    }
    length += size + 1;
    if (size > maxLabel || length > maxName || at + 1 + size > message.length) return undefined;
    labels.push(labelText(message.toString("latin1", at + 1, at + 1 + size)));
    at += size + 1;
  }
}

function labelText(label: string): string {
  return label
    .replace(/[^!-~]|[.\\]/g, (odd) => `\\${String(odd.charCodeAt(0)).padStart(3, "0")}`)
    .toLowerCase();
}
