/** FETCH and UID FETCH, message by message (RFC 9051 §6.4.5, RFC 7162 §3.1.4). */

import { formatInternalDate } from "#formats/date";
import { type FetchCommand, type FetchItem, formatSet, type SimpleItem } from "#formats/imap";
import type { Description } from "#model/description";
import type { Entry } from "#model/mailbox";
import { type Answer, bad, no, ok, type Talk } from "./context.ts";
import { needsDescription, writeSection } from "./fetch-section.ts";
import { flagsOf } from "./news.ts";
import { type DescribedItem, isDescribed } from "./rendered.ts";
import type { SeqRanges, View } from "./view.ts";

interface Plan {
  readonly items: readonly FetchItem[];
  readonly describes: boolean;
  readonly marksSeen: boolean;
  readonly tellsFlags: boolean;
  readonly changedSince: number;
}

/** One message and what is told of it. */
interface Telling {
  readonly entry: Entry;
  readonly description: Description | undefined;
  readonly items: readonly FetchItem[];
}

const flagsItem: FetchItem = { kind: "simple", name: "FLAGS" };
const undescribed: Promise<undefined> = Promise.resolve(undefined);

export async function fetchMessages(talk: Talk, command: FetchCommand): Promise<Answer> {
  const { view } = talk;
  if (view === undefined) return bad("No mailbox is selected");
  const ranges = view.resolve(command.set, command.uid);
  if (ranges === undefined) return { ...bad("No such message"), holdsNumbers: true };
  const plan = planOf(talk, view, command);
  if (command.vanished) {
    if (!talk.enabled.qresync) return bad("QRESYNC is enabled first"); // RFC 7162 §3.2.6
    await tellVanished(talk, view, command, plan.changedSince);
  }
  let found = 0;
  for (const uids of view.slices(ranges)) {
    const entries = await talk.shared.store.mailboxes.entries(view.mailbox.id, uids);
    found += await fetchSlice(talk, view, entries, plan);
  }
  if (command.uid) return ok("FETCH completed");
  if (found < countOf(ranges) && plan.changedSince === 0) {
    // RFC 2180 §4.1.3: others expunged them, and this is no moment to say which
    return { ...no("Some messages are gone", "EXPUNGEISSUED"), holdsNumbers: true };
  }
  return { ...ok("FETCH completed"), holdsNumbers: true };
}

function planOf(talk: Talk, view: View, command: FetchCommand): Plan {
  const items: FetchItem[] = [...command.items];
  const has = (name: string): boolean =>
    items.some((item) => item.kind === "simple" && item.name === name);
  if (command.uid && !has("UID")) items.unshift({ kind: "simple", name: "UID" });
  if (command.changedSince !== undefined || has("MODSEQ")) {
    talk.enabled.condStore = true;
    if (!has("MODSEQ")) items.push({ kind: "simple", name: "MODSEQ" });
  }
  const marksSeen =
    !view.readOnly && items.some((item) => item.kind !== "simple" && item.marksSeen);
  const describes = items.some(needsDescription);
  const changedSince = command.changedSince ?? 0;
  return { items, describes, marksSeen, tellsFlags: has("FLAGS"), changedSince };
}

function countOf(ranges: SeqRanges): number {
  return ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0);
}

async function fetchSlice(
  talk: Talk,
  view: View,
  entries: readonly Entry[],
  plan: Plan,
): Promise<number> {
  const wanted = entries.filter(({ modSeq }) => modSeq > plan.changedSince);
  const marked = plan.marksSeen ? await markSeen(talk, view, wanted) : undefined;
  const descriptions = plan.describes ? await describeAll(talk, wanted, plan) : [];
  for (const [index, before] of wanted.entries()) {
    const after = marked?.get(before.uid);
    // Who caused a flag to change is told of it with the rest.
    const items = after === undefined || plan.tellsFlags ? plan.items : [...plan.items, flagsItem];
    const description = descriptions[index];
    await writeMessage(talk, view, { entry: after ?? before, description, items });
    const waiting = talk.breathe();
    if (waiting !== undefined) await waiting;
  }
  return entries.length;
}

/** Of each message, unless all that is asked of it was rendered before; many at once. */
async function describeAll(
  talk: Talk,
  entries: readonly Entry[],
  { items }: Plan,
): Promise<readonly (Description | undefined)[]> {
  const { store, rendered } = talk.shared;
  const isKept = ({ message }: Entry): boolean =>
    items.every((item) => {
      if (item.kind !== "simple") return !needsDescription(item);
      return !isDescribed(item.name) || rendered.get(message, item.name) !== undefined;
    });
  return Promise.all(
    entries.map((entry) => (isKept(entry) ? undescribed : store.messages.describe(entry.message))),
  );
}

/** Sets \Seen where it is missing, in one commit. */
async function markSeen(
  talk: Talk,
  view: View,
  entries: readonly Entry[],
): Promise<ReadonlyMap<number, Entry>> {
  const unseen = entries.filter(({ flags }) => !flags.includes("\\Seen"));
  if (unseen.length === 0) return new Map();
  const ranges = unseen.map(({ uid }) => ({ from: uid, to: uid }));
  const change = { mode: "add", flags: ["\\Seen"] } as const;
  const done = await talk.shared.store.mailboxes.setFlags(view.mailbox.id, ranges, change);
  return new Map(done.entries.map((entry) => [entry.uid, entry]));
}

async function writeMessage(
  talk: Talk,
  view: View,
  { entry, description, items }: Telling,
): Promise<void> {
  const { out } = talk;
  out.text(`* ${view.seqOf(entry.uid)} FETCH (`);
  let gap = "";
  for (const item of items) {
    out.text(gap);
    gap = " ";
    if (item.kind !== "simple") await writeSection(talk, entry, description, item);
    else if (!isDescribed(item.name)) out.text(simpleItem(talk, view, entry, item.name));
    else {
      const kept = talk.shared.rendered.get(entry.message, item.name);
      out.text(kept ?? (await describedItem(talk, entry, description, item.name)));
    }
  }
  out.text(")\r\n");
}

function simpleItem(
  talk: Talk,
  view: View,
  entry: Entry,
  name: Exclude<SimpleItem, DescribedItem>,
): string {
  switch (name) {
    case "UID":
      return `UID ${entry.uid}`;
    case "FLAGS":
      view.noteTold(entry);
      return `FLAGS ${flagsOf(talk, view, entry)}`;
    case "INTERNALDATE":
      return `INTERNALDATE "${formatInternalDate(entry.receivedAtMs)}"`;
    case "RFC822.SIZE":
      return `RFC822.SIZE ${entry.sizeBytes}`;
    case "MODSEQ":
      return `MODSEQ (${entry.modSeq})`;
    case "EMAILID":
      return `EMAILID (${entry.message})`;
    case "THREADID":
      return "THREADID NIL"; // RFC 8474 §5.2: threads are not known here
  }
}

async function describedItem(
  talk: Talk,
  { message }: Entry,
  description: Description | undefined,
  name: DescribedItem,
): Promise<string> {
  const { rendered, store } = talk.shared;
  return rendered.render(message, name, description ?? (await store.messages.describe(message)));
}

/** UIDs of the set that were expunged since then (RFC 7162 §3.2.6). */
async function tellVanished(
  talk: Talk,
  view: View,
  { set }: FetchCommand,
  since: number,
): Promise<void> {
  if (set === "$") return;
  const { expunged } = await talk.shared.store.mailboxes.changesSince(view.mailbox.id, since);
  const gone = expunged
    .filter((uid) => view.seqOf(uid) === 0)
    .filter((uid) =>
      set.some(({ from, to }) => uid >= Math.min(from, to) && uid <= Math.max(from, to)),
    )
    .sort((one, other) => one - other);
  if (gone.length > 0) talk.out.line(`* VANISHED (EARLIER) ${formatSet(gone)}`);
}
