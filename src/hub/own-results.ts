/** Removes Authentication-Results fields that pretend to be ours (RFC 8601 §5). */

import { buffer } from "#base/bytes";
import { claimsAuthservId } from "#formats/auth-results";
import {
  type Field,
  type Header,
  headerEnd,
  maxHeaderBytes,
  parseHeader,
  rawField,
  valueOf,
} from "#formats/message";

/** Takes a message in pieces and hands on what stays of it. */
export interface ForeignResultsFilter {
  /** Pieces that may go on now. */
  push(chunk: Uint8Array): Uint8Array[];
  /** What was still held back. */
  finish(): Uint8Array[];
  /** How many fields were removed. */
  readonly removed: number;
  /** The header goes on beyond what was looked at, so a forged field may still be in it. */
  readonly isTooLong: boolean;
}

export function foreignResultsFilter(authservId: string): ForeignResultsFilter {
  let held: Uint8Array[] | undefined = [];
  let heldBytes = 0;
  let lookAtBytes = 0;
  let removed = 0;
  let isTooLong = false;
  const release = (): Uint8Array[] => {
    if (held === undefined) return [];
    const head = held.length === 1 && held[0] !== undefined ? held[0] : Buffer.concat(held);
    held = undefined;
    const headBytes = headerEnd(head);
    const found = without(head, Math.min(headBytes, maxHeaderBytes), authservId);
    removed = found.pieces.length - 1;
    isTooLong = headBytes >= maxHeaderBytes || found.isTruncated;
    return found.pieces;
  };
  return {
    push(chunk) {
      if (held === undefined) return [chunk];
      held.push(chunk);
      heldBytes += chunk.length;
      if (heldBytes < lookAtBytes && heldBytes < maxHeaderBytes) return [];
      // Joined and looked through again only when twice as much has come: linear in all.
      lookAtBytes = 2 * heldBytes;
      const whole = held.length === 1 ? chunk : Buffer.concat(held);
      held = [whole];
      return headerEnd(whole) < whole.length || heldBytes >= maxHeaderBytes ? release() : [];
    },
    finish: release,
    get removed() {
      return removed;
    },
    get isTooLong() {
      return isTooLong;
    },
  };
}

const fieldName = "authentication-results";

/** What stands behind the name, however oddly that is written: some reader may take it for one. */
function resultsIn(header: Header, field: Field): string | undefined {
  if (field.key === fieldName) return valueOf(header, field);
  const raw = rawField(header, field).toString("latin1");
  const colon = raw.indexOf(":");
  const name = raw.slice(0, Math.max(colon, 0)).replace(/[^!-~]+/g, "");
  return name.toLowerCase() === fieldName ? raw.slice(colon + 1) : undefined;
}

/** The octets cut at every field that claims our name; one piece when there is none. */
function without(
  octets: Uint8Array,
  headBytes: number,
  authservId: string,
): { readonly pieces: Uint8Array[]; readonly isTruncated: boolean } {
  // A header without the name of the field needs no look at its fields.
  const head = buffer(octets).toString("latin1", 0, headBytes);
  if (!/authentication-results/i.test(head)) {
    return { pieces: [octets], isTruncated: false };
  }
  const header = parseHeader(octets);
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (const field of header.fields) {
    const value = resultsIn(header, field);
    if (value === undefined || !claimsAuthservId(value, authservId)) continue;
    pieces.push(octets.subarray(from, field.start));
    from = field.end;
  }
  pieces.push(octets.subarray(from));
  return { pieces, isTruncated: header.truncated };
}
