/** What a message itself tells that bears on its sender: words, replies, signs of a list. */

import { parseAddressList } from "#formats/address";
import { field, type Header, valueOf } from "#formats/message";
import { bodyPartsOf, fieldText, htmlToText, readTree, textOf } from "#formats/mime";
import type { SenderFacts } from "./facts.ts";

export interface MessageFacts
  extends Pick<SenderFacts, "subject" | "textSample" | "replyTo" | "isList"> {
  /** Sent to many: List-Unsubscribe (RFC 2369), List-Id, or Precedence: bulk. */
  readonly isBulk: boolean;
}

/** Octets of encoded text that are read. */
const mostText = 8192;

/** @param octets the message from its start; cut anywhere behind the header */
export function messageFacts(header: Header, octets: Uint8Array): MessageFacts {
  const replyTo = field(header, "reply-to");
  const precedence = field(header, "precedence");
  const isList = field(header, "list-id") !== undefined;
  const isMarked =
    precedence !== undefined && /^(?:bulk|list|junk)$/i.test(valueOf(header, precedence));
  return {
    subject: fieldText(header, "subject") ?? "",
    textSample: firstWords(octets),
    replyTo:
      replyTo === undefined
        ? []
        : parseAddressList(valueOf(header, replyTo)).map(({ email }) => email),
    isList,
    isBulk: isList || isMarked || field(header, "list-unsubscribe") !== undefined,
  };
}

function firstWords(octets: Uint8Array): string {
  const { root } = readTree(octets);
  const part = bodyPartsOf(root).textBody.find(({ type }) => type === "text");
  if (part === undefined) return "";
  const text = textOf(octets, part, mostText);
  return part.subtype === "html" ? htmlToText(text) : text;
}
