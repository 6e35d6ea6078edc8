/** One message over a session that is open, and what its outcome says of the server. */

import type { Messages } from "#contracts/store";
import type { MessageId } from "#model/mailbox";
import type { QueueItem } from "#model/queue";
import { isPermanent } from "#model/reply";
import type { ClientSession, RecipientOutcome, Watch } from "#transport/smtp-client";
import type { Letter } from "./attempt.ts";

export interface TransactDeps {
  readonly messages: Pick<Messages, "read" | "stream" | "sizeBytes">;
  readonly wait: Watch;
}

/** @returns one outcome for each item, in their order */
export async function transact(
  letter: Letter,
  session: ClientSession,
  { messages, wait }: TransactDeps,
): Promise<readonly RecipientOutcome[]> {
  const [first] = letter;
  if (first === undefined) return [];
  try {
    const sizeBytes = (await messages.sizeBytes(first.message)) ?? first.sizeBytes;
    const start = await returnPathBytes(first.message, messages);
    const content = messages.stream(first.message, start);
    const envelope = envelopeOf(letter, first);
    return await session.send({ envelope, content, sizeBytes: sizeBytes - start, watch: wait });
  } catch {
    // The border of the attempt: whatever the store could not give, the item waits.
    session.destroy();
    const reply = { code: 451, status: "4.3.0", text: "the message cannot be read here now" };
    const facts = { phase: "data", answered: false, delivered: false, reply } as const;
    return letter.map(({ recipient }) => ({ path: recipient, ...facts }));
  }
}

function envelopeOf(letter: Letter, first: QueueItem) {
  const { reversePath, dsnReturn, envelopeId, utf8, requireTls } = first;
  return {
    reversePath,
    recipients: letter.map(({ recipient, wishes }) => ({ path: recipient, ...wishes })),
    ...(utf8 && { utf8 }),
    ...(requireTls === true && { requireTls }),
    ...(dsnReturn && { dsnReturn }),
    ...(envelopeId !== undefined && { envelopeId }),
  };
}

/**
 * Nothing of the content was sent yet, so another host cannot make it a second copy. 421: the server
 * goes away (RFC 5321 §3.8), as one does that has waited for long.
 */
export function mayTryNext({ answered, reply, phase }: RecipientOutcome): boolean {
  if (phase !== "mail" && phase !== "recipient") return false;
  return answered ? reply.code === 421 : !isPermanent(reply);
}

/** The server is as it should be, and does not offer REQUIRETLS: another host of the domain may. */
export function isWithoutRequireTls({ answered, phase, reply }: RecipientOutcome): boolean {
  return phase === "mail" && !answered && reply.status === "5.7.30";
}

/** Ours is at most so long (RFC 5321 §4.5.3.1.3). */
const maxReturnPath = 600;

/** The field belongs to mail that has arrived: forwarded mail leaves without it (RFC 5321 §4.4). */
async function returnPathBytes(
  message: MessageId,
  messages: Pick<Messages, "read">,
): Promise<number> {
  const start = (await messages.read(message, 0, maxReturnPath)).toString("latin1");
  return /^Return-Path:[^\r\n]*\r\n/.exec(start)?.[0].length ?? 0;
}
