/** Email/set: drafts are made, keywords and mailboxes change, messages go (RFC 8621 §4.6). */

import type { UidRanges } from "#contracts/store";
import type { Entry, MailboxId } from "#model/mailbox";
import type { Args } from "./arguments.ts";
import { type Answer, type Context, realId, stateOf } from "./context.ts";
import { createEmail } from "./email-create.ts";
import { entriesByMessage, messageOf } from "./email-get.ts";
import { mailboxFault } from "./email-place.ts";
import { done, invalid, type Outcome, refused, type SetError } from "./failure.ts";
import { flagOf, isKeyword, keywordsOf } from "./keywords.ts";
import { patchedNames, runSet } from "./set.ts";

export function setEmails(context: Context, args: Args): Promise<Answer> {
  const setter = { create: createEmail, update: updateEmail, destroy: destroyEmail };
  // Many at once share the store's group commit.
  return runSet(context, args, setter, { stateOf, width: 32 });
}

async function entriesOfEmail(context: Context, id: string): Promise<readonly Entry[]> {
  const message = messageOf(id);
  if (message === undefined) return [];
  return (await entriesByMessage(context, [message])).get(message) ?? [];
}

async function updateEmail(
  context: Context,
  id: string,
  patch: Args,
): Promise<Outcome<Args | null>> {
  const entries = await entriesOfEmail(context, id);
  if (entries.length === 0) return refused({ type: "notFound" });
  const foreign = Object.keys(patch).filter((path) => !/^(keywords|mailboxIds)(\/|$)/.test(path));
  if (foreign.length > 0) return refused(invalid(foreign.slice(0, 10), "Cannot be changed."));
  const keywords = patchedNames(keywordsOf(entries), lowerKeywords(patch), "keywords");
  const boxes = new Set(entries.map((entry) => entry.mailbox));
  const given = patchedNames(boxes, patch, "mailboxIds");
  if (keywords === undefined || given === undefined) return refused({ type: "invalidPatch" });
  if (![...keywords].every(isKeyword)) return refused(invalid(["keywords"], "Not a keyword."));
  const wanted = new Set([...given].map((one) => realId(context, one)));
  const fault = await mailboxFault(context, wanted);
  if (fault !== undefined) return refused(fault);
  // Flags first: copies take them along.
  await setKeywords(context, entries, keywords);
  await moveEntries(context, entries, wanted);
  return done(null);
}

function lowerKeywords(patch: Args): Args {
  const lower = ([path, value]: [string, unknown]): [string, unknown] => {
    if (path.startsWith("keywords/")) return [path.toLowerCase(), value];
    if (path !== "keywords" || typeof value !== "object" || value === null) return [path, value];
    return [path, Object.fromEntries(Object.entries(value).map(([k, v]) => [k.toLowerCase(), v]))];
  };
  return Object.fromEntries(Object.entries(patch).map(lower));
}

async function setKeywords(
  context: Context,
  entries: readonly Entry[],
  wanted: ReadonlySet<string>,
): Promise<void> {
  const changes: Promise<unknown>[] = [];
  for (const entry of entries) {
    const before = keywordsOf([entry]);
    const range = rangeOf(entry);
    const added = [...wanted.difference(before)].map(flagOf);
    const removed = [...before.difference(wanted)].map(flagOf);
    const change = (mode: "add" | "remove", flags: readonly string[]): void => {
      if (flags.length === 0) return;
      changes.push(context.store.mailboxes.setFlags(entry.mailbox, range, { mode, flags }));
    };
    change("add", added);
    change("remove", removed);
  }
  await Promise.all(changes);
}

/** A move where it can be one, so that the message is at no moment in neither mailbox. */
async function moveEntries(
  context: Context,
  entries: readonly Entry[],
  wanted: ReadonlySet<MailboxId>,
): Promise<void> {
  const { mailboxes } = context.store;
  const missing = [...wanted].filter((id) => !entries.some((entry) => entry.mailbox === id));
  const surplus = entries.filter((entry) => !wanted.has(entry.mailbox));
  const from = entries[0];
  const mover = surplus.pop();
  const last = mover === undefined ? undefined : missing.pop();
  for (const id of missing) {
    if (from !== undefined) await mailboxes.copy(from.mailbox, rangeOf(from), id, "copy");
  }
  if (mover !== undefined && last !== undefined) {
    await mailboxes.copy(mover.mailbox, rangeOf(mover), last, "move");
  } else if (mover !== undefined) surplus.push(mover);
  for (const entry of surplus) await mailboxes.expunge(entry.mailbox, rangeOf(entry), "any");
}

async function destroyEmail(context: Context, id: string): Promise<SetError | undefined> {
  const entries = await entriesOfEmail(context, id);
  if (entries.length === 0) return { type: "notFound" };
  for (const entry of entries) {
    await context.store.mailboxes.expunge(entry.mailbox, rangeOf(entry), "any");
  }
  return undefined;
}

function rangeOf(entry: Entry): UidRanges {
  return [{ from: entry.uid, to: entry.uid }];
}
