/** CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 §6.3.4-8). */

import { type Answer, no, ok, type Talk } from "./context.ts";
import { answerToFault, badName, findMailbox, noSuchMailbox } from "./mailbox-access.ts";
import { nameFromWire, separator } from "./names.ts";

type Act = "CREATE" | "DELETE" | "SUBSCRIBE" | "UNSUBSCRIBE";

export async function changeMailbox(talk: Talk, act: Act, wire: string): Promise<Answer> {
  const { mailboxes } = talk.shared.store;
  if (act === "CREATE") return createMailbox(talk, wire);
  const mailbox = await findMailbox(talk, wire);
  if (mailbox === undefined) {
    // What is not there is not subscribed: the client has what it wants.
    return act === "UNSUBSCRIBE" ? ok("UNSUBSCRIBE completed") : noSuchMailbox;
  }
  if (act === "DELETE") {
    const removed = await mailboxes.remove(mailbox.id);
    if (!removed.ok) return answerToFault(removed.fault);
    if (talk.view?.mailbox.id === mailbox.id) leave(talk);
  } else await mailboxes.subscribe(mailbox.id, act === "SUBSCRIBE");
  return ok(`${act} completed`);
}

async function createMailbox(talk: Talk, wire: string): Promise<Answer> {
  // A separator at the end says that children will come (RFC 9051 §6.3.4).
  const name = nameFromWire(wire.endsWith(separator) ? wire.slice(0, -1) : wire, talk.utf8Names);
  if (name === undefined || name === "") return badName;
  const made = await talk.shared.store.mailboxes.create(talk.account(), name);
  if (!made.ok) return answerToFault(made.fault);
  return ok("CREATE completed", `MAILBOXID (${made.value.id})`); // RFC 8474 §4.1
}

export async function renameMailbox(talk: Talk, from: string, to: string): Promise<Answer> {
  const mailbox = await findMailbox(talk, from);
  if (mailbox === undefined) return noSuchMailbox;
  const name = nameFromWire(to, talk.utf8Names);
  if (name === undefined || name === "") return badName;
  if (name.startsWith(`${mailbox.name}${separator}`)) {
    return no("A mailbox cannot move below itself", "CANNOT");
  }
  const renamed = await talk.shared.store.mailboxes.rename(mailbox.id, name);
  return renamed.ok ? ok("RENAME completed") : answerToFault(renamed.fault);
}

/** Back to the authenticated state. */
export function leave(talk: Talk): void {
  talk.shared.follow(talk, undefined);
  talk.view = undefined;
}
