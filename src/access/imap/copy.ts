/** COPY and MOVE (RFC 9051 §6.4.7-8, RFC 4315 §3). */

import { type CopyCommand, formatSet } from "#formats/imap";
import { type Answer, bad, no, ok, type Talk } from "./context.ts";
import { findMailbox } from "./mailbox-access.ts";

export async function copyOrMove(talk: Talk, command: CopyCommand): Promise<Answer> {
  const { view, out } = talk;
  if (view === undefined) return bad("No mailbox is selected");
  const moves = command.name === "MOVE";
  if (moves && view.readOnly) return no("Mailbox is read-only", "READ-ONLY");
  const ranges = view.resolve(command.set, command.uid);
  if (ranges === undefined) return bad("No such message");
  const to = await findMailbox(talk, command.mailbox);
  if (to === undefined) return no("No such mailbox", "TRYCREATE");
  if (ranges.length === 0) return ok("Nothing to do");
  const from = view.mailbox.id;
  const { mailboxes } = talk.shared.store;
  const uids = view.uidRanges(ranges);
  const pairs = await mailboxes.copy(from, uids, to.id, moves ? "move" : "copy");
  if (pairs.length === 0) return no("Those messages are gone", "EXPUNGEISSUED");
  const sources = formatSet(pairs.map(({ uid }) => uid));
  const copies = formatSet(pairs.map(({ copy }) => copy.uid));
  const code = `COPYUID ${to.uidValidity} ${sources} ${copies}`;
  if (!moves) return ok("COPY completed", code);
  // §6.4.8: the client learns the new UIDs before it hears that the old ones are gone
  out.line(`* OK [${code}] Moved`);
  for (const { uid } of pairs) view.noteExpunged(uid);
  return ok("MOVE completed");
}
