/** Addresses as people type them, and answers as people expect them to be addressed. */

import type { Address, OpenEmail } from "./types.ts";
import { fullDate, fullName, nameList } from "./words.ts";

export interface ParsedAddresses {
  readonly addresses: readonly Address[];
  /** What could not be read as one. */
  readonly unclear: readonly string[];
}

/** Splits at commas and semicolons outside quotes and brackets. */
export function parseAddresses(text: string): ParsedAddresses {
  const addresses: Address[] = [];
  const unclear: string[] = [];
  for (const piece of text.match(/(?:"[^"]*"|<[^>]*>|[^,;"<]|["<])+/g) ?? []) {
    const one = piece.trim();
    if (one === "") continue;
    const named = /^"?([^"<]*?)"?\s*<([^<>\s]+@[^<>\s]+)>$/.exec(one);
    if (named !== null) addresses.push({ name: named[1]?.trim() || null, email: named[2] ?? "" });
    else if (/^[^\s<>@"]+@[^\s<>@"]+$/.test(one)) addresses.push({ name: null, email: one });
    else unclear.push(one);
  }
  return { addresses, unclear };
}

export function formatAddresses(addresses: readonly Address[] | null): string {
  return (addresses ?? [])
    .map((one) => (/[,;"<>]/.test(one.name ?? "") ? { ...one, name: null } : one))
    .map(fullName)
    .join(", ");
}

export interface DraftText {
  readonly to: string;
  readonly cc: string;
  readonly bcc: string;
  readonly subject: string;
  readonly text: string;
  readonly inReplyTo: readonly string[] | null;
  readonly references: readonly string[] | null;
}

export const emptyDraft: DraftText = {
  to: "",
  cc: "",
  bcc: "",
  subject: "",
  text: "",
  inReplyTo: null,
  references: null,
};

const prefixed = (prefix: string, subject: string): string =>
  new RegExp(`^${prefix}:`, "i").test(subject) ? subject : `${prefix}: ${subject}`;

/** @param own addresses of the reader, left out of "everybody" */
export function replyDraft(
  email: OpenEmail,
  everybody: boolean,
  own: readonly string[],
): DraftText {
  const answerTo = email.replyTo ?? email.from ?? [];
  const mine = new Set(own.map((one) => one.toLowerCase()));
  const already = new Set(answerTo.map((one) => one.email.toLowerCase()));
  const others = [...(email.to ?? []), ...(email.cc ?? [])].filter((one) => {
    const address = one.email.toLowerCase();
    return !mine.has(address) && !already.has(address);
  });
  const quoted = plainBody(email)
    .split("\n")
    .map((line) => (line.startsWith(">") ? `>${line}` : `> ${line}`))
    .join("\n");
  const who = nameList(email.from) || "somebody";
  return {
    ...emptyDraft,
    to: formatAddresses(answerTo),
    cc: everybody ? formatAddresses(others) : "",
    subject: prefixed("Re", email.subject ?? ""),
    text: `\n\nOn ${fullDate(email.sentAt ?? email.receivedAt)}, ${who} wrote:\n${quoted}\n`,
    inReplyTo: email.messageId,
    references: [...(email.references ?? []), ...(email.messageId ?? [])].slice(-50),
  };
}

export function forwardDraft(email: OpenEmail): DraftText {
  const head = [
    "---------- Forwarded message ----------",
    `From: ${nameList(email.from)}`,
    `Date: ${fullDate(email.sentAt ?? email.receivedAt)}`,
    `Subject: ${email.subject ?? ""}`,
    `To: ${nameList(email.to)}`,
  ];
  return {
    ...emptyDraft,
    subject: prefixed("Fwd", email.subject ?? ""),
    text: `\n\n${head.join("\n")}\n\n${plainBody(email)}\n`,
  };
}

/** The words of a message; HTML loses its tags and never becomes markup again. */
export function plainBody(email: OpenEmail): string {
  const texts = email.textBody.map((part) => {
    const value = email.bodyValues[part.partId ?? ""]?.value ?? "";
    return part.type === "text/html" ? withoutTags(value) : value;
  });
  return texts.join("\n\n").replace(/\r\n?/g, "\n").trimEnd();
}

const references: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  nbsp: " ",
  "#39": "'",
};

function withoutTags(html: string): string {
  return html
    .replace(/<(style|script|title|head)\b[\s\S]*?<\/\1\s*>/gi, "")
    .replace(/\s+/g, " ")
    .replace(/<(?:br|\/p|\/div|\/tr|\/li|\/h[1-6])\b[^>]*>/gi, "\n")
    .replace(/<[^>]*>/g, "")
    .replace(/&(#?\w{1,6});/g, (whole, name: string) => references[name] ?? whole)
    .replace(/ *\n */g, "\n")
    .replace(/\n{3,}/g, "\n\n")
    .trim();
}
