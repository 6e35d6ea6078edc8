/** What every /set method does the same way (RFC 8620 §5.3). */

import { type Args, isObject } from "./arguments.ts";
import { type Answer, type Context, inParallel, realId, stateOf } from "./context.ts";
import { failed, type Outcome, type SetError } from "./failure.ts";
import { coreLimits } from "./limits.ts";

export interface Setter {
  /** Answers the properties that the server decided, the id among them. */
  create(context: Context, given: Args): Promise<Outcome<Args>>;
  /** Answers what changed besides what was asked, or null. */
  update(context: Context, id: string, patch: Args): Promise<Outcome<Args | null>>;
  destroy(context: Context, id: string): Promise<SetError | undefined>;
}

export interface SetSettings {
  readonly stateOf: (context: Context) => Promise<string> | string;
  /** Updates and destructions that may run at once; creations keep their order. */
  readonly width: number;
}

const usual: SetSettings = { stateOf, width: 1 };

export async function runSet(
  context: Context,
  args: Args,
  setter: Setter,
  settings: SetSettings = usual,
): Promise<Answer> {
  const create = Object.entries((args["create"] ?? {}) as Record<string, Args>);
  const update = Object.entries((args["update"] ?? {}) as Record<string, Args>);
  const destroy = (args["destroy"] ?? []) as readonly string[];
  if (create.length + update.length + destroy.length > coreLimits.maxObjectsInSet) {
    return failed("requestTooLarge");
  }
  const oldState = await settings.stateOf(context);
  const { ifInState } = args;
  if (typeof ifInState === "string" && ifInState !== oldState) return failed("stateMismatch");

  const created: [string, Args][] = [];
  const notCreated: [string, SetError][] = [];
  for (const [creationId, given] of create) {
    const outcome = await setter.create(context, given);
    if (outcome.ok) {
      created.push([creationId, outcome.value]);
      context.created.set(creationId, String(outcome.value["id"]));
    } else notCreated.push([creationId, outcome.error]);
  }
  const doomed = new Set(destroy.map((id) => realId(context, id)));
  const updates = await inParallel(update, settings.width, async ([given, patch]) => {
    const id = realId(context, given);
    if (doomed.has(id)) return [given, { ok: false, error: { type: "willDestroy" } }] as const;
    return [given, await setter.update(context, id, patch)] as const;
  });
  const destructions = await inParallel([...doomed], settings.width, async (id) => {
    return [id, await setter.destroy(context, id)] as const;
  });
  const updated = updates.flatMap(([id, one]) => (one.ok ? [[id, one.value] as const] : []));
  const notUpdated = updates.flatMap(([id, one]) => (one.ok ? [] : [[id, one.error] as const]));
  const destroyed = destructions.flatMap(([id, error]) => (error === undefined ? [id] : []));
  const notDestroyed = destructions.flatMap(([id, error]) =>
    error === undefined ? [] : [[id, error] as const],
  );
  return {
    accountId: context.account,
    oldState,
    newState: await settings.stateOf(context),
    created: objectOrNull(created),
    updated: objectOrNull(updated),
    destroyed: destroyed.length > 0 ? destroyed : null,
    notCreated: objectOrNull(notCreated),
    notUpdated: objectOrNull(notUpdated),
    notDestroyed: objectOrNull(notDestroyed),
  };
}

export function objectOrNull(
  entries: readonly (readonly [string, unknown])[],
): Readonly<Record<string, unknown>> | null {
  return entries.length > 0 ? Object.fromEntries(entries) : null;
}

/**
 * A set of names after a patch: the whole property replaced, or single names put in and taken out
 * ("keywords/$seen": true, "mailboxIds/x": null). Undefined: the patch is not one (§5.3).
 */
export function patchedNames(
  before: ReadonlySet<string>,
  patch: Args,
  property: string,
): ReadonlySet<string> | undefined {
  const whole = patch[property];
  const after = new Set(before);
  if (Object.hasOwn(patch, property)) {
    if (!isObject(whole) || !Object.values(whole).every((one) => one === true)) return undefined;
    after.clear();
    for (const name of Object.keys(whole)) after.add(name);
  }
  const prefix = `${property}/`;
  for (const [path, value] of Object.entries(patch)) {
    if (!path.startsWith(prefix)) continue;
    if (Object.hasOwn(patch, property)) return undefined; // no path may be the beginning of another
    const name = path.slice(prefix.length).replaceAll("~1", "/").replaceAll("~0", "~");
    if (value === true) after.add(name);
    else if (value === null) after.delete(name);
    else return undefined;
  }
  return after;
}
