/** Recipients that only the inside can tell: asked over the link, one by one, never guessed. */

import type { Clock } from "#base/clock";
import { Unavailable } from "#base/errors";
import { Gate } from "#base/limits";
import type { Links } from "#contracts/link";

export type RecipientAnswer = "known" | "unknown" | "later";

export interface RecipientQuestions {
  /** later: the inside cannot be asked, or cannot tell now. */
  ask(path: string): Promise<RecipientAnswer>;
}

/** More than the inside takes for an answer. */
const answerMs = 20_000;
/** Of all clients together. */
const atOnce = 64;
const waiting = 512;

export function recipientQuestions(
  links: Pick<Links, "forKind">,
  clock: Clock,
): RecipientQuestions {
  const gate = new Gate(atOnce, waiting);
  return {
    async ask(path) {
      return (await gate.run(() => askInside(links, clock, path))) ?? "later";
    },
  };
}

async function askInside(
  links: Pick<Links, "forKind">,
  clock: Clock,
  path: string,
): Promise<RecipientAnswer> {
  try {
    const stream = links.forKind("recipient")?.open("recipient", { path });
    if (stream === undefined) return "later";
    const timer = clock.after(answerMs, () => stream.abort("no answer in time"));
    try {
      return read(await stream.answered);
    } finally {
      timer.cancel();
    }
  } catch (error) {
    if (error instanceof Unavailable) return "later";
    throw error;
  }
}

/** Whatever else the inside says is no reason to accept anything, nor to refuse for good. */
function read(answer: unknown): RecipientAnswer {
  const { recipient } = (answer ?? {}) as { readonly recipient?: unknown };
  return recipient === "known" || recipient === "unknown" ? recipient : "later";
}
