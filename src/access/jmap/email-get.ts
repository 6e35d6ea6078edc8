/** Email/get, Email/parse and Email/changes (RFC 8621 §4.2, §4.3, §4.9). */

import { describeMessage } from "#formats/mime";
import type { Entry, MessageId } from "#model/mailbox";
import type { Args } from "./arguments.ts";
import type { Source } from "./body-view.ts";
import { readChanges } from "./changes.ts";
import { type Answer, type Context, inParallel, realId, stateOf } from "./context.ts";
import {
  type EmailWishes,
  parsedView,
  readWishes,
  senderView,
  storedProperties,
  storedSource,
  storedView,
} from "./email-view.ts";
import { Failure, failed } from "./failure.ts";
import { sumUp } from "./journal.ts";
import { coreLimits } from "./limits.ts";

/** The message an Email id names, or undefined when it has not the shape of one. */
export function messageOf(emailId: string): MessageId | undefined {
  return /^M[0-9a-f]{32}$/.test(emailId) ? emailId.slice(1) : undefined;
}

/** The account's entries of each message; messages it does not have are absent. */
export async function entriesByMessage(
  context: Context,
  messages: readonly MessageId[],
): Promise<ReadonlyMap<MessageId, readonly Entry[]>> {
  if (messages.length === 0) return new Map();
  const entries = await context.store.mailboxes.entriesOf(context.account, messages);
  return Map.groupBy(entries, (entry) => entry.message);
}

export async function getEmails(context: Context, args: Args): Promise<Answer> {
  const wishes = readWishes(args);
  if (wishes instanceof Failure) return wishes;
  const state = await stateOf(context); // before the data, which then is at least as new
  const ids = (args["ids"] as readonly string[] | null | undefined) ?? (await allIds(context));
  if (ids.length > coreLimits.maxObjectsInGet) return failed("requestTooLarge");
  const asked = [...new Set(ids)].map((id) => ({ id, message: messageOf(realId(context, id)) }));
  const messages = asked.flatMap((one) => one.message ?? []);
  const entries = await entriesByMessage(context, messages);
  const views = await inParallel(asked, 8, async ({ message }) => {
    const own = message === undefined ? undefined : entries.get(message);
    return message === undefined || own === undefined
      ? undefined
      : await emailView(context, message, own, wishes);
  });
  return {
    accountId: context.account,
    state,
    list: views.filter((view) => view !== undefined),
    notFound: asked.filter((_, index) => views[index] === undefined).map((one) => one.id),
  };
}

async function allIds(context: Context): Promise<readonly string[]> {
  const ids = new Set<string>();
  for (const mailbox of await context.store.mailboxes.list(context.account)) {
    if (mailbox.messages > coreLimits.maxObjectsInGet) return Array.from({ length: 501 }, () => ""); // too many
    for (const entry of await context.store.mailboxes.entries(mailbox.id)) {
      ids.add(`M${entry.message}`);
    }
  }
  return [...ids];
}

const storedOnly = new Set<string>(storedProperties);

async function emailView(
  context: Context,
  message: MessageId,
  entries: readonly Entry[],
  wishes: EmailWishes,
): Promise<Record<string, unknown>> {
  const view = await storedView(context, message, entries, wishes);
  if (wishes.properties.isSubsetOf(storedOnly)) return view;
  const description = await context.store.messages.describe(message);
  return {
    ...view,
    ...(await parsedView(context, storedSource(context, message), description, wishes)),
    ...(await senderView(context, message, wishes.properties)),
  };
}

/** Reads blobs as messages without keeping them. */
export async function parseEmails(context: Context, args: Args): Promise<Answer> {
  const wishes = readWishes(args);
  if (wishes instanceof Failure) return wishes;
  const blobIds = args["blobIds"] as readonly string[] | null | undefined;
  if (blobIds === null || blobIds === undefined) return failed("invalidArguments", "blobIds");
  if (blobIds.length > 50) return failed("requestTooLarge");
  const found: [string, unknown][] = [];
  const notFound: string[] = [];
  for (const blobId of new Set(blobIds)) {
    const blob = await context.blobs.get(context.account, blobId);
    if (blob === undefined) {
      notFound.push(blobId);
      continue;
    }
    const { octets } = blob;
    const description = describeMessage(octets);
    const source: Source = {
      read: async (start, end) => octets.subarray(start, end),
      // Parts of a message inside a message can be fetched; those of an upload have no name yet.
      blobIdOf: (part) =>
        blobId.startsWith("M")
          ? `P${blobId.slice(1)}_${part.section.replaceAll(".", "_")}`
          : blobId,
    };
    const view = await parsedView(context, source, description, wishes);
    found.push([blobId, { id: null, blobId, size: octets.length, ...view }]);
  }
  return {
    accountId: context.account,
    parsed: found.length > 0 ? Object.fromEntries(found) : null,
    notParsable: null,
    notFound: notFound.length > 0 ? notFound : null,
  };
}

export async function emailChanges(context: Context, args: Args): Promise<Answer> {
  const asked = await readChanges(context, args);
  if (asked instanceof Failure) return asked;
  const { oldState, most, events } = asked;
  /** How many entries of a message came since, less those that went. */
  const gained = new Map<MessageId, number>();
  for (const { message, kind } of events) {
    if (message === undefined) continue;
    const step = kind === "added" ? 1 : kind === "expunged" ? -1 : 0;
    gained.set(message, (gained.get(message) ?? 0) + step);
  }
  const now = await entriesByMessage(context, [...gained.keys()]);
  const changes = sumUp(events, {
    oldState,
    most,
    idOf: (event) => (event.message === undefined ? undefined : `M${event.message}`),
    fate: (id) => {
      const entries = now.get(id.slice(1))?.length ?? 0;
      const before = entries - (gained.get(id.slice(1)) ?? 0);
      if (entries === 0) return before > 0 ? "destroyed" : "nothing";
      return before > 0 ? "updated" : "created";
    },
  });
  return { accountId: context.account, oldState, ...changes };
}
