/** One message over one connection, from greeting to QUIT. */

import type { TlsFacts } from "#model/connection";
import { openSession, type SessionOptions } from "./session.ts";
import type { Failure, OutgoingMail, SendOutcome } from "./transaction.ts";

export type ClientOutcome =
  | { readonly opened: true; readonly recipients: SendOutcome; readonly tls?: TlsFacts }
  | { readonly opened: false; readonly failure: Failure };

/** @throws what the content throws */
export async function deliver(options: SessionOptions & OutgoingMail): Promise<ClientOutcome> {
  const opening = await openSession(options);
  if (!opening.ok) return { opened: false, failure: opening.failure };
  const { session } = opening;
  try {
    const recipients = await session.send(options);
    return { opened: true, recipients, ...(session.tls && { tls: session.tls }) };
  } finally {
    await session.quit();
  }
}
