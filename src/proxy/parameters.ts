/** Limits of the HTTPS front, each declared once; the configuration reference is made from here. */

import type { Values } from "#base/parameters";

export const webParameters = {
  hosts: {
    default: [],
    doc: "Names that are published besides site.hostname, with a port where clients see another one.",
  },
  headerMaxBytes: {
    default: 16_384,
    unit: "bytes",
    min: 4_096,
    max: 65_536,
    doc: "Largest request header; a longer one is answered with 431.",
  },
  headerMaxCount: {
    default: 64,
    unit: "count",
    min: 16,
    max: 256,
    doc: "Most header fields in one request.",
  },
  bodyMaxBytes: {
    default: 50_000_000,
    unit: "bytes",
    min: 65_536,
    max: 1_000_000_000,
    doc: "Largest request body, streamed; raise it when people attach larger files.",
  },
  headerTimeoutMs: {
    default: 15_000,
    unit: "ms",
    min: 1_000,
    max: 120_000,
    doc: "Time for a whole request header.",
  },
  requestTimeoutMs: {
    default: 300_000,
    unit: "ms",
    min: 5_000,
    max: 3_600_000,
    doc: "Time for a whole request with its body; raise it for slow uplinks.",
  },
  keepAliveTimeoutMs: {
    default: 30_000,
    unit: "ms",
    min: 1_000,
    max: 600_000,
    doc: "How long an idle connection waits for the next request.",
  },
  idleTimeoutMs: {
    default: 90_000,
    unit: "ms",
    min: 45_000,
    max: 600_000,
    doc: "A connection that moves no octet for so long is closed; above the 30 s of the event stream.",
  },
  answerTimeoutMs: {
    default: 60_000,
    unit: "ms",
    min: 1_000,
    max: 600_000,
    doc: "How long the inside may take before its answer begins.",
  },
  connections: {
    default: 2_000,
    unit: "count",
    min: 10,
    max: 100_000,
    doc: "Most connections at once; more are closed unread.",
  },
  connectionsPerAddress: {
    default: 60,
    unit: "count",
    min: 4,
    max: 10_000,
    doc: "Most connections of one IPv4 address or IPv6 /64; raise it when many people share one.",
  },
  requestsPerConnection: {
    default: 1_000,
    unit: "count",
    min: 1,
    max: 1_000_000,
    doc: "After so many requests a connection is closed.",
  },
  loginsPerMinute: {
    default: 20,
    unit: "count",
    min: 1,
    max: 10_000,
    doc: "Login forms taken from one network a minute; raise it when many people share an address.",
  },
} as const;

export type WebLimits = Values<typeof webParameters>;
