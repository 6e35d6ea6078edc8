/** What every method of one request works with. */

import type { Clock } from "#base/clock";
import type { Random } from "#base/random";
import type { Directory, Person } from "#contracts/directory";
import type { Store } from "#contracts/store";
import type { Submit } from "#contracts/submission";
import type { AccountId } from "#model/mailbox";
import type { Args, Schema } from "./arguments.ts";
import type { Blobs } from "./blobs.ts";
import type { Failure } from "./failure.ts";
import type { Journals } from "./journal.ts";
import type { Invocation } from "./references.ts";
import type { Submissions } from "./submissions.ts";
import type { Threads } from "./threads.ts";

export interface JmapDeps {
  readonly store: Store;
  readonly directory: Directory;
  readonly submit: Submit;
  readonly clock: Clock;
  readonly random: Random;
  /** How an address may be shown to people: a domain that deceives the eye as A-labels. */
  readonly shownAddress: (address: string) => string;
}

/** What the door keeps between requests. */
export interface Memory {
  readonly blobs: Blobs;
  readonly journals: Journals;
  readonly threads: Threads;
  readonly submissions: Submissions;
}

export interface Context extends JmapDeps, Memory {
  readonly person: Person;
  readonly account: AccountId;
  readonly clientAddress: string;
  /** Creation ids of this request to the ids they became (RFC 8620 §3.3). */
  readonly created: Map<string, string>;
  /** Octets of message text that may still go out. */
  readonly text: { left: number };
}

export type Answer = Args | Failure | readonly Invocation[];

export interface Method {
  readonly capability: string;
  readonly schema: Schema;
  /** The call id is for answers that carry a second one (RFC 8621 §7.5). */
  readonly run: (context: Context, args: Args, callId: string) => Promise<Answer> | Answer;
}

/** The state of everything in the account is its mod-sequence. */
export async function stateOf(context: Context): Promise<string> {
  return String(await context.store.mailboxes.modSeq(context.account));
}

/** An id as it was given, or the one a creation of this request got. */
export function realId(context: Context, id: string): string {
  return id.startsWith("#") ? (context.created.get(id.slice(1)) ?? id) : id;
}

/** Runs over the items with at most `width` at once; the answers keep the order. */
export async function inParallel<Item, Value>(
  items: readonly Item[],
  width: number,
  work: (item: Item) => Promise<Value>,
): Promise<Value[]> {
  const answers: Value[] = [];
  let next = 0;
  const runner = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      answers[index] = await work(items[index] as Item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, runner));
  return answers;
}
