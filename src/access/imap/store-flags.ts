/** STORE and UID STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3). */

import { formatSet, type StoreCommand } from "#formats/imap";
import { type Answer, bad, no, ok, type Talk } from "./context.ts";
import { flagsOf } from "./news.ts";
import type { SeqRanges, View } from "./view.ts";

export async function storeFlags(talk: Talk, command: StoreCommand): Promise<Answer> {
  const { view } = talk;
  if (view === undefined || view.readOnly) return no("Mailbox is read-only", "READ-ONLY");
  const ranges = view.resolve(command.set, command.uid);
  if (ranges === undefined) return bad("No such message");
  if (command.unchangedSince !== undefined) talk.enabled.condStore = true;
  const answer = await change(talk, view, ranges, command);
  return command.uid ? answer : { ...answer, holdsNumbers: true };
}

async function change(
  talk: Talk,
  view: View,
  ranges: SeqRanges,
  command: StoreCommand,
): Promise<Answer> {
  if (ranges.length === 0) return ok("STORE completed");
  const { mode, flags, unchangedSince } = command;
  const { entries, modified } = await talk.shared.store.mailboxes.setFlags(
    view.mailbox.id,
    view.uidRanges(ranges),
    { mode, flags, ...(unchangedSince !== undefined && { unchangedSince }) },
  );
  for (const entry of entries) {
    view.noteTold(entry);
    const seq = view.seqOf(entry.uid);
    // RFC 7162 §3.1.3: even a silent one tells the new mod-sequence
    if (seq === 0 || (command.silent && !talk.enabled.condStore)) continue;
    const uid = command.uid || talk.enabled.qresync ? ` UID ${entry.uid}` : "";
    const told = command.silent ? "" : ` FLAGS ${flagsOf(talk, view, entry)}`;
    const modSeq = talk.enabled.condStore ? ` MODSEQ (${entry.modSeq})` : "";
    talk.out.line(`* ${seq} FETCH (${`${uid}${told}${modSeq}`.slice(1)})`);
    await talk.breathe();
  }
  if (modified.length === 0) return ok("STORE completed");
  const named = command.uid ? modified : modified.map((uid) => view.seqOf(uid)).filter(Boolean);
  const text = "STORE left changed messages alone";
  return ok(text, `MODIFIED ${formatSet(named)}`);
}
