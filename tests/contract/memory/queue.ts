/** The queue in memory. */

import type { QueueStore } from "#contracts/store";
import type { QueueItem, QueueState } from "#model/queue";
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

export function queueStore(state: MemoryState): QueueStore {
  const { queue } = state;
  const update = (item: QueueItem, facts: Partial<QueueItem>, step: Omit<TraceStep, "program">) => {
    queue.set(item.id, { ...item, ...facts });
    const text = `${item.recipient}: ${step.text}`;
    state.messages.get(item.message)?.steps.push({ ...step, text, program: "hub" });
  };
  const waiting = (): QueueItem[] => [...queue.values()].filter((one) => one.state === "waiting");
  return {
    get: async (id) => queue.get(id),
    async due(nowMs, limit) {
      const due = waiting().filter(({ nextAttemptAtMs }) => nextAttemptAtMs <= nowMs);
      const order = by((one: QueueItem) => [one.nextAttemptAtMs, one.queuedAtMs, one.id]);
      return due.sort(order).slice(0, limit);
    },
    async nextDueAtMs() {
      const moments = waiting().map(({ nextAttemptAtMs }) => nextAttemptAtMs);
      return moments.length === 0 ? undefined : Math.min(...moments);
    },
    async list({ state: wanted, domain, limit }) {
      const found = [...queue.values()].filter(
        (one) =>
          (wanted === undefined || one.state === wanted) &&
          (domain === undefined || domainOf(one.recipient) === domain.toLowerCase()),
      );
      return found.sort(by((one) => [-one.queuedAtMs, one.id])).slice(0, limit);
    },
    async counts() {
      const counts = { waiting: 0, held: 0, delivered: 0, failed: 0, dropped: 0 };
      for (const item of queue.values()) counts[item.state] += 1;
      return counts;
    },
    async attempted(id, attempt, nextAttemptAtMs = attempt.atMs) {
      const item = queue.get(id);
      if (item === undefined || !(isOpen(item) || item.state === "dropped")) return;
      const { atMs, outcome, remote, reply } = attempt;
      // What was held while the try was under way stays so, unless the try settled it.
      const after: QueueState = outcome === "deferred" ? item.state : outcome;
      const tried = { state: after, attempts: item.attempts + 1, last: attempt, nextAttemptAtMs };
      const facts = item.state === "dropped" ? {} : tried;
      const text = `${outcome} by ${remote}: ${wordsOf(reply)}`;
      update(item, facts, { atMs, step: "attempted", text });
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
      const facts = { state: statesAfter[act], ...(isDueNow && { nextAttemptAtMs: atMs }) };
      update(item, facts, { atMs, step: "queued", text: `${verbs[act]} by ${actor}` });
      return true;
    },
  };
}

function domainOf(path: string): string {
  return path.slice(path.lastIndexOf("@") + 1).toLowerCase();
}
