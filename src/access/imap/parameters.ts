/** Parameters of the IMAP door. */

import type { Values } from "#base/parameters";

export const imapParameters = {
  maxConnections: {
    default: 10_000,
    unit: "count",
    min: 1,
    max: 1_000_000,
    doc: "IMAP connections at once. Raise when many people keep several devices connected; an idle one costs about 60 KiB.",
  },
  maxConnectionsPerAddress: {
    default: 500,
    unit: "count",
    min: 1,
    max: 1_000_000,
    doc: "IMAP connections from one client address. Raise when a whole office comes from one address.",
  },
  maxConnectionsPerAccount: {
    default: 50,
    unit: "count",
    min: 1,
    max: 10_000,
    doc: "IMAP connections of one account. Raise for people with many devices and programs.",
  },
  loginTimeoutMs: {
    default: 60_000,
    unit: "ms",
    min: 1_000,
    max: 600_000,
    doc: "How long a connection may take to log in.",
  },
  idleTimeoutMs: {
    default: 1_800_000,
    unit: "ms",
    min: 1_800_000, // RFC 9051 §5.4
    max: 86_400_000,
    doc: "How long a logged-in connection may say nothing before it is closed.",
  },
  stalledTimeoutMs: {
    default: 300_000,
    unit: "ms",
    min: 10_000,
    max: 3_600_000,
    doc: "How long a client may leave an answer unread, or stop inside a command, before it is closed.",
  },
  maxMessageBytes: {
    default: 52_428_800,
    unit: "bytes",
    min: 65_536,
    max: 2_147_483_647,
    doc: "Largest message that APPEND takes.",
  },
  maxCommandBytes: {
    default: 65_536,
    unit: "bytes",
    min: 8_192,
    max: 1_048_576,
    doc: "Largest command after login, the message of an APPEND apart.",
  },
  outputHighWaterBytes: {
    default: 262_144,
    unit: "bytes",
    min: 16_384,
    max: 16_777_216,
    doc: "Answers kept in memory per connection before the server waits for the client to read.",
  },
  streamAboveBytes: {
    default: 1_048_576,
    unit: "bytes",
    min: 65_536,
    max: 67_108_864,
    doc: "Parts of messages above this size are sent in pieces instead of being read whole.",
  },
  renderedChars: {
    default: 16_777_216,
    unit: "count",
    min: 0,
    max: 1_073_741_824,
    doc: "Characters of envelopes and structures kept in memory for all accounts together. Raise when people open large mailboxes.",
  },
  maxBadCommands: {
    default: 20,
    unit: "count",
    min: 1,
    max: 10_000,
    doc: "Commands in a row that cannot be read before the connection is closed.",
  },
} as const;

export type ImapLimits = Values<typeof imapParameters>;

/** Before login nothing legitimate is longer (ours; row I1). */
export const loginCommandBytes = 8192;
/** Wrong passwords on one connection before it is closed. */
export const maxLoginFailures = 3;
