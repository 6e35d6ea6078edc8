/** An Email object with the properties a client asked for (RFC 8621 §4.1). */

import { formatResult } from "#formats/auth-results";
import { type Header, parseHeader } from "#formats/message";
import { bodyPartsOf, messageIds, walkParts } from "#formats/mime";
import type { Description, MailAddress, MimePart } from "#model/description";
import type { Entry, MessageId } from "#model/mailbox";
import type { SenderVerdict, SpamVerdict, Verdict } from "#model/verdict";
import { type Args, isStringList } from "./arguments.ts";
import { messageBlobId, partBlobId } from "./blobs.ts";
import {
  type BodyValue,
  bodyValue,
  defaultPartProperties,
  isPartProperty,
  partView,
  type Source,
} from "./body-view.ts";
import type { Context } from "./context.ts";
import { type Failure, failed } from "./failure.ts";
import {
  addressForm,
  dateForm,
  headerValue,
  idsForm,
  parseHeaderProperty,
  rawHeaders,
  utcDate,
} from "./header-forms.ts";
import { keywordsOf } from "./keywords.ts";

export const storedProperties = [
  "id",
  "blobId",
  "threadId",
  "mailboxIds",
  "keywords",
  "size",
  "receivedAt",
] as const;
const parsed = [
  "messageId",
  "inReplyTo",
  "references",
  "sender",
  "from",
  "to",
  "cc",
  "bcc",
  "replyTo",
  "subject",
  "sentAt",
  "hasAttachment",
  "preview",
  "bodyValues",
  "textBody",
  "htmlBody",
  "attachments",
] as const;
const senderProperties = [
  "senderShown",
  "senderState",
  "senderText",
  "senderOrigin",
  "senderPartner",
  "senderEvidence",
  "senderChecks",
  "spamLevel",
  "spamReasons",
] as const;
const onRequest = ["bodyStructure", "headers", ...senderProperties] as const;

/** §4.2: what a client gets that does not say what it wants. */
const defaults: readonly string[] = [...storedProperties, ...parsed];
const known = new Set<string>([...defaults, ...onRequest]);

export interface EmailWishes {
  readonly properties: ReadonlySet<string>;
  readonly partProperties: readonly string[];
  readonly values:
    | "none"
    | { readonly text: boolean; readonly html: boolean; readonly all: boolean };
  readonly mostValueOctets: number;
}

/** Reads the arguments that Email/get and Email/parse share. */
export function readWishes(args: Args): EmailWishes | Failure {
  const properties = isStringList(args["properties"]) ? args["properties"] : defaults;
  const parts = isStringList(args["bodyProperties"])
    ? args["bodyProperties"]
    : defaultPartProperties;
  if (properties.length > 200 || parts.length > 100) return failed("requestTooLarge");
  const wrong =
    properties.find((name) => !known.has(name) && parseHeaderProperty(name) === undefined) ??
    parts.find((name) => !isPartProperty(name));
  if (wrong !== undefined) {
    return failed("invalidArguments", `no such property: ${wrong.slice(0, 64)}`);
  }
  const all = args["fetchAllBodyValues"] === true;
  const text = args["fetchTextBodyValues"] === true;
  const html = args["fetchHTMLBodyValues"] === true;
  return {
    properties: new Set(properties),
    partProperties: parts,
    values: all || text || html ? { all, text, html } : "none",
    mostValueOctets: (args["maxBodyValueBytes"] as number | undefined) ?? 0,
  };
}

/** The properties that come from the mailboxes, for a message with these entries. */
export async function storedView(
  context: Context,
  message: MessageId,
  entries: readonly Entry[],
  wishes: EmailWishes,
): Promise<Record<string, unknown>> {
  const first = entries[0];
  const view: Record<string, unknown> = { id: `M${message}` };
  for (const name of wishes.properties) {
    if (name === "blobId") view[name] = messageBlobId(message);
    else if (name === "threadId") view[name] = await context.threads.threadOf(message);
    else if (name === "mailboxIds") view[name] = trueFor(entries.map((one) => one.mailbox));
    else if (name === "keywords") view[name] = trueFor(keywordsOf(entries));
    else if (name === "size") view[name] = first?.sizeBytes ?? 0;
    else if (name === "receivedAt") view[name] = utcDate(first?.receivedAtMs ?? 0);
  }
  return view;
}

function trueFor(names: Iterable<string>): Record<string, true> {
  return Object.fromEntries([...names].map((name) => [name, true] as const));
}

/** The properties that come from the octets. */
export async function parsedView(
  context: Context,
  source: Source,
  description: Description,
  wishes: EmailWishes,
): Promise<Record<string, unknown>> {
  const view: Record<string, unknown> = {};
  const asked = wishes.properties;
  const { root } = description;
  let header: Header | undefined;
  for (const name of asked) {
    const property = name === "headers" ? undefined : parseHeaderProperty(name);
    if (name === "headers" || property !== undefined) {
      header ??= parseHeader(await source.read(root.headerStart, root.bodyStart));
      view[name] = property === undefined ? rawHeaders(header) : headerValue(header, property);
    } else {
      const value = described(description, name);
      if (value !== undefined) view[name] = value;
    }
  }
  const parts = bodyPartsOf(root);
  for (const name of ["textBody", "htmlBody", "attachments"] as const) {
    if (!asked.has(name)) continue;
    view[name] = await viewsOf(source, parts[name], wishes);
  }
  if (asked.has("bodyStructure")) {
    view["bodyStructure"] = await partView(source, root, wishes.partProperties, true);
  }
  if (asked.has("bodyValues")) view["bodyValues"] = await valuesOf(context, source, root, wishes);
  return view;
}

async function viewsOf(
  source: Source,
  parts: readonly MimePart[],
  wishes: EmailWishes,
): Promise<readonly unknown[]> {
  const views: unknown[] = [];
  for (const part of parts) views.push(await partView(source, part, wishes.partProperties));
  return views;
}

async function valuesOf(
  context: Context,
  source: Source,
  root: MimePart,
  wishes: EmailWishes,
): Promise<Record<string, BodyValue>> {
  if (wishes.values === "none") return {};
  const { text, html, all } = wishes.values;
  const parts = bodyPartsOf(root);
  const wanted = new Set<MimePart>([
    ...(text ? parts.textBody : []),
    ...(html ? parts.htmlBody : []),
    ...(all ? walkParts(root) : []),
  ]);
  const values: Record<string, BodyValue> = {};
  for (const part of wanted) {
    if (part.type !== "text") continue;
    values[part.section] = await bodyValue(source, part, wishes.mostValueOctets, context.text);
  }
  return values;
}

function described(description: Description, name: string): unknown {
  const { envelope } = description;
  switch (name) {
    case "messageId":
      return idsForm(envelope.messageId === null ? [] : [envelope.messageId]);
    case "inReplyTo":
      return idsForm(messageIds(envelope.inReplyTo ?? ""));
    case "references":
      return idsForm(description.references);
    case "sender":
    case "from":
    case "to":
    case "cc":
    case "bcc":
    case "replyTo":
      return addressesOrNull(envelope[name]);
    case "subject":
      return envelope.subject;
    case "sentAt":
      return dateForm(envelope.sentAtMs);
    case "hasAttachment":
      return description.hasAttachment;
    case "preview":
      return description.preview;
    default:
      return undefined;
  }
}

function addressesOrNull(list: readonly MailAddress[]): readonly unknown[] | null {
  return list.length === 0 ? null : list.map(addressForm);
}

/** Where the parts of a stored message are read from. */
export function storedSource(context: Context, message: MessageId): Source {
  return {
    read: (start, end) => context.store.messages.read(message, start, end),
    blobIdOf: (part) => partBlobId(message, part),
  };
}

/** Ours, not the RFC's: what was found out about the sender, and what it adds up to. */
export async function senderView(
  context: Context,
  message: MessageId,
  asked: ReadonlySet<string>,
): Promise<Record<string, unknown>> {
  if (!senderProperties.some((name) => asked.has(name))) return {};
  const verdicts = await context.store.messages.verdicts(message);
  const sender = verdicts.find((one) => one.method === "sender");
  const spam = verdicts.find((one) => one.method === "spam");
  const all: Record<(typeof senderProperties)[number], unknown> = {
    senderShown: sender === undefined ? null : shownAuthor(sender, context),
    senderState: sender?.result ?? "not-checked",
    senderText: sender?.text ?? "Not checked: the sender was not looked at on arrival.",
    senderOrigin: sender?.origin ?? "unknown",
    senderPartner: sender?.partner ?? null,
    senderEvidence: sender?.evidence ?? [],
    senderChecks: verdicts.flatMap(checkView),
    spamLevel: spam?.level ?? null,
    spamReasons: spam?.reasons ?? [],
  };
  return Object.fromEntries(Object.entries(all).filter(([name]) => asked.has(name)));
}

/** The address that was judged; all that From names when there is not one. */
function shownAuthor(
  { address, evidence }: SenderVerdict,
  { shownAddress }: Pick<Context, "shownAddress">,
): string {
  if (address !== "") return shownAddress(address);
  return evidence.find(({ type }) => type === "ambiguous-author")?.claimed ?? "";
}

type CheckView = Record<"method" | "result" | "judged" | "why" | "text", string>;

/** @returns nothing for what is added up from the checks */
function checkView(verdict: Verdict): readonly CheckView[] {
  if (verdict.method === "sender" || verdict.method === "spam") return [];
  const { method, result } = verdict;
  const why = "why" in verdict ? verdict.why : "";
  return [{ method, result, judged: judged(verdict), why, text: formatResult(verdict) }];
}

/** The domain, address or login that the verdict is about. */
function judged(verdict: Exclude<Verdict, SenderVerdict | SpamVerdict>): string {
  switch (verdict.method) {
    case "spf":
    case "dkim":
      return verdict.domain;
    case "sender-id":
      return verdict.pra ?? "";
    case "arc":
      return verdict.sealers.join(", ");
    case "dmarc":
      return verdict.fromDomain;
    case "auth":
      return verdict.login;
    case "connector":
      return verdict.connector;
  }
}
