/** SELECT, EXAMINE, CLOSE, UNSELECT, EXPUNGE (RFC 9051 §6.3.2, §6.4; RFC 7162; RFC 8474). */

import type { SelectCommand, SequenceSet } from "#formats/imap";
import { formatSet, settableFlags } from "#formats/imap";
import type { Entry, Mailbox } from "#model/mailbox";
import { type Answer, bad, no, ok, type Talk } from "./context.ts";
import { findMailbox, noSuchMailbox } from "./mailbox-access.ts";
import { leave } from "./manage.ts";
import { nameToWire } from "./names.ts";
import { tellFlags } from "./news.ts";
import { View } from "./view.ts";

export async function selectMailbox(talk: Talk, command: SelectCommand): Promise<Answer> {
  if (command.resync !== undefined && !talk.enabled.qresync) {
    return bad("QRESYNC is enabled first"); // RFC 7162 §3.2.5
  }
  if (talk.view !== undefined) {
    leave(talk);
    talk.out.line("* OK [CLOSED] Previous mailbox closed"); // §7.1, also before a failure
  }
  const { store, recents } = talk.shared;
  const found = await findMailbox(talk, command.mailbox);
  if (found === undefined) return noSuchMailbox;
  if (command.condStore) talk.enabled.condStore = true;
  // First listen, then read: what changes in between is told later, never lost.
  const view = new View(found, command.name === "EXAMINE");
  talk.view = view;
  talk.shared.follow(talk, found.id);
  const [entries, mailbox] = await Promise.all([
    store.mailboxes.entries(found.id),
    store.mailboxes.get(found.id),
  ]);
  if (mailbox === undefined) {
    leave(talk);
    return noSuchMailbox;
  }
  view.load(entries);
  const first = view.readOnly ? recents.firstOf(found.id) : recents.claim(found.id);
  for (let at = entries.length - 1; at >= 0; at -= 1) {
    const uid = entries[at]?.uid ?? 0;
    if (uid < first) break;
    view.recent.add(uid);
  }
  tellState(talk, view, mailbox, entries);
  if (command.resync !== undefined) await resync(talk, view, mailbox, command.resync);
  return ok(`${command.name} completed`, view.readOnly ? "READ-ONLY" : "READ-WRITE");
}

/** Keywords named to the client; any other may be made all the same. */
const maxKeywordsTold = 200;

function tellState(talk: Talk, view: View, mailbox: Mailbox, entries: readonly Entry[]): void {
  const { out, enabled } = talk;
  const keywords = new Set<string>();
  let firstUnseen = 0;
  for (const [index, entry] of entries.entries()) {
    let seen = false;
    for (const flag of entry.flags) {
      if (flag === "\\Seen") seen = true;
      else if (!flag.startsWith("\\") && keywords.size < maxKeywordsTold) keywords.add(flag);
    }
    if (!seen && firstUnseen === 0) firstUnseen = index + 1;
  }
  const flags = [...settableFlags, ...keywords].join(" ");
  const uidNext = Math.max(mailbox.uidNext, view.lastUid + 1);
  out.line(`* FLAGS (${flags})`);
  out.line(`* OK [PERMANENTFLAGS (${view.readOnly ? "" : `${flags} \\*`})] Flags that stay`);
  out.line(`* ${view.count} EXISTS`);
  if (!enabled.rev2) {
    out.line(`* ${view.recent.size} RECENT`);
    if (firstUnseen > 0) out.line(`* OK [UNSEEN ${firstUnseen}] First unseen`);
  }
  out.line(`* OK [UIDVALIDITY ${mailbox.uidValidity}] UIDs are valid`);
  out.line(`* OK [UIDNEXT ${uidNext}] Next UID`);
  out.line(`* OK [HIGHESTMODSEQ ${mailbox.highestModSeq}] Highest`);
  out.line(`* OK [MAILBOXID (${mailbox.id})] Id`);
  // §6.3.2 wants it in rev2; rev1 clients pass over it.
  if (enabled.rev2) out.line(`* LIST () "/" ${nameToWire(mailbox.name, talk.utf8Names)}`);
}

/** Tells what changed since the client was last here (RFC 7162 §3.2.5.1). */
async function resync(
  talk: Talk,
  view: View,
  mailbox: Mailbox,
  { uidValidity, modSeq, knownUids }: NonNullable<SelectCommand["resync"]>,
): Promise<void> {
  if (uidValidity !== mailbox.uidValidity) return;
  const { changed, expunged } = await talk.shared.store.mailboxes.changesSince(mailbox.id, modSeq);
  const known = (uid: number): boolean => knownUids === undefined || isIn(uid, knownUids);
  const gone = expunged.filter((uid) => view.seqOf(uid) === 0 && known(uid));
  if (gone.length > 0) {
    talk.out.line(`* VANISHED (EARLIER) ${formatSet(gone.sort((one, other) => one - other))}`);
  }
  for (const entry of changed) {
    if (known(entry.uid)) tellFlags(talk, view, entry);
    await talk.breathe();
  }
}

function isIn(uid: number, set: SequenceSet): boolean {
  if (set === "$") return false;
  return set.some(({ from, to }) => uid >= Math.min(from, to) && uid <= Math.max(from, to));
}

/** Removes what bears \Deleted without telling (§6.4.1). */
export async function close(talk: Talk): Promise<Answer> {
  const { view } = talk;
  if (view !== undefined && !view.readOnly) {
    const id = view.mailbox.id;
    leave(talk);
    await talk.shared.store.mailboxes.expunge(id);
  } else leave(talk);
  return ok("CLOSE completed");
}

export function unselect(talk: Talk): Answer {
  leave(talk);
  return ok("UNSELECT completed");
}

/** @param set UID EXPUNGE: only these (§6.4.9) */
export async function expunge(talk: Talk, set: SequenceSet | undefined): Promise<Answer> {
  const { view } = talk;
  if (view === undefined || view.readOnly) return no("Mailbox is read-only", "READ-ONLY");
  const { mailboxes } = talk.shared.store;
  const ranges = set === undefined ? undefined : view.uidRanges(view.resolve(set, true) ?? []);
  if (ranges?.length === 0) return ok("EXPUNGE completed");
  const gone = await mailboxes.expunge(view.mailbox.id, ranges);
  for (const uid of gone) view.noteExpunged(uid);
  if (!talk.enabled.qresync) return ok("EXPUNGE completed");
  const mailbox = await mailboxes.get(view.mailbox.id); // RFC 7162 §3.2.7
  return ok("EXPUNGE completed", mailbox && `HIGHESTMODSEQ ${mailbox.highestModSeq}`);
}
