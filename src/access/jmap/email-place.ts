/** Where a message may be put (RFC 8621 §4.6). */

import type { MailboxId } from "#model/mailbox";
import type { Context } from "./context.ts";
import { invalid, type SetError } from "./failure.ts";

/** What stands against a message being in these mailboxes, or undefined. */
export async function mailboxFault(
  context: Context,
  wanted: ReadonlySet<MailboxId>,
): Promise<SetError | undefined> {
  if (wanted.size === 0) return invalid(["mailboxIds"], "A message is in one mailbox at least.");
  if (wanted.size > 50) return { type: "tooManyMailboxes" };
  const all = await context.store.mailboxes.list(context.account);
  const own = new Set(all.map((one) => one.id));
  if (wanted.isSubsetOf(own)) return undefined;
  return invalid(["mailboxIds"], "There is no such mailbox.");
}
