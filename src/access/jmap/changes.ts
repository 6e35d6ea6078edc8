/** What every /changes method begins with: the state it starts from and what came since (RFC 8620 §5.2). */

import type { Args } from "./arguments.ts";
import { type Context, stateOf } from "./context.ts";
import { type Failure, failed } from "./failure.ts";
import type { JournalEvent } from "./journal.ts";
import { coreLimits } from "./limits.ts";

export interface ChangesAsked {
  readonly oldState: string;
  /** As many ids as the client takes at once. */
  readonly most: number;
  /** All events after the state, oldest first. */
  readonly events: readonly JournalEvent[];
}

export async function readChanges(context: Context, args: Args): Promise<ChangesAsked | Failure> {
  const oldState = args["sinceState"];
  const most = (args["maxChanges"] as number | null | undefined) ?? coreLimits.maxObjectsInGet;
  if (typeof oldState !== "string" || most < 1) return failed("invalidArguments");
  const journal = await context.journals.of(context.account);
  const events = journal.since(oldState);
  if (events === undefined || Number(oldState) > Number(await stateOf(context))) {
    return failed("cannotCalculateChanges");
  }
  return { oldState, most, events };
}
