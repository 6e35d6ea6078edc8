/** Reads the machine's part of a notification (RFC 3464 §2; RFC 6533 for the global form). */

import { Buffer } from "node:buffer";
import { accept, type Result, refuse } from "#base/result";

export type DsnFault = "too-long" | "no-recipient" | "bad-field" | "bad-action" | "bad-status";

export interface DeliveryStatus {
  /** Reporting-MTA without its type, or "". */
  readonly reportingHost: string;
  readonly envelopeId?: string;
  readonly recipients: readonly {
    /** Final-Recipient without its type. */
    readonly recipient: string;
    /** Original-Recipient without its type. */
    readonly originalRecipient?: string;
    readonly action: "failed" | "delayed" | "delivered" | "relayed" | "expanded";
    readonly status: string;
    readonly remoteHost?: string;
    readonly diagnostic?: string;
  }[];
}

/** Our limits; real ones are some hundred octets a recipient. */
const maxBytes = 262_144;
const maxGroups = 1001;

const fieldName = /^[\x21-\x39\x3b-\x7e]{1,64}$/;
const status = /^[245]\.\d{1,3}\.\d{1,3}$/;
const actions = new Set(["failed", "delayed", "delivered", "relayed", "expanded"] as const);
type Action = DeliveryStatus["recipients"][number]["action"];

interface Group {
  readonly at: number;
  readonly fields: Map<string, string>;
}

/** @param body untrusted: the decoded body of a message/delivery-status part */
export function parseDeliveryStatus(body: Uint8Array): Result<DeliveryStatus, DsnFault> {
  if (body.length > maxBytes) return refuse("too-long", maxBytes);
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const groups = groupsOf(bytes);
  if (!groups.ok) return groups;
  const [first, ...rest] = groups.value;
  if (first === undefined || rest.length === 0) return refuse("no-recipient", body.length);

  const recipients: DeliveryStatus["recipients"][number][] = [];
  for (const group of rest) {
    const recipient = recipientOf(group);
    if (!recipient.ok) return recipient;
    recipients.push(recipient.value);
  }
  const envelopeId = first.fields.get("original-envelope-id");
  return accept({
    reportingHost: withoutType(first.fields.get("reporting-mta") ?? ""),
    ...(envelopeId !== undefined && { envelopeId }),
    recipients,
  });
}

function recipientOf({
  at,
  fields,
}: Group): Result<DeliveryStatus["recipients"][number], DsnFault> {
  const recipient = withoutType(fields.get("final-recipient") ?? "");
  if (recipient === "") return refuse("no-recipient", at);
  const action = (fields.get("action") ?? "").toLowerCase() as Action;
  if (!actions.has(action)) return refuse("bad-action", at);
  // Some write a comment behind the code.
  const code = (fields.get("status") ?? "").split(/[\s(]/, 1)[0] ?? "";
  if (!status.test(code)) return refuse("bad-status", at);
  const original = fields.get("original-recipient");
  const remote = fields.get("remote-mta");
  const diagnostic = fields.get("diagnostic-code");
  return accept({
    recipient,
    action,
    status: code,
    ...(original !== undefined && { originalRecipient: withoutType(original) }),
    ...(remote !== undefined && { remoteHost: withoutType(remote) }),
    ...(diagnostic !== undefined && { diagnostic: withoutType(diagnostic) }),
  });
}

/** Groups of fields between blank lines; folded lines joined; the first of a name counts. */
function groupsOf(bytes: Buffer): Result<Group[], DsnFault> {
  const groups: Group[] = [];
  let fields: Group["fields"] | undefined;
  let name = "";
  let at = 0;
  while (at < bytes.length) {
    const feed = bytes.indexOf(10, at);
    const end = feed < 0 ? bytes.length : feed;
    const line = bytes.toString("utf8", at, end).replace(/\r$/, "");
    const lineAt = at;
    at = end + 1;
    if (line.trim() === "") {
      fields = undefined;
      continue;
    }
    if (/^[ \t]/.test(line)) {
      if (fields === undefined || name === "") return refuse("bad-field", lineAt);
      const before = fields.get(name) ?? "";
      if (before.length < 4096) fields.set(name, `${before} ${line.trim()}`);
      continue;
    }
    const colon = line.indexOf(":");
    const given = line.slice(0, Math.max(0, colon)).trim();
    if (!fieldName.test(given)) return refuse("bad-field", lineAt);
    if (fields === undefined) {
      if (groups.length >= maxGroups) return refuse("too-long", lineAt);
      fields = new Map();
      groups.push({ at: lineAt, fields });
    }
    name = fields.has(given.toLowerCase()) ? "" : given.toLowerCase();
    if (name !== "") fields.set(name, line.slice(colon + 1).trim());
    else name = "\0repeated"; // its folded lines go where nobody looks
  }
  return accept(groups);
}

/** "rfc822; a@b" → "a@b" */
function withoutType(text: string): string {
  return text.slice(text.indexOf(";") + 1).trim();
}
