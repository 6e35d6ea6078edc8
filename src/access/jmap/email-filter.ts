/** Filters of Email/query (RFC 8621 §4.4.1), read once and then asked of each message. */

import { decodeWords } from "#formats/encoded-word";
import { fields, parseHeader, valueOf } from "#formats/message";
import { bodyPartsOf, bodyText, fileName, htmlToText } from "#formats/mime";
import type { MailAddress, MimePart } from "#model/description";
import type { Entry, MailboxId, MessageId } from "#model/mailbox";
import { type Args, isObject, isStringList } from "./arguments.ts";
import type { Context } from "./context.ts";
import { Failure, failed } from "./failure.ts";
import { keywordsOf } from "./keywords.ts";
import { maxFilterNodes } from "./limits.ts";

/** A message of the account with all its entries. */
export interface Candidate {
  readonly message: MessageId;
  readonly entries: readonly Entry[];
}

/** Cheap tests look at entries only, dear ones read the message; the dear are asked last. */
export interface Test {
  readonly dear: boolean;
  readonly holds: (candidate: Candidate) => boolean | Promise<boolean>;
}

export interface Filter extends Test {
  /** Mailboxes that every match is in, when the filter says so at its top. */
  readonly within: MailboxId | undefined;
  /** Asks for that mailbox and nothing else. */
  readonly plain: boolean;
}

export function readFilter(context: Context, given: unknown): Filter | Failure {
  const count = { left: maxFilterNodes };
  const test = given === null || given === undefined ? always : readNode(context, given, count);
  if (test instanceof Failure) return test;
  const within = mailboxWithin(given);
  const plain = within !== undefined && isObject(given) && Object.keys(given).length === 1;
  return { ...test, within, plain };
}

const always: Test = { dear: false, holds: () => true };

function mailboxWithin(given: unknown): MailboxId | undefined {
  if (!isObject(given)) return undefined;
  if (typeof given["inMailbox"] === "string") return given["inMailbox"];
  if (given["operator"] !== "AND" || !Array.isArray(given["conditions"])) return undefined;
  const found = given["conditions"].find(
    (one) => isObject(one) && typeof one["inMailbox"] === "string",
  ) as Args | undefined;
  return found?.["inMailbox"] as string | undefined;
}

/** The request's nesting is bounded before, so this may recurse. */
function readNode(context: Context, given: unknown, count: { left: number }): Test | Failure {
  count.left -= 1;
  if (count.left < 0) return failed("unsupportedFilter", "too many conditions");
  if (!isObject(given)) return failed("invalidArguments", "filter");
  if (!Object.hasOwn(given, "operator")) return readCondition(context, given);
  const { operator, conditions } = given;
  if (!Array.isArray(conditions)) return failed("invalidArguments", "filter");
  const tests: Test[] = [];
  for (const one of conditions) {
    const test = readNode(context, one, count);
    if (test instanceof Failure) return test;
    tests.push(test);
  }
  if (operator === "AND") return allOf(tests);
  if (operator === "OR") return negated(allOf(tests.map(negated)));
  if (operator === "NOT") return allOf(tests.map(negated)); // RFC 8620 §5.5: none of them
  return failed("unsupportedFilter", "operator");
}

function allOf(tests: readonly Test[]): Test {
  const cheap = tests.filter((test) => !test.dear);
  const dear = tests.filter((test) => test.dear);
  if (dear.length === 0) {
    return { dear: false, holds: (one) => cheap.every((test) => test.holds(one) === true) };
  }
  return {
    dear: true,
    async holds(one) {
      for (const test of cheap) if (test.holds(one) !== true) return false;
      for (const test of dear) if (!(await test.holds(one))) return false;
      return true;
    },
  };
}

function negated(test: Test): Test {
  if (!test.dear) return { dear: false, holds: (one) => test.holds(one) !== true };
  return { dear: true, holds: async (one) => !(await test.holds(one)) };
}

function readCondition(context: Context, given: Args): Test | Failure {
  const tests: Test[] = [];
  for (const [name, value] of Object.entries(given)) {
    const test =
      entryTest(name, value) ?? threadTest(context, name, value) ?? textTest(context, name, value);
    if (test === undefined) return failed("unsupportedFilter", name.slice(0, 64));
    tests.push(test);
  }
  return allOf(tests);
}

/** Conditions on what the mailboxes know. Undefined: not one, or its value is of the wrong type. */
function entryTest(name: string, value: unknown): Test | undefined {
  const cheap = (holds: (one: Candidate) => boolean): Test => ({ dear: false, holds });
  const received = (one: Candidate): number => one.entries[0]?.receivedAtMs ?? 0;
  const size = (one: Candidate): number => one.entries[0]?.sizeBytes ?? 0;
  if (typeof value === "string") {
    const key = value.toLowerCase();
    if (name === "inMailbox")
      return cheap((one) => one.entries.some((two) => two.mailbox === value));
    if (name === "hasKeyword") return cheap((one) => keywordsOf(one.entries).has(key));
    if (name === "notKeyword") return cheap((one) => !keywordsOf(one.entries).has(key));
    const moment = /^\d{4}-/.test(value) ? Date.parse(value) : Number.NaN;
    if (Number.isNaN(moment)) return undefined;
    if (name === "before") return cheap((one) => received(one) < moment);
    if (name === "after") return cheap((one) => received(one) >= moment);
  }
  if (typeof value === "number") {
    if (name === "minSize") return cheap((one) => size(one) >= value);
    if (name === "maxSize") return cheap((one) => size(one) < value);
  }
  if (name === "inMailboxOtherThan" && isStringList(value)) {
    const others = new Set(value);
    return cheap((one) => one.entries.some((two) => !others.has(two.mailbox)));
  }
  return undefined;
}

function threadTest(context: Context, name: string, value: unknown): Test | undefined {
  if (typeof value !== "string" || !/^(all|some|none)InThreadHaveKeyword$/.test(name))
    return undefined;
  const key = value.toLowerCase();
  let index: Promise<ReadonlyMap<string, readonly MessageId[]>> | undefined;
  return {
    dear: true,
    async holds({ message }) {
      index ??= context.threads.index(context.account);
      const mates = (await index).get(await context.threads.threadOf(message)) ?? [message];
      const entries = await context.store.mailboxes.entriesOf(context.account, mates);
      const has = Map.groupBy(entries, (entry) => entry.message)
        .values()
        .map((own) => keywordsOf(own).has(key))
        .toArray();
      if (name.startsWith("all")) return has.every(Boolean);
      return has.some(Boolean) === name.startsWith("some");
    },
  };
}

/** Conditions on the message itself. */
function textTest(context: Context, name: string, value: unknown): Test | undefined {
  const { messages } = context.store;
  if (name === "hasAttachment" && typeof value === "boolean") {
    const holds = async ({ message }: Candidate): Promise<boolean> =>
      (await messages.describe(message)).hasAttachment === value;
    return { dear: true, holds };
  }
  if (name === "header" && isStringList(value) && (value.length === 1 || value.length === 2)) {
    return { dear: true, holds: ({ message }) => hasHeader(context, message, value) };
  }
  if (typeof value !== "string") return undefined;
  const terms = searchTerms(value);
  const wanted = places[name];
  if (wanted === undefined) return undefined;
  return {
    dear: true,
    async holds({ message }) {
      const { envelope } = await messages.describe(message);
      const near = folded(
        wanted
          .map((place) => {
            if (place === "body") return "";
            if (place === "subject") return envelope.subject ?? "";
            return addressText(envelope[place as "from"]);
          })
          .join("\n"),
      );
      const missing = terms.filter((term) => !near.includes(term));
      if (missing.length === 0 || !wanted.includes("body")) return missing.length === 0;
      const body = folded(await searchText(context, message));
      return missing.every((term) => body.includes(term));
    },
  };
}

const places: Readonly<Record<string, readonly string[]>> = {
  text: ["from", "to", "cc", "bcc", "subject", "body"],
  from: ["from"],
  to: ["to"],
  cc: ["cc"],
  bcc: ["bcc"],
  subject: ["subject"],
  body: ["body"],
};

/** Words that must all be there; what stands in quotes is one (§4.4.1). Folded, at most 20. */
export function searchTerms(text: string): readonly string[] {
  const found = text.slice(0, 1000).match(/"[^"]*"|'[^']*'|[^\s"]+/g) ?? [];
  return found
    .map((one) => folded(/^(".*"|'.*')$/s.test(one) ? one.slice(1, -1) : one))
    .filter((one) => one !== "")
    .slice(0, 20);
}

/** Case and accents aside. */
export function folded(text: string): string {
  return text
    .normalize("NFKD")
    .replace(/\p{M}+/gu, "")
    .toLowerCase();
}

function addressText(list: readonly MailAddress[]): string {
  return list.map((one) => `${one.name ?? ""} ${one.email}`).join("\n");
}

/** Octets of each text part that a search looks at. */
const mostSearched = 1_000_000;

/** The readable text and the names of the attachments. */
export async function searchText(context: Context, message: MessageId): Promise<string> {
  const { messages } = context.store;
  const { root } = await messages.describe(message);
  const parts = bodyPartsOf(root);
  const texts = parts.attachments.map((part) => fileName(part) ?? "");
  const shown = new Set<MimePart>([...parts.textBody, ...parts.htmlBody]);
  for (const part of shown) {
    if (part.type !== "text") continue;
    const end = Math.min(part.bodyEnd, part.bodyStart + mostSearched);
    const text = bodyText(await messages.read(message, part.bodyStart, end), part);
    texts.push(part.subtype === "html" ? htmlToText(text) : text);
  }
  return texts.join("\n");
}

async function hasHeader(
  context: Context,
  message: MessageId,
  wanted: readonly string[],
): Promise<boolean> {
  const { root } = await context.store.messages.describe(message);
  const octets = await context.store.messages.read(message, root.headerStart, root.bodyStart);
  const header = parseHeader(octets);
  const found = fields(header, wanted[0] ?? "");
  const text = wanted[1];
  if (text === undefined) return found.length > 0;
  return found.some((one) => folded(decodeWords(valueOf(header, one))).includes(folded(text)));
}
