/** SEARCH and UID SEARCH (RFC 9051 §6.4.4, §7.3.4; RFC 4731; RFC 7162 §3.1.5). */

import { formatSet, type SearchCommand, type SearchKey, type SearchReturn } from "#formats/imap";
import { type Answer, bad, no, ok, type Talk } from "./context.ts";
import { Matcher } from "./match.ts";
import type { SeqRanges, View } from "./view.ts";

interface Found {
  readonly uid: number;
  readonly seq: number;
  readonly modSeq: number;
}

export async function search(talk: Talk, command: SearchCommand): Promise<Answer> {
  const { view } = talk;
  if (view === undefined) return bad("No mailbox is selected");
  const hold = command.uid ? {} : ({ holdsNumbers: true } as const);
  const { charset } = command;
  if (charset !== undefined && charset !== "UTF-8" && charset !== "US-ASCII") {
    return { ...no("Unknown charset", "BADCHARSET (UTF-8 US-ASCII)"), ...hold };
  }
  if (!setsAreValid(view, command.key)) return { ...bad("No such message"), ...hold };
  const usesModSeq = mentionsModSeq(command.key);
  if (usesModSeq) talk.enabled.condStore = true;
  const found = await findAll(talk, view, command.key);
  if (command.give?.includes("SAVE")) view.saved = savedOf(found, command.give);
  const highest = found.reduce((most, { modSeq }) => Math.max(most, modSeq), 0);
  writeResult(talk, command, found, usesModSeq ? highest : undefined);
  return { ...ok("SEARCH completed"), ...hold };
}

/** The message set that stands before all else narrows what is looked at; the rest is asked of each. */
async function findAll(talk: Talk, view: View, key: SearchKey): Promise<Found[]> {
  const matcher = new Matcher(talk, view, key);
  const found: Found[] = [];
  for (const uids of view.slices(rangesOf(view, key))) {
    const entries = await talk.shared.store.mailboxes.entries(view.mailbox.id, uids);
    for (const entry of entries) {
      const seq = view.seqOf(entry.uid);
      if (seq === 0) continue;
      const answer = matcher.matches(entry, seq);
      const matches = typeof answer === "boolean" ? answer : await answer;
      if (matches) found.push({ uid: entry.uid, seq, modSeq: entry.modSeq });
      if (typeof answer !== "boolean") await talk.breathe();
    }
    await talk.breathe();
  }
  return found;
}

function rangesOf(view: View, key: SearchKey): SeqRanges {
  const first = key.key === "and" ? key.of.find((inner) => inner.key === "set") : key;
  const whole = view.count === 0 ? [] : [{ from: 1, to: view.count }];
  if (first?.key !== "set") return whole;
  return view.resolve(first.set, first.uid) ?? whole;
}

/** RFC 9051 §6.4.4.1: with MIN or MAX alone, only these are kept. */
function savedOf(found: readonly Found[], give: readonly SearchReturn[]): readonly number[] {
  const uids = found.map(({ uid }) => uid);
  if (give.includes("ALL") || give.includes("COUNT")) return uids;
  const ends = [
    ...(give.includes("MIN") ? uids.slice(0, 1) : []),
    ...(give.includes("MAX") ? uids.slice(-1) : []),
  ];
  return give.includes("MIN") || give.includes("MAX") ? [...new Set(ends)] : uids;
}

function writeResult(
  talk: Talk,
  { give, uid }: SearchCommand,
  found: readonly Found[],
  highest: number | undefined,
): void {
  const numbers = found.map((one) => (uid ? one.uid : one.seq));
  const hasModSeq = highest !== undefined && numbers.length > 0;
  if (give === undefined && !talk.enabled.rev2) {
    const modSeq = hasModSeq ? ` (MODSEQ ${highest})` : "";
    const list = numbers.length === 0 ? "" : ` ${numbers.join(" ")}`;
    talk.out.line(`* SEARCH${list}${modSeq}`);
    return;
  }
  const wanted = give === undefined || give.length === 0 ? ["ALL"] : give;
  if (wanted.length === 1 && wanted[0] === "SAVE") return; // §6.4.4.1: nothing is to be sent
  let text = uid ? " UID" : "";
  if (numbers.length > 0) {
    if (wanted.includes("MIN")) text += ` MIN ${numbers[0]}`;
    if (wanted.includes("MAX")) text += ` MAX ${numbers.at(-1)}`;
    if (wanted.includes("ALL")) text += ` ALL ${formatSet(numbers)}`;
  }
  if (wanted.includes("COUNT")) text += ` COUNT ${numbers.length}`;
  if (hasModSeq) text += ` MODSEQ ${highest}`;
  talk.out.line(`* ESEARCH (TAG ${talk.tagText})${text}`);
}

function setsAreValid(view: View, key: SearchKey): boolean {
  switch (key.key) {
    case "set":
      return view.resolve(key.set, key.uid) !== undefined;
    case "not":
      return setsAreValid(view, key.of);
    case "and":
    case "or":
      return key.of.every((inner) => setsAreValid(view, inner));
    default:
      return true;
  }
}

function mentionsModSeq(key: SearchKey): boolean {
  if (key.key === "not") return mentionsModSeq(key.of);
  if (key.key === "and" || key.key === "or") return key.of.some(mentionsModSeq);
  return key.key === "modseq";
}
