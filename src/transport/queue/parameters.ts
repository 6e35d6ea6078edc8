/** What an administrator may set about mail that leaves, whatever its connector. */

import { Misconfigured } from "#base/errors";
import type { Values } from "#base/parameters";

export const queueParameters = {
  privateNetworks: {
    default: false,
    doc: "Let MX records of others lead to private addresses; a connector's hosts always may.",
  },
  connections: {
    default: 50,
    unit: "count",
    min: 1,
    max: 10_000,
    doc: "Connections at the same time; raise when the queue grows though servers answer fast.",
  },
  recipientsPerMessage: {
    default: 100,
    unit: "count",
    min: 1,
    max: 1_000,
    doc: "Recipients in one transaction (RFC 5321 §4.5.3.1.8 lets servers refuse more than 100).",
  },
  dialS: { default: 30, unit: "s", min: 1, max: 600, doc: "Wait for a connection." },
  firstRetryS: {
    default: 300,
    unit: "s",
    min: 1,
    max: 86_400,
    doc: "Wait before the second attempt; each later wait is twice as long.",
  },
  maxRetryS: {
    default: 3_600,
    unit: "s",
    min: 1,
    max: 86_400,
    doc: "Longest wait between attempts.",
  },
  giveUpS: {
    default: 432_000,
    unit: "s",
    min: 60,
    max: 2_592_000,
    doc: "Age at which a message comes back to its sender (RFC 5321 §4.5.4.1: four to five days).",
  },
  delayNoticeS: {
    default: 14_400,
    unit: "s",
    min: 0,
    max: 2_592_000,
    doc: "Age at which the sender is told that the message waits; 0: never.",
  },
  probeS: {
    default: 30,
    unit: "s",
    min: 1,
    max: 3_600,
    doc: "Wait before a connector's host that did not answer is tried again, with one message; each later wait is twice as long, up to ten minutes.",
  },
  directAfter: {
    default: 3,
    unit: "count",
    min: 1,
    max: 100,
    doc: "Attempts in a row at which none of a connector's hosts answers, after which mail goes direct where whenDown says so.",
  },
} as const;

export type QueueParameters = Values<typeof queueParameters>;

/**
 * The key that is named is the one that somebody set.
 *
 * @throws Misconfigured when the first wait between attempts is longer than the longest
 */
export function checkQueue(settings: QueueParameters): QueueParameters {
  const { firstRetryS, maxRetryS } = settings;
  if (firstRetryS <= maxRetryS) return settings;
  throw new Misconfigured(
    firstRetryS === queueParameters.firstRetryS.default
      ? `queue.maxRetryS: ${maxRetryS} s is less than the first wait: set queue.firstRetryS to that or less, too`
      : `queue.firstRetryS: ${firstRetryS} s is more than the longest wait: set queue.maxRetryS to that or more, too`,
  );
}
