/** Thread/get and Thread/changes (RFC 8621 §3). */

import type { Args } from "./arguments.ts";
import { readChanges } from "./changes.ts";
import { type Answer, type Context, stateOf } from "./context.ts";
import { entriesByMessage } from "./email-get.ts";
import { Failure, failed } from "./failure.ts";
import { sumUp } from "./journal.ts";
import { coreLimits } from "./limits.ts";

export async function getThreads(context: Context, args: Args): Promise<Answer> {
  const state = await stateOf(context);
  const ids = args["ids"] as readonly string[] | null | undefined;
  const threads = await context.threads.index(context.account);
  const wanted = [...new Set(ids ?? threads.keys())];
  if (wanted.length > coreLimits.maxObjectsInGet) return failed("requestTooLarge");
  const list = wanted.flatMap((id) => {
    const messages = threads.get(id);
    return messages === undefined ? [] : [{ id, emailIds: messages.map((one) => `M${one}`) }];
  });
  const notFound = wanted.filter((id) => !threads.has(id));
  return { accountId: context.account, state, list, notFound };
}

export async function threadChanges(context: Context, args: Args): Promise<Answer> {
  const asked = await readChanges(context, args);
  if (asked instanceof Failure) return asked;
  const { oldState, most, events } = asked;
  const threadOf = new Map<string, string>();
  const gained = new Map<string, number>();
  const touched = new Set(
    events.flatMap((one) => (one.kind === "updated" ? [] : (one.message ?? []))),
  );
  const now = await entriesByMessage(context, [...touched]);
  for (const message of touched) {
    const entries = now.get(message)?.length ?? 0;
    const came = events
      .filter((one) => one.message === message)
      .reduce((sum, { kind }) => sum + Number(kind === "added") - Number(kind === "expunged"), 0);
    const before = entries - came;
    if (entries === 0 && before <= 0) continue; // it came and went meanwhile
    const known =
      entries > 0 ? await context.threads.threadOf(message) : context.threads.remembered(message);
    if (known === undefined) return failed("cannotCalculateChanges"); // it is gone, and so its thread
    threadOf.set(message, known);
    gained.set(known, (gained.get(known) ?? 0) + Number(entries > 0) - Number(before > 0));
  }
  const threads = await context.threads.index(context.account);
  const changes = sumUp(events, {
    oldState,
    most,
    idOf: (one) =>
      one.kind === "updated" || one.message === undefined ? undefined : threadOf.get(one.message),
    fate: (id) => {
      const size = threads.get(id)?.length ?? 0;
      const before = size - (gained.get(id) ?? 0);
      if (size === 0) return before > 0 ? "destroyed" : "nothing";
      return before > 0 ? "updated" : "created";
    },
  });
  return { accountId: context.account, oldState, ...changes };
}
