/** Parameters of what keeps strangers from taking too much: the [abuse] table. */

import type { Parameter } from "#base/parameters";

type Count =
  | "tarpitS"
  | "tarpitSessions"
  | "connectionsPerMinute"
  | "messagesPerMinute"
  | "recipientsPerMinute"
  | "unknownRecipientsPerHour"
  | "greylistDelayS"
  | "greylistWindowH"
  | "greylistWhiteDays"
  | "greylistEntries"
  | "loopDelayMs"
  | "heldMib";

type AbuseParameters = Readonly<Record<Count, Parameter<number>>> & {
  readonly onlyFrom: Parameter<string>;
  readonly allow: Parameter<readonly string[]>;
  readonly blockLists: Parameter<readonly string[]>;
  readonly blockListEffect: Parameter<string>;
  readonly greylist: Parameter<boolean>;
};

export const abuseParameters: AbuseParameters = {
  onlyFrom: {
    default: "anywhere",
    oneOf: ["anywhere", "ownRelays"],
    doc: "Who may bring mail: everybody, or only identity.ownRelays, inbound connectors and abuse.allow (a managed provider in front).",
  },
  allow: {
    default: ["127.0.0.0/8", "::1/128"],
    doc: "Networks that nothing of this table slows down or refuses; own relays never are.",
  },
  tarpitS: {
    default: 5,
    unit: "s",
    min: 0,
    max: 30, // RFC 5321 §4.5.3.2.3: a client waits five minutes for the answer to RCPT
    doc: "Pause before a recipient or a login is refused; 0: none. Behind a provider it changes nothing.",
  },
  tarpitSessions: {
    default: 1000,
    unit: "count",
    min: 0,
    doc: "Sessions that wait in that pause at once; further ones are answered at once. Never more than half of smtp.connections.",
  },
  connectionsPerMinute: {
    default: 300,
    unit: "count",
    min: 0,
    doc: "Connections a minute from one IPv4 address or IPv6 network of 64 bits; 0: any.",
  },
  messagesPerMinute: {
    default: 600,
    unit: "count",
    min: 0,
    doc: "Messages a minute from one such client; 0: any.",
  },
  recipientsPerMinute: {
    default: 3000,
    unit: "count",
    min: 0,
    doc: "Recipients a minute from one such client; 0: any.",
  },
  unknownRecipientsPerHour: {
    default: 100,
    unit: "count",
    min: 0,
    doc: "Recipients that do not exist, an hour from one such client; then it is put off whomever it names. 0: any.",
  },
  blockLists: {
    default: [],
    doc: "DNS block lists of addresses: a zone, or a zone with the answers that count, as list.example.org=127.0.0.2,127.0.0.4.",
  },
  blockListEffect: {
    default: "reject",
    oneOf: ["reject", "junk"],
    doc: "What a listed client's mail meets: 550, or the Junk mailbox.",
  },
  greylist: {
    default: false,
    doc: "Puts off the first mail of an unknown client, sender and recipient (RFC 6647); delays honest mail.",
  },
  greylistDelayS: {
    default: 60,
    unit: "s",
    min: 1,
    max: 86_400,
    doc: "How long it is put off; lower when mail is urgent.",
  },
  greylistWindowH: {
    default: 24,
    unit: "count",
    min: 1,
    max: 720,
    doc: "Hours within which it must be tried again.",
  },
  greylistWhiteDays: {
    default: 36,
    unit: "count",
    min: 1,
    max: 365,
    doc: "Days without mail after which it is unknown again; a newsletter comes once a month.",
  },
  greylistEntries: {
    default: 100_000,
    unit: "count",
    min: 1000,
    max: 1_000_000,
    doc: "Combinations kept; the longest unused go first. Each costs some 200 bytes.",
  },
  loopDelayMs: {
    default: 500,
    unit: "ms",
    min: 50,
    doc: "When the program is later than this all the time, new connections get 421; at twice as much, messages get 451.",
  },
  heldMib: {
    default: 128,
    unit: "count",
    min: 16,
    max: 16_384,
    doc: "Room for messages on their way through the edge, in MiB, all clients together; beyond it they are put off.",
  },
};
