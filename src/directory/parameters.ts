/** What an administrator may set about logins. */

import type { Values } from "#base/parameters";

export const directoryParameters = {
  hashMemoryKib: {
    default: 19_456,
    unit: "count",
    min: 8_192,
    max: 1_048_576,
    doc: "Memory of one password hash in KiB; raise when the machine has room (RFC 9106 §4).",
  },
  hashPasses: {
    default: 2,
    unit: "count",
    min: 1,
    max: 16,
    doc: "Passes of one password hash; raise when logins are rare and processors idle.",
  },
  hashWidth: {
    default: 2,
    unit: "count",
    min: 1,
    max: 64,
    doc: "Password hashes computed at once; raise on machines with many cores.",
  },
  hashDepth: {
    default: 64,
    unit: "count",
    min: 1,
    max: 10_000,
    doc: "Logins that may wait for a hash before others are told to come back.",
  },
  rememberLoginS: {
    default: 600,
    unit: "s",
    min: 0,
    max: 86_400,
    doc: "How long a correct password is recognised without hashing it again; 0 hashes always.",
  },
  accountFailures: {
    default: 10,
    unit: "count",
    min: 1,
    max: 1_000,
    doc: "Wrong passwords for one account from strange networks before it is slowed down.",
  },
  networkFailures: {
    default: 30,
    unit: "count",
    min: 1,
    max: 10_000,
    doc: "Wrong passwords from one network before it is slowed down; raise behind a shared address.",
  },
  failureRecoveryS: {
    default: 30,
    unit: "s",
    min: 1,
    max: 86_400,
    doc: "Seconds after which one failure is forgotten; lower when people complain of the slow-down.",
  },
  codeFailures: {
    default: 10,
    unit: "count",
    min: 1,
    max: 100,
    doc: "Wrong codes of a second factor for one account from strange networks before it is slowed down.",
  },
  codeRecoveryS: {
    default: 300,
    unit: "s",
    min: 30,
    max: 86_400,
    doc: "Seconds after which one wrong code is forgotten; a code has only a million values.",
  },
  knownNetworkDays: {
    default: 30,
    unit: "count",
    min: 0,
    max: 365,
    doc: "Days for which a network somebody logged in from is exempt from the account's slow-down.",
  },
  minPasswordLength: {
    default: 8,
    unit: "count",
    min: 8,
    max: 64,
    doc: "Shortest password that may be set, in characters (NIST SP 800-63B).",
  },
} as const;

export type DirectoryLimits = Values<typeof directoryParameters>;
