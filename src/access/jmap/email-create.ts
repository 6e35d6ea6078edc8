/** New messages: drafts from their properties, imports from a blob (RFC 8621 §4.6, §4.8). */

import { Buffer } from "node:buffer";
import type { StagedContent } from "#contracts/store";
import { parseHeader } from "#formats/message";
import { composeMessage, type Draft } from "#formats/mime";
import type { MailAddress } from "#model/description";
import type { Entry, MailboxId } from "#model/mailbox";
import { type Args, isObject, isStringList } from "./arguments.ts";
import { messageBlobId } from "./blobs.ts";
import { type Answer, type Context, realId, stateOf } from "./context.ts";
import { readBody } from "./email-body.ts";
import { mailboxFault } from "./email-place.ts";
import { done, failed, invalid, type Outcome, refused, type SetError } from "./failure.ts";
import { flagOf, isKeyword } from "./keywords.ts";
import { coreLimits } from "./limits.ts";
import { objectOrNull } from "./set.ts";

const addressProperties = ["from", "to", "cc", "bcc", "replyTo", "sender"] as const;
const idProperties = ["messageId", "inReplyTo", "references"] as const;
const others = new Set([
  "mailboxIds",
  "keywords",
  "receivedAt",
  "subject",
  "sentAt",
  "bodyValues",
  "textBody",
  "htmlBody",
  "attachments",
  "bodyStructure",
  ...addressProperties,
  ...idProperties,
]);

export async function createEmail(context: Context, given: Args): Promise<Outcome<Args>> {
  const draft = await readDraft(context, given);
  if (!draft.ok) return draft;
  const place = await readPlace(context, given);
  if (!place.ok) return place;
  return done(await keep(context, composeMessage(draft.value), place.value));
}

interface Place {
  readonly mailboxes: readonly MailboxId[];
  readonly flags: readonly string[];
  readonly receivedAtMs: number;
}

async function readPlace(context: Context, given: Args): Promise<Outcome<Place>> {
  const { mailboxIds, keywords, receivedAt } = given;
  const names = isObject(mailboxIds) ? Object.entries(mailboxIds) : [];
  if (names.some(([, value]) => value !== true))
    return refused(invalid(["mailboxIds"], "Not a set."));
  const wanted = new Set(names.map(([id]) => realId(context, id)));
  const fault = await mailboxFault(context, wanted);
  if (fault !== undefined) return refused(fault);
  const words = isObject(keywords) ? Object.entries(keywords) : [];
  if (words.length > 50 || words.some(([word, value]) => value !== true || !isKeyword(word))) {
    return refused(invalid(["keywords"], "Not a set of keywords."));
  }
  const receivedAtMs = receivedAt === undefined ? context.clock.nowMs() : dateOf(receivedAt);
  if (receivedAtMs === undefined) return refused(invalid(["receivedAt"], "Not a date."));
  return done({
    mailboxes: [...wanted],
    flags: words.map(([word]) => flagOf(word)),
    receivedAtMs,
  });
}

function dateOf(value: unknown): number | undefined {
  const ms =
    typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

async function keep(context: Context, octets: Buffer, place: Place): Promise<Args> {
  const [first, ...further] = place.mailboxes;
  const { mailboxes } = context.store;
  const entry: Entry = await mailboxes.append(
    context.account,
    first ?? "",
    await stage(context, octets),
    { flags: place.flags, receivedAtMs: place.receivedAtMs },
  );
  for (const mailbox of further) {
    await mailboxes.copy(entry.mailbox, [{ from: entry.uid, to: entry.uid }], mailbox, "copy");
  }
  return {
    id: `M${entry.message}`,
    blobId: messageBlobId(entry.message),
    threadId: await context.threads.threadOf(entry.message),
    size: entry.sizeBytes,
  };
}

async function stage(context: Context, octets: Uint8Array): Promise<StagedContent> {
  const writer = context.store.stage();
  try {
    await writer.write(octets);
    return await writer.finish();
  } catch (error) {
    writer.abort();
    throw error;
  }
}

async function readDraft(context: Context, given: Args): Promise<Outcome<Draft>> {
  const further: [string, string][] = [];
  for (const [name, value] of Object.entries(given)) {
    if (others.has(name)) continue;
    const header = /^header:([\x21-\x39\x3b-\x7e]{1,76})(:as(Raw|Text))?$/.exec(name);
    const taken =
      /^(content-.*|mime-version|from|to|cc|bcc|sender|reply-to|subject|date|message-id)$/i;
    if (header === null || typeof value !== "string" || taken.test(header[1] ?? "")) {
      return refused(invalid([name.slice(0, 100)], "Cannot be set."));
    }
    further.push([header[1] ?? "", value.trim().slice(0, 10_000)]);
  }
  const addresses: Partial<Record<(typeof addressProperties)[number], readonly MailAddress[]>> = {};
  for (const name of addressProperties) {
    const list = readAddresses(given[name]);
    if (list === undefined) return refused(invalid([name], "Not a list of addresses."));
    addresses[name] = list;
  }
  const ids: Partial<Record<(typeof idProperties)[number], readonly string[]>> = {};
  for (const name of idProperties) {
    const value = given[name] ?? [];
    if (!isStringList(value) || value.length > 200)
      return refused(invalid([name], "Not a list of ids."));
    ids[name] = value.map((id) => `<${id}>`);
  }
  const subject = given["subject"] ?? "";
  if (typeof subject !== "string") return refused(invalid(["subject"], "Not a string."));
  const sentAt = given["sentAt"] ?? null;
  const dateMs = sentAt === null ? context.clock.nowMs() : dateOf(sentAt);
  if (dateMs === undefined) return refused(invalid(["sentAt"], "Not a date."));
  const body = await readBody(context, given);
  if (!body.ok) return body;
  const { sender } = addresses;
  return done({
    from: addresses.from ?? [],
    ...(sender?.[0] && { sender: sender[0] }),
    replyTo: addresses.replyTo ?? [],
    to: addresses.to ?? [],
    cc: addresses.cc ?? [],
    bcc: addresses.bcc ?? [],
    subject: subject.slice(0, 10_000),
    text: "",
    structure: body.value,
    messageId: ids.messageId?.[0] ?? newMessageId(context),
    inReplyTo: ids.inReplyTo ?? [],
    references: ids.references ?? [],
    dateMs,
    further,
  });
}

function newMessageId(context: Context): string {
  const { address } = context.person;
  const domain = address.slice(address.lastIndexOf("@") + 1);
  return `<${context.random.bytes(16).toString("hex")}@${domain}>`;
}

/** Undefined when it is not an EmailAddress list; null and absence are an empty one. */
function readAddresses(value: unknown): readonly MailAddress[] | undefined {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.length > 1000) return undefined;
  const list: MailAddress[] = [];
  for (const one of value) {
    if (!isObject(one) || typeof one["email"] !== "string" || one["email"].length > 320)
      return undefined;
    const name = one["name"] ?? null;
    if (name !== null && typeof name !== "string") return undefined;
    list.push({ name: name === null ? null : name.slice(0, 1000), email: one["email"] });
  }
  return list;
}

export async function importEmails(context: Context, args: Args): Promise<Answer> {
  const emails = Object.entries((args["emails"] ?? {}) as Record<string, Args>);
  if (emails.length > coreLimits.maxObjectsInSet) return failed("requestTooLarge");
  const oldState = await stateOf(context);
  const { ifInState } = args;
  if (typeof ifInState === "string" && ifInState !== oldState) return failed("stateMismatch");
  const created: [string, Args][] = [];
  const notCreated: [string, SetError][] = [];
  for (const [creationId, given] of emails) {
    const outcome = await importEmail(context, given);
    if (outcome.ok) {
      created.push([creationId, outcome.value]);
      context.created.set(creationId, String(outcome.value["id"]));
    } else notCreated.push([creationId, outcome.error]);
  }
  return {
    accountId: context.account,
    oldState,
    newState: await stateOf(context),
    created: objectOrNull(created),
    notCreated: objectOrNull(notCreated),
  };
}

async function importEmail(context: Context, given: Args): Promise<Outcome<Args>> {
  const { blobId } = given;
  const blob =
    typeof blobId === "string" ? await context.blobs.get(context.account, blobId) : undefined;
  if (blob === undefined) return refused({ type: "blobNotFound", notFound: [String(blobId)] });
  const place = await readPlace(context, given);
  if (!place.ok) return place;
  const header = parseHeader(blob.octets.subarray(0, 65_536));
  if (!header.fields.some((one) => one.key !== "")) return refused({ type: "invalidEmail" });
  return done(await keep(context, blob.octets, place.value));
}
