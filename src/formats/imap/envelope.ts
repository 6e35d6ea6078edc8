/** ENVELOPE from a description (RFC 9051 §7.5.2). */

import type { MailAddress, MailEnvelope } from "#model/description";
import { formatHeaderText, formatString } from "./strings.ts";

export function formatEnvelope(envelope: MailEnvelope): string {
  const from = formatAddresses(envelope.from);
  // §7.5.2: absent Sender and Reply-To are shown as From
  const sender = envelope.sender.length > 0 ? formatAddresses(envelope.sender) : from;
  const replyTo = envelope.replyTo.length > 0 ? formatAddresses(envelope.replyTo) : from;
  return `(${formatHeaderText(envelope.date)} ${formatHeaderText(envelope.subject)} ${from} ${
    sender
  } ${replyTo} ${formatAddresses(envelope.to)} ${formatAddresses(envelope.cc)} ${formatAddresses(
    envelope.bcc,
  )} ${formatHeaderText(envelope.inReplyTo)} ${formatHeaderText(envelope.messageId)})`;
}

function formatAddresses(addresses: readonly MailAddress[]): string {
  if (addresses.length === 0) return "NIL";
  let text = "";
  let group: string | undefined;
  for (const address of addresses) {
    if (address.group !== group) {
      if (group !== undefined) text += "(NIL NIL NIL NIL)";
      group = address.group;
      if (group !== undefined) text += `(NIL NIL ${formatHeaderText(group)} NIL)`;
    }
    text += formatAddress(address);
  }
  if (group !== undefined) text += "(NIL NIL NIL NIL)";
  return `(${text})`;
}

function formatAddress({ name, email }: MailAddress): string {
  const at = email.lastIndexOf("@");
  const local = at < 0 ? email : email.slice(0, at);
  const host = at < 0 ? "" : email.slice(at + 1);
  // A NIL host would start a group: an address without one gets an empty host.
  return `(${formatHeaderText(name)} NIL ${formatString(local)} ${formatString(host)})`;
}
