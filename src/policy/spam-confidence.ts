/** Spam confidence level: 0 to 9, 4 is neutral, and every step away from there has its reason. Pure. */

import type {
  EvidenceType,
  SenderState,
  SenderVerdict,
  SpamReason,
  SpamVerdict,
} from "#model/verdict";

export interface SpamFacts {
  readonly sender: SenderVerdict;
  /** The author's address or domain is on a list of wanted senders. */
  readonly isAllowed: boolean;
  /** Somebody here wrote to the author before. */
  readonly isKnown: boolean;
  /** Sent to many: List-Unsubscribe (RFC 2369), List-Id, or Precedence: bulk. */
  readonly isBulk: boolean;
  /** What an external filter says. */
  readonly filter?: {
    readonly name: string;
    readonly score: number;
    /** From here on it is spam to the filter, or to be refused; above 0. */
    readonly required: number;
    /** rspamd's advice. */
    readonly action?: string;
  };
}

const neutral = 4;
const highest = 9;
/** From here on a level is called high. */
const high = 7;

const bySpoof: Readonly<Partial<Record<EvidenceType, number>>> = {
  "ambiguous-author": 3,
  "look-alike-domain": 3,
  "deceptive-characters": 3,
  "name-holds-address": 2,
  "name-of-ours": 2,
  "reply-elsewhere": 1,
  "payment-change": 1,
};

/**
 * That a check passed never lowers the level (CAP-62): spammers have domains too. Only a login, the
 * list of wanted senders and earlier letters of ours do, the last two where the author is verified.
 */
export function spamConfidence(facts: SpamFacts): SpamVerdict {
  const { sender, isAllowed, isKnown, isBulk, filter } = facts;
  const reasons: SpamReason[] = [];
  const add = (points: number, name: string, text: string): void => {
    if (points !== 0) reasons.push({ points, name, text });
  };

  add(byState(sender.result), `sender-${sender.result}`, sender.text);
  for (const { type, text } of sender.evidence) add(bySpoof[type] ?? 0, type, text);
  if (isAuthor(sender)) {
    if (isAllowed) add(-4, "allow-listed", "The sender is on the list of wanted senders.");
    if (isKnown) add(-2, "correspondent", "Somebody here wrote to the sender before.");
  } else if (isBulk) add(1, "bulk", "It is sent to many, by a sender that was not verified.");
  if (filter !== undefined) {
    const { name, score, required } = filter;
    add(byFilter(filter), name, `${name}: ${score.toFixed(1)} of ${required.toFixed(1)}.`);
  }

  const sum = reasons.reduce((total, { points }) => total + points, neutral);
  const level = Math.min(highest, Math.max(0, sum));
  const result = level < neutral ? "low" : level < high ? "neutral" : "high";
  return { method: "spam", result, level, reasons };
}

function byState(state: SenderState): number {
  switch (state) {
    case "internal":
      return -4;
    case "verified":
    case "verified-other":
    case "not-verifiable":
    case "not-checked":
      return 0;
    case "not-verified":
      return 1;
    case "forged":
      return 4;
  }
}

/** Is it the author that was verified, and not only somebody who sent for him? */
function isAuthor({ result, evidence }: SenderVerdict): boolean {
  if (result === "verified-other") return evidence.every(({ type }) => type !== "via-other-domain");
  return result === "verified" || result === "internal";
}

/** A filter can raise the level; what it finds harmless stays as it is. */
function byFilter({ score, required, action }: NonNullable<SpamFacts["filter"]>): number {
  const share = required > 0 ? score / required : 0;
  if (share >= 2 || action === "reject") return 5;
  if (share >= 1) return 4;
  if (action === "add header" || action === "rewrite subject") return 3;
  return share >= 0.5 ? 1 : 0;
}
