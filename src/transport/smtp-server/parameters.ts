/** Limits of an SMTP listener, each with the figure that is safe when nobody chose one. */

import type { Parameter } from "#base/parameters";

export type SmtpParameter =
  | "maxMessageBytes"
  | "maxRecipients"
  | "maxCommandBytes"
  | "maxTextLineBytes"
  | "maxErrors"
  | "maxIdleCommands"
  | "maxLogins"
  | "messagesPerConnection"
  | "connections"
  | "connectionsPerAddress"
  | "connectionsPerNetwork"
  | "greetingDelayMs"
  | "greetingTimeoutMs"
  | "commandTimeoutMs"
  | "dataTimeoutMs"
  | "dataBytesPerSecond"
  | "sessionTimeoutMs";

export const smtpParameters: Readonly<Record<SmtpParameter, Parameter<number>>> = {
  maxMessageBytes: {
    default: 52_428_800,
    unit: "bytes",
    min: 65_536, // RFC 5321 §4.5.3.1.7
    max: 2_147_483_647,
    doc: "Largest message taken, as SIZE announces it; raise when large files must come by mail.",
  },
  maxRecipients: {
    default: 100, // RFC 5321 §4.5.3.1.8 asks for at least so many
    unit: "count",
    min: 100,
    max: 10_000,
    doc: "Recipients of one message; further ones are put off with 452.",
  },
  maxCommandBytes: {
    default: 2048,
    unit: "bytes",
    min: 512, // RFC 5321 §4.5.3.1.4
    max: 65_536,
    doc: "Longest command line, its CRLF included; AUTH lines may always have 12288.",
  },
  maxTextLineBytes: {
    default: 65_536,
    unit: "bytes",
    min: 1000, // RFC 5321 §4.5.3.1.6
    max: 2_147_483_647,
    doc: "Longest line of a message; 1000 is the standard, much honest mail is longer.",
  },
  maxErrors: {
    default: 20,
    unit: "count",
    min: 1,
    doc: "Refused commands after which a session is closed; lower when strangers guess addresses.",
  },
  maxIdleCommands: {
    default: 100,
    unit: "count",
    min: 10,
    doc: "Commands that lead nowhere (NOOP, RSET, EHLO, VRFY) allowed between two messages.",
  },
  maxLogins: {
    default: 3,
    unit: "count",
    min: 1,
    doc: "Failed logins after which a session is closed.",
  },
  messagesPerConnection: {
    default: 1000,
    unit: "count",
    min: 1,
    doc: "Messages on one connection; then the client is asked to connect again.",
  },
  connections: {
    default: 10_000,
    unit: "count",
    min: 1,
    doc: "Connections open at once, all clients together; each costs a few kilobytes.",
  },
  connectionsPerAddress: {
    default: 100,
    unit: "count",
    min: 1,
    doc: "Connections open at once from one address; raise when a relay or a proxy hides many.",
  },
  connectionsPerNetwork: {
    default: 200,
    unit: "count",
    min: 1,
    doc: "Connections open at once from one IPv6 network of 64 bits.",
  },
  greetingDelayMs: {
    default: 2,
    unit: "ms",
    min: 0,
    max: 10_000,
    doc: "Pause before the greeting; who talks into it is refused. Raise to catch more spam robots.",
  },
  greetingTimeoutMs: {
    default: 60_000,
    unit: "ms",
    min: 1000,
    doc: "Time for the PROXY header, the TLS handshake and the first command, each.",
  },
  commandTimeoutMs: {
    default: 300_000, // RFC 5321 §4.5.3.2.7
    unit: "ms",
    min: 1000,
    doc: "Time for each whole command; single octets do not prolong it.",
  },
  dataTimeoutMs: {
    default: 180_000, // RFC 5321 §4.5.3.2.5
    unit: "ms",
    min: 1000,
    doc: "Longest silence inside a message.",
  },
  dataBytesPerSecond: {
    default: 256,
    unit: "bytes",
    min: 0,
    doc: "Slowest average rate of a message after its first minute; 0 allows any.",
  },
  sessionTimeoutMs: {
    default: 3_600_000,
    unit: "ms",
    min: 10_000,
    doc: "Longest life of a connection, whatever it does; raise for slow lines and large mail.",
  },
};
