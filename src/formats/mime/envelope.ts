/** The fields that message lists show, read from a header (RFC 5322 §3.6, RFC 9051 §7.5.2). */

import { parseAddressList } from "#formats/address";
import { parseDate } from "#formats/date";
import { decodeWords } from "#formats/encoded-word";
import { field, fields, type Header, valueOf } from "#formats/message";
import type { MailAddress, MailEnvelope } from "#model/description";

/** The unfolded value of the first such field, without control characters; null when absent. */
export function fieldText(header: Header, name: string): string | null {
  const one = field(header, name);
  if (one === undefined) return null;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
  return valueOf(header, one).replace(/[\0\r\n]+/g, " ");
}

export function envelopeOf(header: Header): MailEnvelope {
  const date = fieldText(header, "date");
  const subject = fieldText(header, "subject");
  return {
    date,
    sentAtMs: date === null ? null : parseDate(date),
    subject: subject === null ? null : decodeWords(subject),
    from: addresses(header, "from"),
    sender: addresses(header, "sender"),
    replyTo: addresses(header, "reply-to"),
    to: addresses(header, "to"),
    cc: addresses(header, "cc"),
    bcc: addresses(header, "bcc"),
    inReplyTo: fieldText(header, "in-reply-to"),
    messageId: messageIds(fieldText(header, "message-id") ?? "", 1)[0] ?? null,
  };
}

/** Several fields of one name are against RFC 5322 §3.6 but met; their addresses are joined. */
function addresses(header: Header, name: string): readonly MailAddress[] {
  const found = fields(header, name);
  if (found.length === 0) return [];
  const first = found[0];
  if (found.length === 1 && first !== undefined) return parseAddressList(valueOf(header, first));
  return found.slice(0, 20).flatMap((one) => parseAddressList(valueOf(header, one)));
}

/** Message ids with their angle brackets (RFC 5322 §3.6.4), the last `most` of them. Linear. */
export function messageIds(text: string, most = 100): readonly string[] {
  const ids: string[] = [];
  let at = text.indexOf("<");
  while (at >= 0) {
    const close = text.indexOf(">", at);
    if (close < 0) break;
    const open = text.lastIndexOf("<", close);
    if (close - open > 2 && close - open < 1000)
      ids.push(text.slice(open, close + 1).replace(/\s+/g, ""));
    at = text.indexOf("<", close);
  }
  return ids.slice(-most);
}
