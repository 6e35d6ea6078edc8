/** Abuse control with what it needs of the running edge. */

import { join } from "node:path";
import type { Clock } from "#base/clock";
import type { Resolver } from "#base/dns";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { Random } from "#base/random";
import type { TarpitOptions } from "#transport/smtp-server";
import type { Depositor } from "../deposit.ts";
import type { PolicyHolder } from "../policy.ts";
import { type EdgeSmtpSettings, greylistFile } from "../settings.ts";
import { type AbuseEvents, abuseEvents } from "./events.ts";
import { type Greylist, openGreylist } from "./greylist.ts";
import { type Abuse, abuseControl } from "./index.ts";
import { type Overload, watchOverload } from "./overload.ts";

export interface Guard extends AsyncDisposable {
  readonly abuse: Abuse;
  readonly overload: Overload;
  readonly tarpit: TarpitOptions;
}

interface GuardDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly registry: Registry;
}

interface GuardNeeds {
  readonly policy: PolicyHolder;
  readonly resolver: Resolver;
  readonly depositor: Pick<Depositor, "waiting">;
}

/** @throws Misconfigured when a network or a list is none */
export async function openGuard(
  settings: EdgeSmtpSettings,
  deps: GuardDeps,
  needs: GuardNeeds,
): Promise<Guard> {
  const { clock, log, registry } = deps;
  const { loopDelayMs, heldMib } = settings.abuse;
  const events = abuseEvents(log, registry, clock);
  const greylist = await greylistOf(settings, deps, events);
  const overload = watchOverload({ clock, loopDelayMs, heldBytes: heldMib * 1024 * 1024 });
  // New mail is put off while what is here already still finds a place.
  const isCrowded = (): boolean => needs.depositor.waiting() > settings.edge.depositsWaiting / 2;
  const abuse = abuseControl({
    ...needs,
    settings: settings.abuse,
    clock,
    events,
    overload,
    isCrowded,
    ...(greylist && { greylist }),
  });
  return {
    abuse,
    overload,
    tarpit: {
      delayMs: settings.abuse.tarpitS * 1000,
      // Those that wait never take the doors from those that work.
      sessions: Math.min(settings.abuse.tarpitSessions, settings.smtp.connections / 2),
      isSpared: (connection) => abuse.isTrusted(connection),
    },
    async [Symbol.asyncDispose]() {
      overload[Symbol.dispose]();
      await greylist?.[Symbol.asyncDispose]();
    },
  };
}

async function greylistOf(
  { abuse, folder }: EdgeSmtpSettings,
  { clock, random }: GuardDeps,
  events: AbuseEvents,
): Promise<Greylist | undefined> {
  if (!abuse.greylist) return undefined;
  const limits = {
    delayMs: abuse.greylistDelayS * 1000,
    windowMs: abuse.greylistWindowH * 3_600_000,
    whiteMs: abuse.greylistWhiteDays * 86_400_000,
    entries: abuse.greylistEntries,
  };
  const onFailed = (error: unknown): void => events.greylistFailed(error);
  return openGreylist(join(folder, greylistFile), limits, { clock, random, onFailed });
}
