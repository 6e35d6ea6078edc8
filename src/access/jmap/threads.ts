/** Which messages belong together: those whose conversation began with the same message. */

import { createHash } from "node:crypto";
import type { Store } from "#contracts/store";
import { messageIds } from "#formats/mime";
import type { Description } from "#model/description";
import type { AccountId, MessageId } from "#model/mailbox";
import { inParallel } from "./context.ts";

export interface Threads {
  /** Thread of one message, whoever asks. */
  threadOf(message: MessageId): Promise<string>;
  /** Thread id to its messages, all of the account; reads every description the first time. */
  index(account: AccountId): Promise<ReadonlyMap<string, readonly MessageId[]>>;
  /** What is remembered of a message that may be gone. */
  remembered(message: MessageId): string | undefined;
}

/** Some 100 octets each. */
const mostRemembered = 200_000;

/** A hash of the first reference, else of In-Reply-To, else of the message's own id. */
function threadIdOf(message: MessageId, description: Description): string {
  const { envelope, references } = description;
  const root =
    references[0] ?? messageIds(envelope.inReplyTo ?? "", 1)[0] ?? envelope.messageId ?? message;
  return `T${createHash("sha256").update(root).digest("hex").slice(0, 32)}`;
}

export function keepThreads(store: Store): Threads {
  const known = new Map<MessageId, string>();
  const threadOf = async (message: MessageId): Promise<string> => {
    const found = known.get(message);
    if (found !== undefined) return found;
    const thread = threadIdOf(message, await store.messages.describe(message));
    known.set(message, thread);
    if (known.size > mostRemembered) known.delete(known.keys().next().value ?? "");
    return thread;
  };
  return {
    threadOf,
    remembered: (message) => known.get(message),
    async index(account) {
      const received = new Map<MessageId, number>();
      for (const mailbox of await store.mailboxes.list(account)) {
        for (const entry of await store.mailboxes.entries(mailbox.id)) {
          received.set(entry.message, entry.receivedAtMs);
        }
      }
      const messages = [...received].sort((one, other) => one[1] - other[1]);
      const threads = new Map<string, MessageId[]>();
      const ids = await inParallel(messages, 16, ([message]) => threadOf(message));
      messages.forEach(([message], index) => {
        const thread = ids[index] ?? "";
        const list = threads.get(thread);
        if (list === undefined) threads.set(thread, [message]);
        else list.push(message);
      });
      return threads;
    },
  };
}
