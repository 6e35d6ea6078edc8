/** Asks a server whether it takes mail for an address, and sends none (RFC 5321 §3.3, §4.1.1.5). */

import type { Extensions } from "#formats/smtp";
import type { Reply } from "#model/reply";
import { isSafePath } from "./commands.ts";
import type { Timeouts } from "./parameters.ts";
import { ourRefusals } from "./replies.ts";
import { type Failure, failureOf, type Phase } from "./transaction.ts";
import type { Wire } from "./wire.ts";

/**
 * The null reverse path, because a server that takes mail must take notices, too (§4.5.5). Between
 * two messages only.
 *
 * @returns undefined when it does, else what stood in the way
 */
export async function askRecipient(
  wire: Wire,
  timeouts: Timeouts,
  offered: Extensions,
  path: string,
): Promise<Failure | undefined> {
  const ours = (reply: Reply): Failure => ({ phase: "recipient", answered: false, reply });
  if (!isSafePath(path)) return ours(ourRefusals.path);
  const beyondAscii = /[^\0-\x7f]/.test(path);
  if (beyondAscii && !offered.has("SMTPUTF8")) return ours(ourRefusals.utf8Address);
  const said = async (command: string, phase: Phase, timeoutMs: number) => {
    wire.write(`${command}\r\n`);
    const reply = await wire.reply(timeoutMs);
    const isGood = typeof reply !== "string" && reply.code >= 200 && reply.code < 300;
    return isGood ? undefined : failureOf(phase, reply, `after ${command.slice(0, 4)}`);
  };
  const refused =
    (await said(`MAIL FROM:<>${beyondAscii ? " SMTPUTF8" : ""}`, "mail", timeouts.mailMs)) ??
    (await said(`RCPT TO:<${path}>`, "recipient", timeouts.recipientMs));
  if (refused !== undefined && !refused.answered) return refused;
  if ((await said("RSET", "mail", timeouts.mailMs)) !== undefined) wire.destroy();
  return refused;
}
