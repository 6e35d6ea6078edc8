/** The queue in memory. */

import type { QueueStore } from "#contracts/store";
import type { Attempt, QueueItem, QueueState } from "#model/queue";
import type { TraceStep } from "#model/trace";
import { by, isOpen, type MemoryState } from "./state.ts";
import { wordsOf } from "./words.ts";

const verbs = { hold: "held", release: "released", drop: "dropped", retry: "set to be tried" };
const statesAfter = {
  hold: "held",
  release: "waiting",
  drop: "dropped",
  retry: "waiting",
} as const;

const byDue = (one: DueFacts): readonly (string | number)[] => [
  one.nextAttemptAtMs,
  one.queuedAtMs,
  one.id,
];
type DueFacts = Pick<QueueItem, "nextAttemptAtMs" | "queuedAtMs" | "id">;
const byAge = (one: Omit<DueFacts, "nextAttemptAtMs">): readonly (string | number)[] => [
  one.queuedAtMs,
  one.id,
];

export function queueStore(state: MemoryState): QueueStore {
  return { ...reads(state), ...acts(state) };
}

type Acts = "attempted" | "delayNotified" | "change";

function reads(state: MemoryState): Omit<QueueStore, Acts> {
  const { queue } = state;
  const waiting = (): QueueItem[] => [...queue.values()].filter((one) => one.state === "waiting");
  const waitingFor = (domain: string): QueueItem[] =>
    waiting().filter(({ recipient }) => domainOf(recipient) === domain);
  const firstDue = (items: readonly QueueItem[]): number =>
    Math.min(...items.map(({ nextAttemptAtMs }) => nextAttemptAtMs));
  return {
    get: async (id) => queue.get(id),
    async destinations() {
      const domains = Map.groupBy(waiting(), ({ recipient }) => domainOf(recipient));
      return [...domains].map(([domain, items]) => ({ domain, dueAtMs: firstDue(items) }));
    },
    watch(listener) {
      state.queueListeners.add(listener);
      return () => void state.queueListeners.delete(listener);
    },
    async due(domain, nowMs, limit, after) {
      const due = waitingFor(domain).filter(({ nextAttemptAtMs }) => nextAttemptAtMs <= nowMs);
      const sorted = due.sort(by(byDue));
      return behind(sorted, after, by(byDue)).slice(0, limit);
    },
    async nextDueAtMs(domain) {
      const items = waitingFor(domain);
      return items.length === 0 ? undefined : firstDue(items);
    },
    async waitingSince(beforeMs, limit, after) {
      const old = waiting().filter(({ queuedAtMs }) => queuedAtMs < beforeMs);
      return behind(old.sort(by(byAge)), after, by(byAge)).slice(0, limit);
    },
    async list({ state: wanted, domain, message, after, limit }) {
      const found = [...queue.values()].filter(
        (one) =>
          (wanted === undefined || one.state === wanted) &&
          (message === undefined || one.message === message) &&
          (domain === undefined || domainOf(one.recipient) === domain.toLowerCase()),
      );
      const order = by(byAge);
      const latestFirst = (one: Age, two: Age): number => order(two, one);
      return behind(found.sort(latestFirst), after, latestFirst).slice(0, limit);
    },
    attempts: async (id) => state.attempts.get(id) ?? [],
    async counts() {
      const counts = { waiting: 0, held: 0, delivered: 0, failed: 0, dropped: 0 };
      for (const item of queue.values()) counts[item.state] += 1;
      return counts;
    },
  };
}

type Age = Omit<DueFacts, "nextAttemptAtMs">;

function behind<Place>(
  sorted: readonly (QueueItem & Place)[],
  place: Place | undefined,
  order: (one: Place, two: Place) => number,
): QueueItem[] {
  return sorted.filter((one) => place === undefined || order(one, place) > 0);
}

function acts(state: MemoryState): Pick<QueueStore, Acts> {
  const { queue } = state;
  const update = (item: QueueItem, facts: Partial<QueueItem>, step: Omit<TraceStep, "program">) => {
    queue.set(item.id, { ...item, ...facts });
    const text = `${item.recipient}: ${step.text}`;
    state.messages.get(item.message)?.steps.push({ ...step, text, program: "hub" });
  };
  return {
    async attempted(id, attempt, nextAttemptAtMs = attempt.atMs) {
      const item = queue.get(id);
      if (item === undefined || !(isOpen(item) || item.state === "dropped")) return;
      // What was held while the try was under way stays so, unless the try settled it.
      const after: QueueState = attempt.outcome === "deferred" ? item.state : attempt.outcome;
      const tried = { state: after, attempts: item.attempts + 1, last: attempt, nextAttemptAtMs };
      const facts = item.state === "dropped" ? {} : tried;
      const text = `${attempt.outcome} by ${whoAndHow(attempt)}: ${wordsOf(attempt.reply)}`;
      update(item, facts, { atMs: attempt.atMs, step: "attempted", text });
      const known = state.attempts.get(id) ?? [];
      state.attempts.set(id, [...known, { ...attempt, record: 1 + known.length }]);
    },
    async delayNotified(id, atMs) {
      const item = queue.get(id);
      if (item === undefined) return;
      const text = "the sender was told of the delay";
      update(item, { delayNotifiedAtMs: atMs }, { atMs, step: "bounced", text });
    },
    async change(id, act, actor, atMs) {
      const item = queue.get(id);
      if (item === undefined || !isOpen(item)) return false;
      if (act !== "retry" && item.state === statesAfter[act]) return false;
      const isDueNow = act === "release" || act === "retry";
      const { heldBy: _, ...rest } = item;
      const held = act === "hold" ? { heldBy: actor } : {};
      const facts = {
        state: statesAfter[act],
        ...(isDueNow && { nextAttemptAtMs: atMs }),
        ...held,
      };
      update(rest, facts, { atMs, step: "queued", text: `${verbs[act]} by ${actor}` });
      const now = queue.get(id);
      if (now?.state === "waiting") tellQueue(state, now);
      return true;
    },
  };
}

function whoAndHow({ remote, connector, tls }: Attempt): string {
  const who = connector === undefined ? remote : `${remote} (connector ${connector})`;
  if (tls === undefined) return who;
  const { version, cipher, group, proof, provenName } = tls;
  const how = group === undefined ? `${version} ${cipher}` : `${version} ${cipher} ${group}`;
  if (proof === undefined) return `${who} over ${how}, not verified`;
  const name = provenName === undefined ? "" : ` for ${provenName}`;
  return `${who} over ${how}, verified by ${proof}${name}`;
}

/** Whoever schedules learns that something waits. */
export function tellQueue(
  { queueListeners }: MemoryState,
  { recipient, nextAttemptAtMs: dueAtMs }: Pick<QueueItem, "recipient" | "nextAttemptAtMs">,
): void {
  for (const listener of queueListeners) listener({ domain: domainOf(recipient), dueAtMs });
}

function domainOf(path: string): string {
  return path.slice(path.lastIndexOf("@") + 1).toLowerCase();
}
