/** Untagged responses for what others changed (RFC 9051 §7.4.1, §7.5; RFC 7162 §3.2.10). */

import { formatFlags, formatSet } from "#formats/imap";
import type { Entry } from "#model/mailbox";
import type { Talk } from "./context.ts";
import type { View } from "./view.ts";

/** @param mayExpunge whether sequence numbers may change now */
export async function tellNews(talk: Talk, mayExpunge: boolean): Promise<void> {
  const { view } = talk;
  if (view === undefined) return;
  if (view.stale) {
    view.stale = false;
    const mailbox = await talk.shared.store.mailboxes.get(view.mailbox.id);
    if (mailbox === undefined) {
      talk.bye("The selected mailbox was deleted");
      return;
    }
  }
  if (mayExpunge) tellExpunged(talk, view);
  tellAdded(talk, view);
  for (const entry of view.takeUpdated()) tellFlags(talk, view, entry);
}

function tellExpunged(talk: Talk, view: View): void {
  const gone = view.takeExpunged();
  if (gone.length === 0) return;
  if (talk.enabled.qresync) {
    talk.out.line(`* VANISHED ${formatSet(gone.map(({ uid }) => uid))}`);
    return;
  }
  for (const { seq } of gone) talk.out.line(`* ${seq} EXPUNGE`);
}

function tellAdded(talk: Talk, view: View): void {
  const added = view.takeAdded();
  if (added.length === 0) return;
  const { recents } = talk.shared;
  const first = view.readOnly ? recents.firstOf(view.mailbox.id) : recents.claim(view.mailbox.id);
  for (const uid of added) if (uid >= first) view.recent.add(uid);
  talk.out.line(`* ${view.count} EXISTS`);
  if (!talk.enabled.rev2) talk.out.line(`* ${view.recent.size} RECENT`);
}

/** Unasked FETCH with the new flags. */
export function tellFlags(talk: Talk, view: View, entry: Entry): void {
  const seq = view.seqOf(entry.uid);
  if (seq === 0) return;
  const modSeq = talk.enabled.condStore ? ` MODSEQ (${entry.modSeq})` : "";
  const flags = flagsOf(talk, view, entry);
  talk.out.line(`* ${seq} FETCH (UID ${entry.uid} FLAGS ${flags}${modSeq})`);
}

export function flagsOf(talk: Talk, view: View, entry: Entry): string {
  return formatFlags(entry.flags, !talk.enabled.rev2 && view.recent.has(entry.uid));
}
