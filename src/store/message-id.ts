/** The Message-ID field, for the trace: found by search, not by parsing (RFC 5322 §3.6.4). */

import { buffer } from "#base/bytes";

/** The field is looked for this far into the message. */
export const headerSampleBytes: number = 16 * 1024;

const spellings = ["\nMessage-ID:", "\nMessage-Id:", "\nmessage-id:", "\nMESSAGE-ID:"];
/** The value may stand on the next line. */
const value = /^[ \t]*(?:\r?\n[ \t]+)?(<[\x21-\x3b\x3d\x3f-\x7e]{1,250}>)/;

export function findMessageId(start: Uint8Array): string | undefined {
  const octets = buffer(start);
  const blank = octets.indexOf("\r\n\r\n");
  const header = blank < 0 ? octets : octets.subarray(0, blank + 2);
  for (const spelling of spellings) {
    const isFirst = header.toString("latin1", 0, spelling.length - 1) === spelling.slice(1);
    const at = isFirst ? -1 : header.indexOf(spelling, 0, "latin1");
    if (at < 0 && !isFirst) continue;
    const from = at + spelling.length;
    const found = value.exec(header.toString("latin1", from, from + 400))?.[1];
    if (found !== undefined) return found;
  }
  return undefined;
}
