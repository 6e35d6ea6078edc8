/** Push of state changes by server-sent events (RFC 8620 §7.3, WHATWG HTML §9.2). */

import type { Clock, Timer } from "#base/clock";
import { Unavailable } from "#base/errors";
import { OpenCounts } from "#base/limits";
import type { Person } from "#contracts/directory";
import type { Exchange } from "./exchange.ts";
import type { WebJmap } from "./ports.ts";

/** Below every idle time-out on the way. */
const pingEveryMs = 25_000;

export interface Pulse {
  readonly clock: Clock;
  /** Asked at every beat: a session that ended stops hearing. */
  stillValid(): boolean;
}

/** Pages of one person that wait at once; each holds a stream of the link. */
const mostOfOne = 64;
/** The link has fewer streams. */
const mostInAll = 100_000;

export function eventCounts(): OpenCounts {
  return new OpenCounts(mostInAll, mostOfOne);
}

/** @param counts of all who wait: beyond its bound a person is told to come back */
export async function pushEvents(
  jmap: WebJmap,
  person: Person,
  exchange: Exchange,
  pulse: Pulse & { readonly counts: OpenCounts },
): Promise<void> {
  if (pulse.counts.enter(person.id) !== undefined) {
    return exchange.json(429, { type: "about:blank", status: 429 });
  }
  try {
    await push(jmap, person, exchange, pulse);
  } finally {
    pulse.counts.leave(person.id);
  }
}

async function push(
  jmap: WebJmap,
  person: Person,
  exchange: Exchange,
  pulse: Pulse,
): Promise<void> {
  let pending: unknown[] = [];
  let wake: (() => void) | undefined;
  let over = false;
  const stop = jmap.watch(person, (change) => {
    // A reader that does not keep up needs only the latest: a state replaces the one before.
    if (pending.length >= 16) pending = [];
    pending.push(change);
    wake?.();
  });
  void exchange.gone.then(() => {
    over = true;
    wake?.();
  });
  const headers = { "content-type": "text/event-stream", "cache-control": "no-store" };
  const chunks = async function* (): AsyncGenerator<Buffer> {
    yield Buffer.from(": open\n\n");
    while (!over) {
      if (pending.length === 0) {
        let timer: Timer | undefined;
        await new Promise<void>((resolve) => {
          wake = resolve;
          timer = pulse.clock.after(pingEveryMs, resolve);
        });
        timer?.cancel();
      }
      if (over || !pulse.stillValid()) return;
      const changes = pending;
      pending = [];
      if (changes.length === 0) yield Buffer.from("event: ping\ndata: {}\n\n");
      for (const change of changes) {
        yield Buffer.from(`event: state\ndata: ${JSON.stringify(change)}\n\n`);
      }
    }
  };
  try {
    await exchange.stream(200, headers, chunks());
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error; // the client went away
  } finally {
    stop();
  }
}
