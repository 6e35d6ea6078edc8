/** Delivery times of the three legs, from the facts that move the mail, and figures made from them. */

import type { Registry, Sample } from "#base/measures";
import type { Acceptance } from "#contracts/store";
import type { Attempt, QueueItem } from "#model/queue";

export { type SenderFigures, senderFigures } from "./measures/senders.ts";

/**
 * internal: a client's submission to a mailbox here; outbound: a client's submission to the remote's
 * acceptance through the edge; inbound: the edge's end of data to a mailbox here.
 */
export const deliveryPaths = ["internal", "outbound", "inbound"] as const;
export type DeliveryPath = (typeof deliveryPaths)[number];

export interface DeliveryTime {
  readonly path: DeliveryPath;
  readonly seconds: number;
}

export interface DeliveryFigures {
  readonly path: DeliveryPath;
  readonly count: number;
  readonly meanSeconds: number;
  /** Estimates between the bounds of the histogram; undefined while nothing was measured. */
  readonly p50Seconds: number | undefined;
  readonly p95Seconds: number | undefined;
}

export interface DeliveryMeasures {
  /** Called when the acceptance is durable. */
  accepted(acceptance: Acceptance, committedAtMs: number): void;
  /** Called for every attempt; only a delivery ends the leg. */
  attempted(item: QueueItem, attempt: Attempt): void;
}

const family = "delivery_duration_seconds";

export function deliveryMeasures(registry: Registry): DeliveryMeasures {
  const durations = registry.histogram(family, "Time from acceptance to delivery, by path");
  const observe = (time: DeliveryTime | undefined): void => {
    if (time !== undefined) durations.observe(time.seconds, { path: time.path });
  };
  return {
    accepted: (acceptance, committedAtMs) => observe(timeOfAcceptance(acceptance, committedAtMs)),
    attempted: (item, attempt) => observe(timeOfAttempt(item, attempt)),
  };
}

/** One time per commit, however many mailboxes it reached: they got the mail in the same step. */
export function timeOfAcceptance(
  acceptance: Pick<Acceptance, "direction" | "deliveries" | "acceptedAtMs" | "steps">,
  committedAtMs: number,
): DeliveryTime | undefined {
  const { direction, deliveries } = acceptance;
  if (deliveries.length === 0 || direction === "notice") return undefined;
  const path = direction === "inbound" ? "inbound" : "internal";
  const content = acceptance.steps.findLast(({ step }) => step === "content");
  const startMs = content?.atMs ?? acceptance.acceptedAtMs;
  return { path, seconds: secondsBetween(startMs, committedAtMs) };
}

export function timeOfAttempt(
  item: Pick<QueueItem, "queuedAtMs">,
  attempt: Pick<Attempt, "atMs" | "durationMs" | "outcome">,
): DeliveryTime | undefined {
  if (attempt.outcome !== "delivered") return undefined;
  const endMs = attempt.atMs + attempt.durationMs;
  return { path: "outbound", seconds: secondsBetween(item.queuedAtMs, endMs) };
}

/** Clocks of two machines may disagree: never below zero. */
function secondsBetween(startMs: number, endMs: number): number {
  return Math.max(0, endMs - startMs) / 1000;
}

/** @param samples of this program, or of all together: series of one path are added up */
export function deliveryFigures(samples: readonly Sample[]): readonly DeliveryFigures[] {
  return deliveryPaths.map((path) => {
    const ours = samples.filter(({ labels }) => labels.path === path);
    const total = (name: string): number =>
      ours.reduce((sum, sample) => (sample.name === name ? sum + sample.value : sum), 0);
    const count = total(`${family}_count`);
    const buckets = bucketsOf(ours.filter(({ name }) => name === `${family}_bucket`));
    return {
      path,
      count,
      meanSeconds: count === 0 ? 0 : total(`${family}_sum`) / count,
      p50Seconds: quantile(buckets, 0.5),
      p95Seconds: quantile(buckets, 0.95),
    };
  });
}

/** Of one histogram, its series added up; undefined while nothing was measured. */
export function quantileOf(
  samples: readonly Sample[],
  name: string,
  share: number,
): number | undefined {
  return quantile(bucketsOf(samples.filter((one) => one.name === `${name}_bucket`)), share);
}

/** Upper bound and how many were at most that, ascending. */
export type Buckets = readonly (readonly [bound: number, below: number])[];

function bucketsOf(samples: readonly Sample[]): Buckets {
  const sums = new Map<number, number>();
  for (const { labels, value } of samples) {
    const bound = labels.le === "+Inf" ? Number.POSITIVE_INFINITY : Number(labels.le);
    sums.set(bound, (sums.get(bound) ?? 0) + value);
  }
  return [...sums].sort(([one], [other]) => one - other);
}

/**
 * Linear inside the bucket that holds it, as if times were spread evenly there. Beyond the last
 * finite bound it answers that bound: "at least".
 */
export function quantile(buckets: Buckets, share: number): number | undefined {
  const count = buckets.at(-1)?.[1] ?? 0;
  if (count === 0) return undefined;
  const rank = share * count;
  let [lowBound, lowCount] = [0, 0];
  for (const [bound, below] of buckets) {
    if (below >= rank) {
      if (bound === Number.POSITIVE_INFINITY) return lowBound;
      const inside = below === lowCount ? 1 : (rank - lowCount) / (below - lowCount);
      return lowBound + (bound - lowBound) * inside;
    }
    [lowBound, lowCount] = [bound, below];
  }
  return lowBound;
}
