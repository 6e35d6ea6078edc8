/** How long the client waits for each step of the other side (RFC 5321 §4.5.3.2). */

import type { Values } from "#base/parameters";

export const smtpClientParameters = {
  greetingS: { default: 300, unit: "s", min: 1, max: 3600, doc: "Wait for the greeting." },
  helloS: {
    default: 300,
    unit: "s",
    min: 1,
    max: 3600,
    doc: "Wait for the reply to EHLO, and to each step of a login.",
  },
  tlsS: { default: 60, unit: "s", min: 1, max: 3600, doc: "Wait for STARTTLS and its handshake." },
  mailS: { default: 300, unit: "s", min: 1, max: 3600, doc: "Wait for the reply to MAIL." },
  recipientS: { default: 300, unit: "s", min: 1, max: 3600, doc: "Wait for the reply to RCPT." },
  dataStartS: { default: 120, unit: "s", min: 1, max: 3600, doc: "Wait for the reply to DATA." },
  dataBlockS: { default: 180, unit: "s", min: 1, max: 3600, doc: "Wait while sending content." },
  dataEndS: {
    default: 600,
    unit: "s",
    min: 1,
    max: 3600,
    doc: "Wait for the verdict on the content; a shorter time makes duplicates.",
  },
  quitS: { default: 5, unit: "s", min: 1, max: 300, doc: "Wait for the reply to QUIT." },
  totalS: {
    default: 3600,
    unit: "s",
    min: 60,
    max: 86_400,
    doc: "Limit for one message altogether; raise for very large messages over slow lines.",
  },
} as const;

/** The same in milliseconds. */
export interface Timeouts {
  readonly greetingMs: number;
  readonly helloMs: number;
  readonly tlsMs: number;
  readonly mailMs: number;
  readonly recipientMs: number;
  readonly dataStartMs: number;
  readonly dataBlockMs: number;
  readonly dataEndMs: number;
  readonly quitMs: number;
  readonly totalMs: number;
}

export function timeoutsOf(values: Values<typeof smtpClientParameters>): Timeouts {
  return {
    greetingMs: values.greetingS * 1000,
    helloMs: values.helloS * 1000,
    tlsMs: values.tlsS * 1000,
    mailMs: values.mailS * 1000,
    recipientMs: values.recipientS * 1000,
    dataStartMs: values.dataStartS * 1000,
    dataBlockMs: values.dataBlockS * 1000,
    dataEndMs: values.dataEndS * 1000,
    quitMs: values.quitS * 1000,
    totalMs: values.totalS * 1000,
  };
}
