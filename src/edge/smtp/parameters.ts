/** Parameters of the mail edge, beside those of its SMTP listener. */

import type { Parameter } from "#base/parameters";

export type EdgeSmtpParameter =
  | "linkWaitMs"
  | "answerWaitMs"
  | "depositsAtOnce"
  | "depositsWaiting"
  | "receivedLimit"
  | "replayLimit"
  | "refusalsKept"
  | "samplesEveryMs"
  | "egressConnections";

export const edgeSmtpParameters: Readonly<Record<EdgeSmtpParameter, Parameter<number>>> = {
  linkWaitMs: {
    default: 30_000,
    unit: "ms",
    min: 0,
    max: 300_000,
    doc: "How long a message waits when the link breaks under it; raise when links flap for longer.",
  },
  answerWaitMs: {
    default: 60_000,
    unit: "ms",
    min: 1000,
    max: 540_000, // RFC 5321 §4.5.3.2.6: the client waits ten minutes for the answer to its dot
    doc: "How long the inside may take to commit a message before the link counts as half dead.",
  },
  depositsAtOnce: {
    default: 200,
    unit: "count",
    min: 1,
    max: 250, // a link holds 256 streams
    doc: "Messages handed in at the same time; lower when the edge has little memory.",
  },
  depositsWaiting: {
    default: 1000,
    unit: "count",
    min: 0,
    doc: "Messages that may wait for their turn; further ones are put off with 451.",
  },
  receivedLimit: {
    default: 100,
    unit: "count",
    min: 10,
    doc: "Received fields after which a message is taken for one that loops (RFC 5321 6.3).",
  },
  replayLimit: {
    default: 100,
    unit: "count",
    min: 0,
    doc: "Messages an hour with the same DKIM signature but other recipients, after which more go to Junk; 0: never. Raise when a mailing list has more members here.",
  },
  refusalsKept: {
    default: 1000,
    unit: "count",
    min: 0,
    doc: "Refusals kept for the trace while the link is down; the oldest go first.",
  },
  samplesEveryMs: {
    default: 5000,
    unit: "ms",
    min: 100,
    doc: "How often counters are sent inside.",
  },
  egressConnections: {
    default: 100,
    unit: "count",
    min: 1,
    max: 250,
    doc: "Connections to other mail servers open at the same time.",
  },
};
