/** The purported responsible address: whoever last brought the message into the mail (RFC 4407 §2). */

import { parseAddressList, parseMailbox, splitPath } from "#formats/address";
import { type Field, type Header, valueOf } from "#formats/message";
import type { PraHeader } from "#model/verdict";

/** "mail-from-fallback": a message without any of the fields is judged by MAIL FROM (not RFC 4407). */
export const praModes = ["rfc4407", "mail-from-fallback"] as const;
export type PraMode = (typeof praModes)[number];

export type Pra =
  | {
      readonly kind: "found";
      readonly address: string;
      readonly localPart: string;
      /** A-labels in lower case; as written when it is malformed. */
      readonly domain: string;
      /** The domain is incomplete, or not in the form of one. */
      readonly malformed: boolean;
      readonly header: PraHeader;
      /** Where it stands in the header. */
      readonly field: Field;
      /** Received and Return-Path fields above it: these tell the block of trace fields. */
      readonly traceAbove: number;
    }
  | {
      /** missing: none of the four fields is there. */
      readonly kind: "missing" | "ill-formed";
      readonly why: string;
    };

interface Chosen {
  readonly header: PraHeader;
  readonly field: Field;
  readonly traceAbove: number;
}

export function findPra(header: Header): Pra {
  if (header.truncated) return illFormed("the header is too long to be read whole");
  const chosen = chooseField(header);
  return "kind" in chosen ? chosen : readPra(header, chosen);
}

/** §2 steps 1 to 4; fields of nothing but white space count as absent. */
function chooseField(header: Header): Chosen | Pra {
  const found = readFields(header);
  const [sender] = found["resent-sender"];
  const [from] = found["resent-from"];
  // Step 1: a Resent-Sender below a Resent-From, with trace fields between, belongs to an older block.
  const isOlder =
    sender !== undefined &&
    from !== undefined &&
    from.field.start < sender.field.start &&
    from.traceAbove < sender.traceAbove;
  if (sender !== undefined && !isOlder) return sender;
  if (from !== undefined) return from; // step 2
  for (const key of ["sender", "from"] as const) {
    const [only, second] = found[key]; // steps 3 and 4
    if (second !== undefined) return illFormed(`there are several ${second.header} fields`);
    if (only !== undefined) return only;
  }
  return { kind: "missing", why: "there is no From field" };
}

const names = {
  "resent-sender": "Resent-Sender",
  "resent-from": "Resent-From",
  sender: "Sender",
  from: "From",
} as const;

type Key = keyof typeof names;

/** The first two of each name that hold something. */
function readFields(header: Header): Readonly<Record<Key, readonly Chosen[]>> {
  const found: Record<Key, Chosen[]> = {
    "resent-sender": [],
    "resent-from": [],
    sender: [],
    from: [],
  };
  let traceAbove = 0;
  for (const field of header.fields) {
    if (field.key === "received" || field.key === "return-path") traceAbove += 1;
    if (!Object.hasOwn(names, field.key)) continue;
    const key = field.key as Key;
    if (found[key].length < 2 && valueOf(header, field) !== "") {
      found[key].push({ header: names[key], field, traceAbove });
    }
  }
  return found;
}

/** §2 step 5: exactly one mailbox that has a domain. */
function readPra(header: Header, chosen: Chosen): Pra {
  const [only, second] = parseAddressList(valueOf(header, chosen.field));
  if (second !== undefined) return illFormed(`the ${chosen.header} field names several mailboxes`);
  const hopeless = illFormed(`the ${chosen.header} field is not one mailbox with a domain`);
  if (only === undefined || only.group !== undefined) return hopeless;
  const parsed = parseMailbox(only.email, true);
  if (parsed.ok) {
    const { localPart, domain } = splitPath(parsed.value);
    if (domain.startsWith("[")) return hopeless; // an address literal names no domain
    const malformed = !domain.includes(".");
    return { kind: "found", address: parsed.value, localPart, domain, malformed, ...chosen };
  }
  const domain = only.email.slice(parsed.at);
  const isNone = domain === "" || /[@[]/.test(domain);
  if (parsed.fault !== "bad-domain" || isNone) return hopeless;
  const localPart = only.email.slice(0, parsed.at - 1);
  return { kind: "found", address: only.email, localPart, domain, malformed: true, ...chosen };
}

function illFormed(why: string): Pra {
  return { kind: "ill-formed", why };
}
