/** The rules of the house as tables: floors, neighbours, pure rooms, and what each program may reach. */

/** Folder below src/ to its floor. Imports go down. */
export const floors: Readonly<Record<string, number>> = {
  base: 0,
  formats: 1,
  model: 2,
  contracts: 3,
  identity: 4,
  content: 4,
  policy: 4,
  transport: 4,
  store: 4,
  directory: 4,
  keys: 4,
  access: 4,
  proxy: 4,
  assurance: 4,
  edge: 5,
  hub: 5,
  cli: 6,
};

/** Formats return values of the vocabulary, so they may name its types (never import its code). */
export const typeExceptions: readonly (readonly [from: string, to: string])[] = [
  ["formats", "model"],
];

/** Rooms that may use a neighbour after all. */
export const neighbourExceptions: readonly (readonly [from: string, to: string])[] = [
  ["transport/queue", "transport/smtp-client"],
  ["store/backup", "store"],
  // What a message says of its sender builds up: address and host, signatures, then what they mean.
  ["identity/arc", "identity/dkim"],
  ["identity/dmarc", "identity/author"],
  ["identity/sender", "identity/author"],
  ["identity/sender-id", "identity/spf"],
  ["identity/spf-advice", "identity/spf"],
  ["identity/checks", "identity/arc"],
  ["identity/checks", "identity/author"],
  ["identity/checks", "identity/dkim"],
  ["identity/checks", "identity/dmarc"],
  ["identity/checks", "identity/hops"],
  ["identity/checks", "identity/sender-id"],
  ["identity/checks", "identity/spf"],
  // The doors of the inside keep their certificate in the same way as those of the edge.
  ["hub", "edge/certify"],
];

/** These rooms have no hands: DNS, clock, bytes and engines come in as arguments. */
export const pureFolders: readonly string[] = ["formats", "model", "identity", "content", "policy"];

export const handsOfNode: readonly string[] = [
  "node:fs",
  "node:fs/promises",
  "node:net",
  "node:tls",
  "node:dns",
  "node:dgram",
  "node:http",
  "node:http2",
  "node:https",
  "node:sqlite",
  "node:child_process",
  "node:worker_threads",
];

/** What no program in the DMZ may reach, whatever its manifest says. */
export const insideOnly: readonly string[] = [
  "store",
  "directory",
  "keys",
  "access",
  "assurance",
  "hub",
  "cli",
];

/** Contracts whose code (not types) belongs to the inside. */
export const insideContracts: readonly string[] = ["src/contracts/keyring"];
