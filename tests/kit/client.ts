/** What a client needs to send one message, with defaults; and its outcome in short. */

import { systemClock } from "#base/clock";
import { defaultsOf } from "#base/parameters";
import type { Envelope } from "#model/envelope";
import type { TlsDemand } from "#model/tls-policy";
import {
  type ClientOutcome,
  type OutgoingMail,
  type SessionOptions,
  smtpClientParameters,
  timeoutsOf,
} from "#transport/smtp-client";

export const content: Buffer = Buffer.from("Subject: x\r\n\r\n.dot\r\n");

export interface ClientTest {
  readonly envelope?: Partial<Envelope>;
  readonly to?: readonly string[];
  readonly tls?: Partial<TlsDemand>;
  readonly content?: Buffer;
}

export function common(options: ClientTest): Omit<SessionOptions, "stream"> & OutgoingMail {
  const octets = options.content ?? content;
  return {
    heloName: "us.test",
    tls: { level: "opportunistic", serverName: "sink.test", minVersion: "TLSv1.2", ...options.tls },
    timeouts: timeoutsOf(defaultsOf(smtpClientParameters)),
    clock: systemClock,
    envelope: {
      reversePath: "a@us.test",
      recipients: (options.to ?? ["b@sink.test"]).map((path) => ({ path })),
      ...options.envelope,
    },
    content: octets,
    sizeBytes: octets.length,
  };
}

/** "phase code status" for each recipient, or "phase status" when there was no session. */
export function codes(outcome: ClientOutcome): string[] {
  if (!outcome.opened) return [`${outcome.failure.phase} ${outcome.failure.reply.status}`];
  return outcome.recipients.map(({ phase, reply }) => `${phase} ${reply.code} ${reply.status}`);
}
