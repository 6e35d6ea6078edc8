/** From a name on the wire to a mailbox of the session's own account; there is no other way to one. */

import type { MailboxFault } from "#contracts/store";
import type { Mailbox } from "#model/mailbox";
import { type Answer, no, type Talk } from "./context.ts";
import { nameFromWire } from "./names.ts";

export const noSuchMailbox: Answer = no("No such mailbox", "NONEXISTENT");
export const badName: Answer = no("Not a mailbox name", "CANNOT");

export async function findMailbox(talk: Talk, wire: string): Promise<Mailbox | undefined> {
  const name = nameFromWire(wire, talk.utf8Names);
  if (name === undefined) return undefined;
  const all = await talk.shared.store.mailboxes.list(talk.account());
  return all.find((mailbox) => mailbox.name === name);
}

export function answerToFault(fault: MailboxFault): Answer {
  switch (fault) {
    case "no-such-mailbox":
      return noSuchMailbox;
    case "exists":
      return no("Mailbox exists already", "ALREADYEXISTS");
    case "bad-name":
      return badName;
    case "is-inbox":
      return no("INBOX stays", "CANNOT");
    case "has-role":
      return no("That mailbox has a role and stays", "CANNOT");
  }
}
